import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ComposeModel, Mount, Service } from '../../lib/compose/model.ts'
import { render, withoutBuildAndOrder } from '../../lib/compose/render.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

let root = ''
let app = ''
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'stagecraft-render-')))
  app = join(root, 'app')
  fs.mkdirSync(app)
})
afterEach(() => fs.rmSync(root, { recursive: true }))

function write(path: string, text: string, mode = 0o644): string {
  const whole = join(root, path)
  fs.mkdirSync(join(whole, '..'), { recursive: true })
  fs.writeFileSync(whole, text)
  fs.chmodSync(whole, mode)
  return whole
}

interface Options {
  readonly data?: readonly string[]
  readonly variables?: Readonly<Record<string, string>>
  readonly write?: boolean
}

function rendered(parts: Omit<ComposeModel, 'name'>, { data = [], variables = {}, write = true }: Options = {}) {
  const store = { folder: join(root, 'content'), write }
  return render({ name: 'shop', ...parts }, { directory: app, store, data, variables })
}

const bind = (source: string, more: Partial<Mount> = {}): Mount => ({
  type: 'bind',
  source,
  target: '/mounted',
  read_only: true,
  bind: { create_host_path: true },
  ...more,
})
const withBinds = (...volumes: Mount[]) => ({ services: { web: { image: 'web', volumes } } })

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof StagecraftError) return `${error.kind}: ${error.message}\n${error.hint}`.replaceAll(root, '')
    throw error
  }
  return 'fine'
}

describe('render()', () => {
  test('drops what Compose would build, order or watch by, and keeps everything else', () => {
    const kept = {
      image: 'web',
      command: ['a'],
      entrypoint: null,
      labels: { a: 'b' },
      networks: { default: null },
      cpus: 0.5,
    }
    const dropped: Service = {
      build: { context: '.' },
      depends_on: { db: { condition: 'service_started' } },
      profiles: ['a'],
      develop: { watch: [] },
      pull_policy: 'always',
      'x-anything': { a: 1 },
    }
    const parts = { networks: { default: { name: 'n' } }, volumes: { v: { name: 'v' } }, 'x-top': { a: 1 } }
    const { model } = rendered({ services: { web: { ...kept, ...dropped } }, ...parts })
    const { 'x-top': _, ...rest } = parts
    expect(model).toEqual({ name: 'shop', services: { web: kept }, ...rest })
    expect(withoutBuildAndOrder({ name: 'shop', services: { web: { ...kept, ...dropped } } }).services).toEqual({
      web: kept,
    })
  })

  test('mounts read-only files of the project by content', () => {
    const file = write('app/conf/nginx.conf', 'listen 80', 0o600)
    const { model, content, data } = rendered(withBinds(bind(file), bind(join(app, 'conf'))))
    const [one, two] = model.services['web']?.volumes ?? []
    expect(content.map(({ name }) => name)).toEqual(['./conf', './conf/nginx.conf'])
    expect(data).toEqual([])
    expect(one).toEqual({
      type: 'bind',
      source: join(root, 'content', content[1]?.hash ?? ''),
      target: '/mounted',
      read_only: true,
      bind: { create_host_path: false },
    })
    expect(fs.readFileSync(one?.source ?? '', 'utf8')).toBe('listen 80')
    expect(fs.statSync(one?.source ?? '').mode & 0o777).toBe(0o600)
    expect(fs.readdirSync(two?.source ?? '')).toEqual(['nginx.conf'])
  })

  test('writes nothing for a plan, and comes to the same', () => {
    const parts = {
      ...withBinds(bind(write('app/a', 'a'))),
      secrets: { token: { name: 'shop_token', file: write('app/token', 't') } },
      configs: { inline: { content: 'text' } },
    }
    const dry = rendered(parts, { write: false })
    expect(fs.existsSync(join(root, 'content'))).toBe(false)
    expect(rendered(parts)).toEqual(dry)
  })

  test.each<[string, () => Mount[], Options, string]>([
    [
      'a path that it writes to',
      () => [bind(write('app/d/f', ''), { read_only: false })],
      {},
      'a service writes to it',
    ],
    [
      'a path below one that somebody writes to',
      () => [bind(write('app/d/f', '')), bind(join(app, 'd'), { read_only: false })],
      {},
      'a service writes to it',
    ],
    [
      'a path above one that somebody writes to',
      () => [bind(join(write('app/d/f', ''), '..')), bind(join(app, 'd/f'), { read_only: false })],
      {},
      'a service writes to it',
    ],
    ['what is listed', () => [bind(write('app/d/f', ''))], { data: ['d'] }, 'listed under data:'],
    [
      'what holds something that is listed',
      () => [bind(join(write('app/d/f', ''), '..'))],
      { data: ['d/f'] },
      'listed under data:',
    ],
    ['the project folder', () => [bind(app)], {}, 'the project folder itself'],
    ['what is elsewhere', () => [bind(write('etc/hosts', ''))], {}, 'outside the project folder'],
  ])('leaves where it is: %s', (_, mounts, options, why) => {
    const volumes = mounts()
    const { model, content, data } = rendered(withBinds(...volumes), {
      data: (options.data ?? []).map((path) => join(app, path)),
    })
    expect(content).toEqual([])
    expect(model.services['web']?.volumes).toEqual(volumes)
    expect(new Set(data.map((entry) => entry.why))).toEqual(new Set([why]))
  })

  test('leaves other kinds of mounts alone', () => {
    const volumes: Mount[] = [
      { type: 'volume', source: 'data', target: '/data', volume: {} },
      { type: 'tmpfs', target: '/tmp' },
    ]
    expect(rendered(withBinds(...volumes)).model.services['web']?.volumes).toEqual(volumes)
  })

  test('refuses a link out of the project folder', () => {
    write('secret', 's')
    fs.symlinkSync('../secret', join(app, 'link'))
    expect(refusal(() => rendered(withBinds(bind(join(app, 'link')))))).toBe(
      'config: Cannot keep /app/link: it is a link that leaves the project folder\n' +
        'Mount the path that it points to, or list it under `data:` in stagecraft.yml: it then stays where it is.',
    )
    expect(rendered(withBinds(bind(join(app, 'link'))), { data: [join(app, 'link')] }).content).toEqual([])
  })
})

