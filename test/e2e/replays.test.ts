import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { actFlags, modelText } from '../../lib/compose/load.ts'
import { withoutShell } from '../../lib/compose/released/variables.ts'
import { bundleFolder, modelFile } from '../../lib/record/bundle/ref.ts'
import { readModel } from '../../lib/record/bundle.ts'
import { exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { mapConcurrently } from '../../lib/util/map-concurrently.ts'
import { scratch } from '../support/command-line.ts'
import { dice } from '../support/dice.ts'
import type { Engine } from '../support/engine.ts'
import { host, isUp, LAB_DIR } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { ENDS_SOON, expectCode, makeRoot, QUICK_STOP, releases, sharedFolder, writeApp } from './app.ts'

// A restored release is what it was: nothing of today's shell or files, or of what someone has written into it since.

/** Today's shell of the user who rolls back. */
const TODAY = {
  ...{ DEBUG: 'of-today', LEVEL: 'of-today', CANARY: 'canary-of-the-shell', COMPOSE_PROJECT_NAME: 'of-today' },
  ...{ COMPOSE_FILE: '/nowhere.yaml', COMPOSE_PROFILES: 'of-today', DOCKER_DEFAULT_PLATFORM: 'linux/riscv64' },
}
const THEN = { LEVEL: 'then' }

/** `DEBUG` has no value, neither in the shell nor in the image; `IN_IMAGE` has one there, which it takes away. */
const web = (version: string) => ({
  build: './web',
  environment: ['DEBUG', 'IN_IMAGE', 'LEVEL', `VERSION=${version}`],
  configs: [{ source: 'level', target: '/level' }],
  ...QUICK_STOP,
})
const compose = { configs: { level: { environment: 'LEVEL' } } }
const DOCKERFILE = 'FROM busybox:1\nENV IN_IMAGE=yes\nCMD ["sleep","1d"]\n'

/** @returns the variables of the only container of a project that are not busybox's */
async function variablesOf(engine: Engine, project: string): Promise<string[]> {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`]
  const { stdout: id } = await engine.docker(['ps', '-q', ...filter])
  const { stdout } = await engine.docker(['inspect', '--format', '{{json .Config.Env}}', id.trim()])
  const { stdout: level } = await engine.docker(['exec', id.trim(), 'cat', '/level'])
  const found: string[] = JSON.parse(stdout)
  return [...found.filter((text) => !text.startsWith('PATH=')), `/level ${level}`].sort()
}
const AS_V1 = ['/level then', 'DEBUG', 'IN_IMAGE', 'LEVEL=then', 'VERSION=1']

describe('on this machine', () => {
  const h1 = host('h1')
  const folder = sharedFolder(h1, 'replays')

  test('a rollback and an undo restore the old values, even if the shell has others now', async () => {
    folder.write('web/Dockerfile', DOCKERFILE)
    writeApp(folder, { services: { web: web('1') }, compose })
    expectCode(await folder.stagecraft(['deploy', '--version', 'v1'], { env: THEN }), 0)
    expect(await variablesOf(h1, folder.name)).toEqual(AS_V1)
    writeApp(folder, {
      services: { web: { ...web('2'), command: ['sh', '-c', 'exit 3'] } },
      settings: { web: ENDS_SOON },
      compose,
    })
    const failed = await folder.stagecraft(['deploy', '--version', 'v-bad'], { env: { DEBUG: 'x', LEVEL: 'y' } })
    expectCode(failed, 5)
    expect(await variablesOf(h1, folder.name)).toEqual(AS_V1)
    writeApp(folder, { services: { web: web('2') }, compose })
    expectCode(await folder.stagecraft(['deploy', '--version', 'v2'], { env: { DEBUG: 'x', LEVEL: 'y' } }), 0)
    expect(await variablesOf(h1, folder.name)).toEqual(['/level y', 'DEBUG=x', 'IN_IMAGE', 'LEVEL=y', 'VERSION=2'])
    expectCode(await folder.stagecraft(['rollback'], { env: TODAY }), 0)
    expect(await variablesOf(h1, folder.name)).toEqual(AS_V1)
    expectCode(await folder.stagecraft(['status'], { env: TODAY }), 0)
  })
})

describe.skipIf(!isUp('h3'))('on a host', () => {
  const folder = laptop('h1').folder('replays-ssh')
  const [server, root] = [host('h3'), '/srv/stagecraft']
  const kept = `${root}/${folder.name}/prod`
  beforeAll(async () => {
    await makeRoot(server, root)
    folder.write('web/Dockerfile', DOCKERFILE)
    write('1')
    expectCode(await folder.stagecraft(['deploy', '--version', 'v1'], { env: THEN }), 0)
    write('2')
    expectCode(await folder.stagecraft(['deploy', '--version', 'v2'], { env: THEN }), 0)
  })
  afterAll(async () => {
    await server.cleanUp(folder.name)
    await server.exec(['rm', '-rf', `${root}/${folder.name}`])
    await folder.cleanUp()
  })
  const write = (version: string) => {
    const environments = { prod: { hosts: ['root@h3'], root } }
    writeApp(folder, { project: { name: folder.name }, environments, services: { web: web(version) }, compose })
  }

  test('a model that was changed on the host is refused, and nothing of this machine is read', async () => {
    const { stdout } = await server.exec(['ls', `${kept}/releases`])
    const [first = ''] = stdout.split('\n')
    const file = `${kept}/releases/${first}/compose.json`
    folder.write('canary', 'CANARY=canary-of-a-file\n')
    const changes = [
      ['services.web.env_file', `s#"image"#"env_file": ["${folder.path}/canary"], "image"#`],
      ['configs.leak.environment', 's#"configs": {#"configs": {"leak": {"environment": "CANARY"},#'],
      ['services.web.environment.VERSION', 's#"VERSION": "1"#"VERSION": "${CANARY}"#'],
    ] as const
    await server.exec(['cp', file, `${file}.as-it-was`])
    for (const [at, change] of changes) {
      // An attacker on the host has its hashes too: without them the files count as they are (spec/core/hosts.md).
      await server.exec(['sh', '-c', 'sed "$0" "$1.as-it-was" > "$1"; rm -f "$2/head"', change, file, kept])
      const ran = await folder.stagecraft(['rollback'], { env: TODAY })
      expectCode(ran, 9)
      expect(ran.stderr).toContain(`Cannot use root@h3:${file}: ${at}`)
      expect(ran.stdout + ran.stderr).not.toContain('canary-of')
    }
    await server.exec(['mv', `${file}.as-it-was`, file])
    expect((await variablesOf(server, `${folder.name}-prod`)).at(-1)).toBe('VERSION=2')
  })

  test('a rollback restores the old values, even if the shell has others now', async () => {
    expectCode(await folder.stagecraft(['rollback'], { env: TODAY }), 0)
    expect(await variablesOf(server, `${folder.name}-prod`)).toEqual(AS_V1)
    expect(releases(folder)).toEqual([])
  })
})

