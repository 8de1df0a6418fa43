import { afterAll, expect, test } from 'bun:test'
import { parse } from 'yaml'
import type { Folder } from '../support/folder.ts'
import { host } from '../support/lab.ts'
import { deploy, expectCode, QUICK_STOP, touchedBy } from './app.ts'
import { factsOf } from './facts.ts'

/** A Compose file as people have it, in a fresh clone: every command accepts it, and the result is that of plain Compose. */
interface Shape {
  readonly files: Readonly<Record<string, string>>
  /** one value of the file, and what it becomes */
  readonly change: readonly [string, string]
  /** the services that get it */
  readonly touched: readonly string[]
  /** what the plan says about the files of a fresh clone */
  readonly notes: readonly string[]
  /** what `init` suggests */
  readonly suggests: readonly string[]
  /** a command in a service, to be answered alike; and where a copy that Compose makes is a mount here */
  readonly asks?: readonly [string, ...string[]]
  readonly copied?: readonly string[]
}

const sleep = { image: 'busybox:1', command: ['sleep', '1d'], ...QUICK_STOP }
const json = (value: unknown) => JSON.stringify(value, null, 1)

const SHAPES: Readonly<Record<string, Shape>> = {
  'a database and an application whose folders nobody has made': {
    files: {
      'compose.yaml': json({
        services: {
          db: {
            image: 'postgres:15',
            environment: { POSTGRES_PASSWORD: 'example' },
            volumes: ['rows:/var/lib/postgresql/data', './dumps:/dumps'],
            healthcheck: { test: ['CMD', 'pg_isready', '-h', '127.0.0.1'], interval: '1s', retries: 60 },
            shm_size: '128mb',
            stop_signal: 'SIGQUIT',
          },
          web: {
            ...sleep,
            image: 'node:20',
            init: true,
            environment: { COLOR: 'blue' },
            ports: ['127.0.0.1::3000'],
            volumes: ['./uploads:/srv/uploads', './plugins:/srv/plugins:ro', '/etc/hostname:/etc/clone:ro'],
            depends_on: { db: { condition: 'service_healthy' } },
          },
          worker: {
            ...sleep,
            environment: { COLOR: 'blue' },
            volumes: ['./uploads:/srv/uploads'],
            depends_on: ['web'],
          },
        },
        volumes: { rows: {} },
      }),
    },
    change: ['"COLOR": "blue"', '"COLOR": "red"'],
    touched: ['web'],
    notes: ['creates ./dumps, ./uploads: they do not exist', './plugins is kept with the release'],
    suggests: ['db:', 'strategy: hold', 'web:', 'port: 3000'],
  },
  'a proxy with certificates, texts with owners, a socket and a volume': {
    files: {
      'compose.yaml': json({
        services: {
          edge: {
            image: 'caddy:2',
            volumes: ['./Caddyfile:/etc/caddy/Caddyfile:ro', './certs:/certs:ro', 'state:/data'],
            depends_on: ['app'],
            ...QUICK_STOP,
          },
          app: {
            ...sleep,
            labels: { 'traefik.http.routers.app.rule': 'Host(`app.example.com`)' },
            expose: ['8000'],
            configs: [{ source: 'text', target: '/text', uid: '1000', gid: '1001', mode: 0o440 }],
            secrets: [{ source: 'word', uid: '33', mode: 0o400 }],
            volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro'],
            cap_add: ['NET_ADMIN'],
            sysctls: { 'net.core.somaxconn': 1024 },
            ulimits: { nofile: { soft: 1024, hard: 2048 } },
          },
        },
        volumes: { state: {} },
        configs: { text: { content: 'first $$words' } },
        secrets: { word: { environment: 'WORD' } },
      }),
      Caddyfile: ':80\nrespond "one"\n',
      'certs/a.pem': 'old',
      '.env': 'WORD=a-word-that-nobody-knows\n',
    },
    change: ['first $$words', 'second $$words'],
    touched: ['app'],
    notes: ['./Caddyfile, ./certs are kept with the release', 'data: [./certs]'],
    suggests: ['data: [./certs]', 'app:', 'host: app.example.com, port: 8000'],
    asks: ['app', 'sh', '-c', 'stat -c "%u %g %a %n" /text /run/secrets/word; cat /text /run/secrets/word'],
    copied: ['/text', '/run/secrets/word'],
  },
}

