import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import type { Folder } from '../support/folder.ts'
import { HOSTS, type HostName, host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import {
  type App,
  deploy,
  ENDS_SOON,
  expectCode,
  idle,
  makeRoot,
  QUICK_STOP,
  type ServiceSource,
  until,
  writeApp,
} from './app.ts'

// What somebody started is kept before the first release, and the first rollback makes the same containers again.

type Inspected = {
  Id: string
  Name: string
  Config: Record<string, unknown>
  HostConfig: Record<string, unknown>
} & Record<string, unknown>

async function inspect(docker: Folder['docker'], project: string): Promise<Inspected[]> {
  const { stdout } = await docker([
    'ps',
    '-aq',
    '--no-trunc',
    '--filter',
    `label=com.docker.compose.project=${project}`,
  ])
  return JSON.parse((await docker(['inspect', ...stdout.split('\n').filter(Boolean)])).stdout)
}

/** All visible facts of the containers, except ids, numbers in names, and the labels of Compose and Stagecraft. */
async function seen(docker: Folder['docker'], project: string): Promise<unknown[]> {
  const all = await inspect(docker, project)
  const services = new Map(all.map(({ Id, Config }) => [Id, label(Config, 'service')]))
  return all.map((one) => factsOf(one, services)).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

const labels = (config: Inspected['Config']) => ({ ...Object(config['Labels']) }) as Record<string, string>
const label = (config: Inspected['Config'], name: string) => labels(config)[`com.docker.compose.${name}`] ?? ''
const sorted = (value: unknown) => (Array.isArray(value) ? value.map((one) => JSON.stringify(one)).toSorted() : value)

/** A volume has another mode if it was asked for in Compose's long form. */
const withoutMode = ({ Mode, ...mount }: Record<string, unknown>) =>
  mount['Type'] === 'volume' ? mount : { ...mount, Mode }

function factsOf(one: Inspected, services: ReadonlyMap<string, string>) {
  const { Image, Path, Args, Config, HostConfig, Mounts, State, NetworkSettings } = one
  const { Labels: _, Image: __, Env, Hostname, ...config } = Config
  const { NetworkMode, Mounts: asked, Binds: ___, Ulimits, ...host } = HostConfig
  const mode = String(NetworkMode).replace(/^container:(.*)$/, (_, id) => `service:${services.get(id)}`)
  const networks = Object.entries(Object((NetworkSettings as { Networks: unknown }).Networks)).map(
    ([name, endpoint]) => {
      const { Aliases, IPAMConfig, Links } = endpoint as Record<string, unknown>
      const aliases = ((Aliases ?? []) as string[]).filter(
        (alias) => !one.Id.startsWith(alias) && !one.Name.endsWith(alias),
      )
      return [name, [...new Set(aliases)].toSorted(), IPAMConfig ?? {}, Links ?? null]
    },
  )
  return {
    service: label(Config, 'service'),
    labels: Object.entries(labels(Config)).filter(([name]) => !name.startsWith('com.docker.')),
    ...{
      Image,
      Path,
      Args,
      config,
      host,
      networks,
      env: sorted(Env),
      mounts: sorted((Mounts as Record<string, unknown>[]).map(withoutMode)),
      ulimits: sorted(Ulimits),
    },
    hostname: one.Id.startsWith(String(Hostname)) || mode.startsWith('service:') ? 'its own' : Hostname,
    mode: mode.startsWith('service:') || mode === 'host' ? mode : 'networks',
    options: (Array.isArray(asked) ? asked : []).filter(({ Type }) => Type === 'tmpfs'),
    status: (State as { Status: string }).Status,
  }
}

/** The oldest and the newest: one of them forgets what the other one knows about a container. */
const VERSIONS = (['h2', 'h3'] as const).map((name) => [HOSTS[name].engine, name] as const)

describe.each(VERSIONS)('on engine %s', (_, name: HostName) => {
  const journey = test.skipIf(!isUp(name))
  let folder: Folder
  beforeAll(async () => {
    if (isUp(name)) folder = host(name).folder('round-trip')
  })
  afterAll(async () => {
    if (isUp(name)) await folder.cleanUp()
  })

  journey('the first rollback restores what ran before, in every visible detail', async () => {
    const [tcp, udp] = [await host(name).freePort(), await host(name).freePort()]
    const subnet = `10.${200 + Number(name.slice(1))}.77`
    folder.write('conf/motd.txt', 'hello\n')
    const everything: ServiceSource = {
      image: 'busybox:1',
      entrypoint: ['sh', '-c'],
      command: ['sleep 1d # $$HOME and "quotes" and ünï'],
      user: '1000:1000',
      working_dir: '/tmp',
      hostname: 'one',
      domainname: 'example.org',
      environment: { A: 'x$$y', EMPTY: '', LINES: 'a\nb', PASSWORD: 'correct-horse-battery' },
      volumes: [
        'data:/d',
        './conf:/conf:ro',
        '/anonymous',
        { type: 'tmpfs', target: '/t', tmpfs: { size: 1_048_576 } },
        { type: 'volume', source: 'data', target: '/again', read_only: true, volume: { nocopy: true } },
      ],
      tmpfs: ['/run:size=64k'],
      cap_add: ['NET_ADMIN'],
      cap_drop: ['MKNOD'],
      security_opt: ['no-new-privileges:true'],
      group_add: ['123'],
      ulimits: { nofile: { soft: 100, hard: 200 }, core: 0 },
      extra_hosts: ['db.example.org:10.1.2.3'],
      sysctls: { 'net.ipv4.ip_forward': '1' },
      labels: { 'org.example.a': 'b', 'org.example.empty': '' },
      restart: 'on-failure:3',
      healthcheck: { test: ['CMD-SHELL', 'test -d /d && true'], interval: '1s', timeout: '19500ms', retries: 9 },
      networks: { default: { aliases: ['alias'] }, back: { ipv4_address: `${subnet}.9` } },
      ports: [`${tcp}:80`, `127.0.0.1:${udp}:81/udp`],
      expose: ['9000'],
      mem_limit: '64m',
      memswap_limit: '128m',
      cpus: 0.5,
      cpu_shares: 512,
      pids_limit: 50,
      oom_score_adj: 100,
      shm_size: '32m',
      init: true,
      stop_grace_period: '3s',
      stop_signal: 'SIGKILL',
      tty: true,
      stdin_open: true,
      read_only: true,
      dns: ['10.9.9.9'],
      dns_search: ['example.org'],
      dns_opt: ['ndots:2'],
      ipc: 'shareable',
      logging: { driver: 'json-file', options: { 'max-size': '1m' } },
      devices: ['/dev/null:/dev/other:rw'],
    }
    const beside = { ...idle, network_mode: 'service:everything', depends_on: ['everything'] }
    const web = { ...idle, scale: 2, environment: { X: '1' } }
    const services = { everything, beside, web, same: idle, alone: { ...idle, network_mode: 'host' } }
    const job = { image: 'busybox:1', command: ['true'], restart: 'no' }
    const networks = { back: { ipam: { config: [{ subnet: `${subnet}.0/24` }] } } }
    const before: App = { services: { ...services, job }, compose: { networks, volumes: { data: {} } } }
    writeApp(folder, before)
    expectCode(await folder.docker(['compose', 'up', '-d']), 0)
    const write = [
      'compose',
      'exec',
      '-u',
      '0',
      '-T',
      'everything',
      'sh',
      '-c',
      'echo kept | tee /d/file >/anonymous/file',
    ]
    expectCode(await folder.docker(write), 0)
    await until('the job has ended', async () => {
      const state = (await folder.containers()).find(({ service }) => service === 'job')?.state
      return state === 'exited' || `it is ${state}`
    })
    const ran = await seen(folder.docker, folder.name)

    const changed = {
      everything: { ...idle, volumes: ['data:/d'] },
      beside: { ...idle, network_mode: 'service:everything' },
      web: { ...idle, environment: { X: '2' } },
      same: idle,
      alone: idle,
    }
    const after = (services: App['services']): App => ({
      services: { ...services, job },
      compose: { volumes: { data: {} } },
    })
    const bad = { ...changed, everything: { ...changed.everything, command: ['false'] } }
    writeApp(folder, { ...after(bad), settings: { everything: ENDS_SOON } })
    await deploy(folder, 'bad', 5)
    expect(await seen(folder.docker, folder.name)).toEqual(ran)

    writeApp(folder, after(changed))
    const same = (await folder.containers()).find(({ service }) => service === 'same')?.id
    await deploy(folder, 'v1')
    expect(await seen(folder.docker, folder.name)).not.toEqual(ran)
    const back = await folder.stagecraft(['rollback'])
    expectCode(back, 0)
    expect(back.stdout).toStartWith('adopted is live in local')
    expect(await seen(folder.docker, folder.name)).toEqual(ran)
    expect((await folder.containers()).find(({ service }) => service === 'same')?.id).toBe(same)
    const read = ['compose', 'exec', '-T', 'everything', 'sh', '-c', 'cat /anonymous/file /d/file']
    expect((await folder.docker(read)).stdout.replaceAll('\r', '')).toBe('kept\nkept\n')
    expectCode(await folder.stagecraft(['status']), 0)
    for (const words of [['list'], ['show', 'adopted'], ['diff', 'adopted', 'v1']]) {
      const ran = await folder.stagecraft(['releases', ...words])
      expectCode(ran, 0)
      expect(ran.stdout).not.toContain('correct-horse-battery')
    }
    const modes = await folder.exec(['sh', '-c', 'find .stagecraft/releases -name "*.json" -printf "%m\\n" | sort -u'])
    expect(modes.stdout).toBe('600\n')
  })
})

const PAIR = ['h2', 'h3'] as const
describe.skipIf(!PAIR.every(isUp) || !isUp('h1'))('over SSH', () => {
  const ROOT = '/srv/stagecraft'
  const folder = laptop('h1').folder('adopted-there')
  beforeAll(async () => {
    for (const name of PAIR) await makeRoot(host(name), ROOT)
  })
  afterAll(async () => {
    for (const name of PAIR) {
      await cleanUp(host(name), folder.name)
      await host(name).exec(['rm', '-rf', `${ROOT}/${folder.name}`])
    }
    await folder.cleanUp()
  })

  test('what runs on one of two hosts is kept, and the first rollback goes back there', async () => {
    const db: ServiceSource = {
      image: 'busybox:1',
      command: ['sleep', '1d'],
      volumes: ['data:/d'],
      environment: { A: '1' },
      ...QUICK_STOP,
    }
    const write = (more: object, settings: object) => {
      const services = { db: { ...db, ...more } }
      folder.write('compose.yaml', JSON.stringify({ services, volumes: { data: {} } }))
      const prod = { hosts: PAIR.map((name) => `root@${name}`), root: ROOT, ...settings }
      const min = { db: { hosts: ['root@h3'], rollout: { min_ready: '300ms' } } }
      folder.write(
        'stagecraft.yml',
        JSON.stringify({ project: { name: folder.name }, environments: { prod: { ...prod, services: min } } }),
      )
    }
    write({}, {})
    const model = folder.read('compose.yaml')
    const start = ['docker', 'compose', '-p', folder.name, '-f', '-', 'up', '-d']
    expectCode(await host('h3').exec(start, { stdin: model }), 0)
    const docker: Folder['docker'] = (args, options) => host('h3').docker(args, options)
    const ran = await seen(docker, folder.name)

    write({ environment: { A: '2' } }, {})
    for (const command of ['plan', 'deploy']) {
      const refused = await folder.stagecraft([command])
      expectCode(refused, 3)
      expect(refused.stderr).toContain(`it already runs on root@h3 as ${folder.name}`)
      expect(refused.stderr).toContain(`environments: {prod: {compose_project: ${folder.name}}}`)
    }
    write({ environment: { A: '2' } }, { compose_project: folder.name })
    await deploy(folder, 'v1')
    expect(await seen(docker, folder.name)).not.toEqual(ran)
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect(await seen(docker, folder.name)).toEqual(ran)
    expect((await folder.stagecraft(['releases', 'list'])).stdout.match(/adopted/g)).toHaveLength(2)
  })
})