const CANARY = 'canary-in-the-coal-mine'
const HASH = '0123456789abcdef0123456789abcdef'

/** What an attacker may put anywhere into a model. `HERE` is a folder of this machine with the canary in every file. */
const HOSTILE: readonly unknown[] = [
  ...['text', 'a: b', '1s', 'CANARY', { a: 'b' }],
  ...[
    '${CANARY}',
    '$CANARY',
    '$$CANARY',
    '$$$CANARY',
    '$${CANARY:-x}',
    'HERE/canary',
    '~/canary',
    './canary',
    '../canary',
  ],
  ...[null, ['CANARY'], { CANARY: null }, { HOME: null }, { CANARY: '${CANARY}' }, ['HERE/canary'], true, 1, {}, []],
  ...[{ file: 'HERE/canary' }, { file: 'HERE/canary.yaml', service: 'base' }, { environment: 'CANARY' }],
  ...[
    { type: 'HERE/program' },
    [{ path: 'HERE/canary', required: true }],
    { context: 'HERE' },
    { leak: { environment: 'CANARY' } },
  ],
]
const KEYS = [
  ...['env_file', 'extends', 'build', 'label_file', 'develop', 'provider', 'include', 'models', 'use_api_socket', '<<'],
  ...[
    'environment',
    'configs',
    'secrets',
    'volumes',
    'labels',
    'x-a',
    'content',
    'file',
    'source',
    'device',
    'driver_opts',
  ],
  ...[
    'credential_spec',
    'profiles',
    'depends_on',
    'post_start',
    'image',
    'command',
    'user',
    'name',
    'leak',
    'driver',
    'deploy',
  ],
]