const h1 = host('h1')
const folders: Folder[] = []
afterAll(() => Promise.all(folders.map((folder) => folder.cleanUp())))

function written({ files }: Shape, title: string): Folder {
  const folder = h1.folder(title)
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) folder.write(name, text)
  return folder
}

/** A container is ready after 300 ms: the default would be most of what this takes. */
function beQuick(folder: Folder, services: readonly string[]): void {
  const config = parse(folder.read('stagecraft.yml'))
  const { services: known, ...others } = config.environments.local ?? {}
  const quick = services.map((name) => [
    name,
    { ...known?.[name], rollout: { ...known?.[name]?.rollout, min_ready: '300ms' } },
  ])
  config.environments.local = { ...others, services: Object.fromEntries(quick) }
  folder.write('stagecraft.yml', JSON.stringify(config))
}

async function answer(folder: Folder, asks: Shape['asks']): Promise<string> {
  if (asks === undefined) return ''
  const [service, ...argv] = asks
  const ran = await folder.docker(['compose', 'exec', '-T', service, ...argv])
  expectCode(ran, 0)
  return ran.stdout
}

async function asPlainCompose(shape: Shape) {
  const folder = written(shape, 'plain')
  expectCode(await folder.docker(['compose', 'up', '-d']), 0)
  const seen = { facts: await factsOf(folder, shape.copied), answer: await answer(folder, shape.asks) }
  expectCode(await folder.docker(['compose', 'down', '-t', '0', '-v']), 0)
  return seen
}

for (const [title, shape] of Object.entries(SHAPES))
  test.concurrent(title, async () => {
    const plain = await asPlainCompose(shape)
    const folder = written(shape, 'shape')
    const look = async () => ({ facts: await factsOf(folder, shape.copied), answer: await answer(folder, shape.asks) })
    expectCode(await folder.stagecraft(['init', '--yes']), 0)
    for (const text of shape.suggests) expect(folder.read('stagecraft.yml')).toContain(text)
    beQuick(folder, Object.keys(plain.facts))

    const planned = await folder.stagecraft(['plan'])
    expectCode(planned, 0)
    for (const note of shape.notes) expect(planned.stdout).toContain(note)
    await deploy(folder, 'v1')
    expect(await look()).toEqual(plain)
    expect(await touchedBy(folder, () => deploy(folder, 'v2'))).toEqual([])
    expectCode(await folder.stagecraft(['plan', '--exit-code']), 0)

    folder.write('compose.yaml', folder.read('compose.yaml').replace(...shape.change))
    expect(await touchedBy(folder, () => deploy(folder, 'v3'))).toEqual([...shape.touched])
    expect(await look()).not.toEqual(plain)
    expect(await touchedBy(folder, async () => expectCode(await folder.stagecraft(['rollback']), 0))).toEqual([
      ...shape.touched,
    ])
    expect(await look()).toEqual(plain)
    const status = await folder.stagecraft(['status'])
    expectCode(status, 0)
    expect(status.stdout).toContain('as released')
  })

test('every obstacle is reported at once, and nothing is created', async () => {
  const files = {
    'compose.yaml': json({
      services: {
        web: { ...sleep, volumes: ['./museum.yaml:/museum.yaml:ro', './app.sock:/app.sock', './data:/data'] },
        two: { ...sleep, configs: ['conf'] },
      },
      configs: { conf: { file: './app.toml' } },
    }),
  }
  const folder = written({ files, change: ['', ''], touched: [], notes: [], suggests: [] }, 'missing')
  const refused = await folder.stagecraft(['deploy', '--version', 'v1'])
  expectCode(refused, 3)
  for (const text of ['3 errors', './museum.yaml into web', './app.sock into web', 'app.toml does not exist'])
    expect(refused.stderr).toContain(text)
  expect(refused.stderr).not.toContain('mkdir')
  expect([folder.exists('data'), folder.exists('.stagecraft/releases.json'), await folder.containers()]).toEqual([
    false,
    false,
    [],
  ])
})