describe('render() of configs and secrets', () => {
  test('puts the hash into the key, the name and the source, and keeps the target', () => {
    const files = {
      app: { name: 'shop_app', file: write('app/app.toml', 'a') },
      token: { name: 'shop_token', file: write('app/token', 't', 0o600) },
    }
    const services = {
      web: {
        configs: [{ source: 'app' }, { source: 'app', target: '/etc/app', mode: 0o440 }],
        secrets: [{ source: 'token', target: '/run/secrets/token' }, { source: 'token' }],
      },
    }
    const { model, content } = rendered({ services, configs: { app: files.app }, secrets: { token: files.token } })
    const [app, token] = content.map(({ hash }) => hash)
    const [a, t] = [app?.slice(0, 12), token?.slice(0, 12)]
    expect(content.map(({ name }) => name)).toEqual(['config app', 'secret token'])
    expect(model).toEqual({
      name: 'shop',
      services: {
        web: {
          configs: [
            { source: `app-${a}`, target: '/app' },
            { source: `app-${a}`, target: '/etc/app', mode: 0o440 },
          ],
          secrets: [
            { source: `token-${t}`, target: '/run/secrets/token' },
            { source: `token-${t}`, target: '/run/secrets/token' },
          ],
        },
      },
      configs: { [`app-${a}`]: { name: `shop_app-${a}`, file: join(root, 'content', app ?? '') } },
      secrets: { [`token-${t}`]: { name: `shop_token-${t}`, file: join(root, 'content', token ?? '') } },
    })
    expect(fs.statSync(join(root, 'content', token ?? '')).mode & 0o777).toBe(0o600)
  })

  test('makes files of inline and environment ones, with the mode that a service asks for', () => {
    const services = {
      web: {
        configs: [{ source: 'inline', target: '/a', mode: 0o400 }],
        secrets: [{ source: 'password', mode: '0440' }, { source: 'open' }],
      },
    }
    const parts = {
      services,
      configs: { inline: { content: 'cost: $5\n' } },
      secrets: { password: { environment: 'PASSWORD' }, open: { environment: 'UNSET' } },
    }
    const { model, owned = [] } = rendered(parts, { variables: { PASSWORD: 'a $b\n' } })
    const files = { ...model.configs, ...model.secrets }
    const found = Object.entries(files).map(([key, { file = '' }]) => [
      key.replace(/-[0-9a-f]{12}$/, ''),
      fs.readFileSync(file, 'utf8'),
      (fs.statSync(file).mode & 0o777).toString(8),
    ])
    expect(found).toEqual([
      ['inline', 'cost: $5\n', '400'],
      ['password', 'a $b\n', '400'],
      ['open', '', '444'],
    ])
    expect(owned.map(({ mode }) => mode.toString(8))).toEqual(['400', '440']) // which the engine gives them
  })

  test('are another file for each owner and mode that a service asks for', () => {
    const text = (mode: number, more: object = {}) => ({ source: 'text', target: '/t', mode, ...more })
    const services = {
      a: { configs: [text(0o400, { uid: '1000', gid: '1001' })] },
      b: { configs: [text(0o400)] },
      c: { configs: [{ source: 'text', target: '/t' }] },
      d: { configs: [text(0o400, { uid: '1000', gid: '1001' })] },
    }
    const { model, content, owned = [] } = rendered({ services, configs: { text: { content: 'words' } } })
    const sources = Object.values(model.services).map((service) => service.configs?.[0]?.source ?? '')
    expect(new Set(sources).size).toBe(3)
    expect(sources[0]).toBe(sources[3] ?? '')
    expect(Object.keys(model.configs ?? {}).toSorted()).toEqual([...new Set(sources)].toSorted())
    expect(owned.map(({ uid, gid, mode, text }) => [uid, gid, mode, text])).toEqual([
      [1000, 1001, 0o400, 'words'],
      [0, 0, 0o400, 'words'],
    ])
    expect(content.map(({ name }) => name)).toEqual(['config text', 'config text (2)', 'config text (3)'])
    const modes = Object.values(model.configs ?? {}).map(({ file = '' }) => fs.statSync(file).mode & 0o777)
    expect(modes.toSorted()).toEqual([0o400, 0o400, 0o444].toSorted())
  })

  test('refuses an owner that is a name, as the engine knows none', () => {
    const services = { web: { configs: [{ source: 'text', uid: 'www-data' }] } }
    expect(refusal(() => rendered({ services, configs: { text: { content: 'words' } } }))).toStartWith(
      'config: Cannot give config text the uid "www-data": it is not a number',
    )
  })

  test('leaves external ones alone', () => {
    const parts = {
      services: { web: { configs: [{ source: 'shared' }] } },
      configs: { shared: { name: 's', external: true } },
    }
    expect(rendered(parts).model).toEqual({ name: 'shop', ...parts })
  })

  test('refuses a file that does not exist', () => {
    const secrets = { token: { file: join(app, 'token') } }
    expect(refusal(() => rendered({ services: { web: { secrets: [{ source: 'token' }] } }, secrets }))).toStartWith(
      'config: Cannot read secret token: its file /app/token does not exist',
    )
    expect(rendered({ services: {}, secrets }).model.secrets).toEqual({}) // nobody mounts it: Compose does not look either
  })

  test('refuses what is too large to be kept', () => {
    const file = write('app/big', '')
    fs.truncateSync(file, 51 * 1024 * 1024)
    expect(refusal(() => rendered({ services: {}, configs: { big: { file } } }))).toStartWith(
      'config: Cannot keep config big: it is larger than 50 MB',
    )
  })
})
