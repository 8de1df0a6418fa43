import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Site } from '../scenes/site.ts'
import { cleanUp } from '../support/clean-up.ts'
import type { Ran } from '../support/engine.ts'
import { host, LAB_DIR } from '../support/lab.ts'
import { median, type Row } from './row.ts'

const PAIRS = 5
const RELAY = join(import.meta.dir, '../load/relay.mjs')
/** Milliseconds that each direction takes longer: together the round trip of the figure. */
const DELAY = 50

/** A deploy to a host, against the same on the engine here and against docker's own ssh://; round trips; bytes. */
export async function sshRows(): Promise<Row[]> {
  const site = new Site('h3', 'h3', 'bench-ssh')
  try {
    await site.begin()
    return [...(await timeRows(site)), await tripRow(site), await bytesRow(site), await hostsRow(site)]
  } finally {
    await site.cleanUp()
    for (const name of OTHERS) {
      await cleanUp(host(name), site.folder.name)
      await host(name).exec(['rm', '-rf', `${site.root}/${site.folder.name}`])
    }
  }
}

/** @returns the milliseconds that it took */
async function timed(what: string, act: () => Promise<Ran>): Promise<number> {
  const began = performance.now()
  const { code, stdout, stderr } = await act()
  if (code !== 0) throw new Error(`Cannot ${what}: exit ${code}\n${stdout}${stderr}`)
  return performance.now() - began
}

const times = async (count: number, act: () => Promise<number>) => {
  const found: number[] = []
  for (let number = 0; number < count; number++) found.push(await act())
  return found
}

async function timeRows(site: Site): Promise<Row[]> {
  const { folder } = site
  const over = site.app()
  const here = { ...over, environments: { ...over.environments, local: { env_file: '.env.prod' } } }
  folder.write('uploads/.keep', '')
  const write = () =>
    folder.write('stagecraft.yml', JSON.stringify({ project: here.project, environments: here.environments }))
  write()
  const deploy = (env: string) => () =>
    timed(`deploy to ${env}`, () => folder.stagecraft(['deploy', '--env', env, '--version', 'v1']))
  // Where the engine here is a lab host's, bind mounts of this machine mean nothing to it.
  folder.write(
    'compose.yaml',
    JSON.stringify({
      services: {
        web: { build: './web', stop_signal: 'SIGKILL' },
        idle: { image: 'busybox:1', command: ['sleep', '1d'], stop_signal: 'SIGKILL' },
      },
    }),
  )
  const address = `ssh://root@${site.server.ip}`
  const compose = () =>
    timed('docker compose', () =>
      folder.exec(
        [
          'sh',
          '-c',
          `docker compose -p ${folder.name}-theirs build && docker compose -p ${folder.name}-theirs up -d --wait`,
        ],
        { env: { DOCKER_HOST: address } },
      ),
    )
  for (const act of [deploy('prod'), deploy('local'), compose]) await act()
  const pairs = await times(PAIRS, async () => (await deploy('prod')()) - (await deploy('local')()))
  const ratios = await times(PAIRS, async () => (await deploy('prod')()) / (await compose()))
  // The next environments are first ones: what runs from this folder under another name would be in their way.
  await folder.exec(['docker', 'compose', '-p', `${folder.name}-theirs`, 'down'], { env: { DOCKER_HOST: address } })
  const [more, ratio] = [median(pairs) / 1000, median(ratios)]
  return [
    row(
      'a deploy of no change to a host, longer than on the engine here by',
      `${more.toFixed(2)} s`,
      '≤ 1.5 s',
      more <= 1.5,
    ),
    row(
      'the same, against `DOCKER_HOST=ssh://… docker compose build && up -d --wait`',
      `${ratio.toFixed(2)} ×`,
      '≤ 0.5 ×',
      ratio <= 0.5,
    ),
  ]
}