const MODEL = {
  name: 'shop',
  services: {
    web: {
      ...{ image: 'busybox:1', command: ['echo', 'a$b'], environment: { A: 'b', DEBUG: null }, user: '1000' },
      volumes: [{ type: 'bind', source: '/srv/x', target: '/x', bind: { create_host_path: false } }],
      configs: [{ source: 'app', target: '/app' }],
      labels: { a: 'b' },
      networks: { default: null },
      deploy: { replicas: 1, resources: { limits: { memory: '1048576' } } },
    },
  },
  networks: { default: { name: 'shop_default', ipam: {} } },
  volumes: { data: { name: 'shop_data', driver_opts: { type: 'none', device: '/srv', o: 'bind' } } },
  configs: { app: { name: 'app', file: `/srv/content/${HASH}` } },
}

describe('a model with arbitrary changes', () => {
  const folder = scratch({ canary: `CANARY_KEY=${CANARY}\n`, 'canary.yaml': '' })
  afterAll(() => folder.remove())

  test('is refused, or means the same with and without the shell and the files of this machine', async () => {
    const here = join(folder.path, 'here')
    mkdirSync(join(here, 'home'), { recursive: true })
    const base = JSON.stringify({ services: { base: { image: 'x', labels: { leak: CANARY } } } })
    for (const name of ['canary', 'home/canary', '.env']) writeFileSync(join(here, name), `CANARY_KEY=${CANARY}\n`)
    writeFileSync(join(here, 'canary.yaml'), base)
    const roll = dice(20261127)
    const pick = <T>(list: readonly T[]): T => list[roll(list.length)] as T
    const counts = { refused: 0, refusedByCompose: 0, same: 0 }
    const states: string[] = []
    for (let round = 0; round < 200; round++) {
      const model = JSON.parse(modelText(MODEL))
      for (let change = roll(4) === 0 ? 0 : 1; change < 2; change++) mutate(model, pick, roll)
      const state = join(folder.path, `.stagecraft-${round}`, 'releases.json')
      mkdirSync(bundleFolder(state, 'r'), { recursive: true })
      const text = JSON.stringify(model).replaceAll('HERE', here)
      writeFileSync(modelFile(state, 'r'), roll(8) === 0 ? text.replace('"user":', '"user":"$CANARY","user":') : text)
      states.push(state)
    }
    for (const outcome of await mapConcurrently(states, (state) => means(state, here))) counts[outcome]++
    expect(counts.refused).toBeGreaterThan(80)
    expect(counts.same).toBeGreaterThan(10)
  })

  /** Compose reads what was not refused: once with all there is to be found here, once with nothing. */
  async function means(state: string, here: string): Promise<keyof { refused: 0; refusedByCompose: 0; same: 0 }> {
    const model = (() => {
      try {
        return readModel(state, 'r')
      } catch (error) {
        if (error instanceof StagecraftError && error.kind === 'state') return undefined
        throw error
      }
    })()
    if (model === undefined) return 'refused'
    const argv = [
      'docker',
      'compose',
      ...actFlags('shop', here),
      '-f',
      modelFile(state, 'r'),
      'config',
      '--format',
      'json',
    ]
    const shell = { CANARY, CANARY_KEY: CANARY, DEBUG: CANARY, HOME: join(here, 'home'), COMPOSE_PROFILES: CANARY }
    const config = { PATH: `${LAB_DIR}/bin:${process.env['PATH']}`, DOCKER_CONFIG: `${LAB_DIR}/docker` }
    const run = (env: Record<string, string>) =>
      exec(argv, { cwd: here, env: { ...config, ...env, ...withoutShell(model, { ...process.env, ...env }) } })
    const [full, empty] = [await run(shell), await run({ HOME: '/nonexistent' })]
    expect(full.stdout + full.stderr).not.toContain(CANARY)
    expect(full.stdout).toBe(empty.stdout)
    return full.code === 0 ? 'same' : 'refusedByCompose'
  }
})

type Parts = Record<string, unknown>

/** Puts something hostile somewhere into a model: a key that is new, or another value. */
function mutate(model: Parts, pick: <T>(list: readonly T[]) => T, roll: (sides: number) => number): void {
  const places: Parts[] = []
  const walk = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return
    places.push(value as Parts)
    for (const inner of Object.values(value)) walk(inner)
  }
  walk(model)
  const place = pick(places)
  const key = roll(2) === 0 ? pick(KEYS) : (pick(Object.keys(place)) ?? pick(KEYS))
  if (Array.isArray(place)) place.push(pick(HOSTILE))
  else place[key] = pick(HOSTILE)
}