/** ssh through a relay: slower, or only counted. @returns what it is given and what went over the wire */
function relayed(site: Site, delay: number) {
  const { folder } = site
  const file = join(folder.here, 'wire')
  rmSync(file, { force: true })
  folder.write(
    'bin/ssh',
    `#!/bin/sh\nexec /usr/bin/ssh -F ${LAB_DIR}/ssh/config -o 'ProxyCommand=node ${RELAY} %h %p ${delay} ${file}' "$@"\n`,
    0o755,
  )
  const env = { PATH: `${join(folder.path, 'bin')}:${LAB_DIR}/bin:${process.env['PATH']}` }
  return {
    env,
    bytes: () =>
      readFileSync(file, 'utf8')
        .split('\n')
        .reduce((sum, line) => sum + line.split(' ').reduce((both, one) => both + Number(one), 0), 0),
  }
}

async function tripRow(site: Site): Promise<Row> {
  const deploy = (delay: number) => {
    const { env } = relayed(site, delay)
    return timed('deploy through a relay', () =>
      site.folder.stagecraft(['deploy', '--env', 'prod', '--version', 'v1'], { env }),
    )
  }
  await deploy(0)
  const longer = await times(3, async () => (await deploy(DELAY)) - (await deploy(0)))
  const trips = median(longer) / (2 * DELAY)
  return row('round trips of a deploy of no change to a host', trips.toFixed(1), '≤ 25', trips <= 25)
}

const OTHERS = ['h2', 'h4'] as const

/** A new image of a service that rolls, to three hosts and to one of them. */
async function hostsRow(site: Site): Promise<Row> {
  const { folder, root } = site
  for (const name of OTHERS)
    await host(name).exec(['sh', '-c', 'mkdir -p "$0" && chgrp docker "$0" && chmod 2770 "$0"', root])
  const services = {
    web: { rollout: { strategy: 'rolling', min_ready: '1s' } },
    idle: { rollout: { min_ready: '1s' } },
  }
  const environments = {
    one: { hosts: ['h3'], root, services },
    three: { hosts: ['h3', ...OTHERS], root, services },
  }
  folder.write('stagecraft.yml', JSON.stringify({ project: { name: folder.name }, environments }))
  let version = 0
  const deploy = (env: string) => () => {
    folder.write('web/Dockerfile', `FROM busybox:1\nLABEL version=${++version}\nCMD ["sleep", "1d"]\n`)
    return timed(`deploy to ${env}`, () => folder.stagecraft(['deploy', '--env', env, '--version', `v${version}`]))
  }
  for (const act of [deploy('one'), deploy('three')]) await act()
  const ratio = median(await times(PAIRS, async () => (await deploy('three')()) / (await deploy('one')())))
  return row('a changed image to three hosts, against one', `${ratio.toFixed(2)} ×`, '≤ 1.6 ×', ratio <= 1.6)
}

const MEBIBYTE = 1024 * 1024

async function bytesRow(site: Site): Promise<Row> {
  const { folder } = site
  const big = (change: number) =>
    folder.exec([
      'sh',
      '-c',
      `head -c ${MEBIBYTE} /dev/urandom > web/change; [ -e web/base ] || head -c ${99 * MEBIBYTE} /dev/urandom > web/base; echo ${change} > web/number`,
    ])
  folder.write('web/Dockerfile', 'FROM busybox:1\nCOPY base /base\nCOPY change number /\nCMD ["sleep", "1d"]\n')
  folder.write('.dockerignore', '')
  const ship = async (number: number) => {
    await big(number)
    const wire = relayed(site, 0)
    await timed('deploy a large image', () =>
      folder.stagecraft(['deploy', '--env', 'prod', '--version', `big-${number}`], { env: wire.env }),
    )
    return wire.bytes()
  }
  await ship(1)
  const ours = await ship(2)
  const { stdout } = await folder.exec(['sh', '-c', `docker save ${folder.name}-prod-web:big-2 | wc -c`])
  const theirs = Number(stdout)
  const ratio = ours / theirs
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`
  return row(
    'bytes on the wire for 1 MB of change in an image of 100 MB, against `docker save | ssh docker load`',
    `${ratio.toFixed(3)} × (${mb(ours)} against ${mb(theirs)})`,
    '≤ 0.03 ×',
    ratio <= 0.03,
  )
}

function row(what: string, measured: string, limit: string, ok: boolean): Row {
  return { what, measured, limit, ok }
}
