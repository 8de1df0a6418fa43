import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasMissingOutside } from '../../lib/compose/bind-mounts.ts'
import { EMPTY_FOLDER } from '../../lib/compose/content-store.ts'
import type { ComposeModel, Mount } from '../../lib/compose/model.ts'
import { isRenewed, looksLike } from '../../lib/compose/path-names.ts'
import { render } from '../../lib/compose/render.ts'
import type { RenderOptions } from '../../lib/compose/rendering.ts'
import { isEngineElsewhere } from '../../lib/hosts/engine-place.ts'
import { type Host, localHost } from '../../lib/hosts/host.ts'
import { refuseMissingOnHosts } from '../../lib/project/host-mounts.ts'
import { exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'

let root = ''
let app = ''
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'stagecraft-binds-')))
  app = join(root, 'app')
  fs.mkdirSync(app)
})
afterEach(() => fs.rmSync(root, { recursive: true }))

/** `./data:/data:ro` as Compose prints it; `@` is the folder around the project's. */
function short(text: string): Mount {
  const [source = '', target = '', mode] = text.split(':')
  const path = source.startsWith('@') ? source.replace('@', root) : fs.realpathSync(app) + source.slice(1)
  const where = source.startsWith('/') ? source : path
  return {
    type: 'bind',
    source: where,
    target,
    ...(mode === 'ro' ? { read_only: true } : {}),
    bind: { create_host_path: true },
  }
}

const model = (...volumes: Mount[]): ComposeModel => ({ name: 'shop', services: { web: { image: 'web', volumes } } })

/** @param volumes of web, `worker` has those that begin with a `+` */
function rendered(volumes: readonly (string | Mount)[], more: Partial<RenderOptions> = {}) {
  const isOthers = (mount: string | Mount) => typeof mount === 'string' && mount.startsWith('+')
  const read = (mount: string | Mount) => (typeof mount === 'string' ? short(mount.replace('+', '')) : mount)
  const mounts = volumes.filter((mount) => !isOthers(mount)).map(read)
  const worker = { image: 'worker', volumes: volumes.filter(isOthers).map(read) }
  const options = { directory: app, store: { folder: join(root, 'content'), write: true }, data: [], variables: {} }
  const { name, services } = model(...mounts)
  return render(
    { name, services: { ...services, ...(worker.volumes.length > 0 ? { worker } : {}) } },
    { ...options, ...more },
  )
}

function refused(volumes: readonly (string | Mount)[], more: Partial<RenderOptions> = {}): string {
  try {
    rendered(volumes, more)
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    const { kind, message, detail, hint } = error
    const lines = [message, detail, hint && `  hint: ${hint}`].filter(Boolean).join('\n')
    return `${kind}: ${lines.replaceAll(root, '/srv')}\n`
  }
  return 'fine'
}

const volumesOf = (rendering: ReturnType<typeof rendered>) => rendering.model.services['web']?.volumes ?? []

describe('a bind mount whose folder is not there', () => {
  test('is left to the engine where a service writes to it, and the plan says so', () => {
    const { data, warnings, ...rest } = rendered(['./data:/data', './up/loads:/up', '@/elsewhere:/e'])
    expect(data.map(({ path, why, creates }) => [path.replace(root, ''), why, creates])).toEqual([
      ['./data', 'a service writes to it', true],
      ['./up/loads', 'a service writes to it', true],
      ['/elsewhere', 'a service writes to it', true],
    ])
    expect(warnings).toEqual([])
    expect(volumesOf({ data, ...rest }).map(({ bind }) => bind)).toEqual(Array(3).fill({ create_host_path: true }))
    expect(fs.readdirSync(app)).toEqual([]) // a plan makes nothing, and a deploy leaves it to the engine
  })

  test('is an empty folder where it is only read, with a warning', () => {
    const { content, data, warnings, ...rest } = rendered(['./plugins:/plugins:ro'])
    expect([content, data]).toEqual([[{ name: './plugins', hash: EMPTY_FOLDER }], []])
    expect(warnings).toEqual(['./plugins does not exist: web gets an empty folder, until a deploy finds it'])
    const [mount] = volumesOf({ content, data, ...rest })
    expect(fs.readdirSync(mount?.source ?? '')).toEqual([])
    expect(fs.statSync(mount?.source ?? '').mode & 0o777).toBe(0o755)
    fs.mkdirSync(join(app, 'plugins'))
    fs.chmodSync(join(app, 'plugins'), 0o755)
    expect(rendered(['./plugins:/plugins:ro']).content).toEqual(content) // nothing changed by its being there
  })

  test('is refused where the Compose file says that nobody makes it, read or written', () => {
    const told = { ...short('./data:/data'), bind: {} }
    const hint =
      'hint: The Compose file forbids Docker to create it (create_host_path). Create it first: mkdir -p ./data\n'
    const expected = `config: Cannot mount ./data into web: it does not exist\n  ${hint}`
    expect([refused([told]), refused([{ ...told, read_only: true }])]).toEqual([expected, expected])
  })

  test('is made of a long form without `bind`, as Compose does it', () => {
    const { bind: _, ...long } = short('./data:/data')
    const rendering = rendered([long])
    expect(rendering.data[0]?.creates).toBe(true)
    expect(volumesOf(rendering)).toEqual([long])
  })

  test('is made in the folder of a host', () => {
    const { data, ...rest } = rendered(['./data:/data'], { dataAt: '/host/data' })
    expect(data).toEqual([{ path: './data', why: 'a service writes to it', at: '/host/data/data' }])
    expect(volumesOf({ data, ...rest })[0]?.bind).toEqual({ create_host_path: false })
  })
})

describe('a file that is mounted without :ro, on a host', () => {
  const HOST = { dataAt: '/host/data' }
  const file = (name: string) => fs.writeFileSync(join(app, name), 'text')

  test('is a copy that is mounted read-only, with a warning', () => {
    file('nginx.conf')
    const rendering = rendered(['./nginx.conf:/etc/nginx/nginx.conf', '+./nginx.conf:/etc/nginx/nginx.conf:ro'], HOST)
    expect(rendering.content.map(({ name }) => name)).toEqual(['./nginx.conf'])
    expect(rendering.data).toEqual([])
    expect(volumesOf(rendering)[0]).toMatchObject({ read_only: true, bind: { create_host_path: false } })
    expect(rendering.warnings).toEqual([
      './nginx.conf is mounted read-only into web, worker on the host: a file there is a copy, kept with the release. Say so with :ro; mount a folder for what a service writes',
    ])
  })

  test('stays where it is on this machine', () => {
    file('nginx.conf')
    expect(rendered(['./nginx.conf:/etc/nginx/nginx.conf']).data).toEqual([
      { path: './nginx.conf', why: 'a service writes to it' },
    ])
  })

  test.each(['app.db', 'acme.json', 'audit.log', 'state'])('is refused if a program writes it: %s', (name) => {
    file(name)
    expect(refused([`./${name}:/srv/${name}`], HOST)).toContain(
      `Cannot mount ./${name}: it is a file that a service writes to`,
    )
  })

  test('is refused if it is a link that leaves the project folder, as one with :ro is', () => {
    fs.writeFileSync(join(root, 'secret.conf'), 'text')
    fs.symlinkSync(join(root, 'secret.conf'), join(app, 'app.conf'))
    const message = 'it is a link that leaves the project folder'
    for (const mode of ['', ':ro']) expect(refused([`./app.conf:/app.conf${mode}`], HOST)).toContain(message)
  })

  test('is refused if data: lists it', () => {
    file('app.conf')
    expect(refused(['./app.conf:/app.conf'], { ...HOST, data: [join(app, 'app.conf')] })).toContain(
      'it is a file that a service',
    )
  })
})

describe('what is missing and is no folder', () => {
  test.each([
    './museum.yaml:/museum.yaml:ro',
    './museum.yaml:/museum.yaml',
    './conf:/etc/app/app.toml:ro',
    './acme.json:/acme.json',
    './Caddyfile:/etc/caddy/Caddyfile',
    '@/etc/localtime:/etc/localtime:ro',
    '@/run/docker.sock:/var/run/docker.sock',
  ])('is refused, and no hint says to make a folder of it: %s', (mount) => {
    const said = refused([mount])
    expect(said).toMatch(/^config: Cannot mount \S+ into web: it does not exist\n {2}hint: /)
    expect(said).not.toContain('mkdir')
  })

  test('is made from the example next to it, if there is one', () => {
    fs.writeFileSync(join(app, 'museum.example.yaml'), '')
    expect(refused(['./museum.yaml:/museum.yaml:ro'])).toContain(
      'hint: Create it from the example first: cp ./museum.example.yaml ./museum.yaml . Docker would mount an empty folder.',
    )
  })

  test('is all said at once', () => {
    fs.writeFileSync(join(app, 'file'), '')
    fs.symlinkSync('/no/such', join(app, 'link'))
    const volumes = [
      './museum.yaml:/museum.yaml:ro',
      '+./museum.yaml:/museum.yaml:ro',
      '+./ca.pem:/ca.pem:ro',
      '@/run/app.sock:/app.sock',
      './file/below:/below',
      './link:/link',
      './data:/data',
    ]
    expectGolden('core/compose.md', 'missing', refused(volumes).slice('config: '.length))
  })

  test('is the engine’s where it is on another machine, and on a host', () => {
    const volumes = ['/var/no/docker.sock:/var/run/docker.sock', '/etc/no/localtime:/etc/localtime:ro', '/no/data:/d']
    for (const more of [{ elsewhere: true }, { dataAt: '/host/data' }]) {
      const { data, warnings, ...rest } = rendered(volumes, more)
      expect([data.length, data.some(({ creates }) => creates), warnings]).toEqual([3, false, []])
      expect(volumesOf({ data, ...rest }).map(({ bind }) => bind?.['create_host_path'])).toEqual([false, false, true])
    }
    expect(refused(['./app.yml:/app.yml:ro'], { elsewhere: true })).toContain('./app.yml into web: it does not exist')
  })
})

describe('refuseMissingOnHosts()', () => {
  /** A host whose shell is this machine's. */
  const host = (name: string | undefined) => {
    const local = localHost(exec, '/none')
    return { ...local, isLocal: name === undefined, name, folder: name && '/host/folder' } as Host // a host has more that nobody asks here
  }

  async function said(name: string | undefined, ...mounts: string[]): Promise<string> {
    const rendering = rendered(mounts, { dataAt: '/host/folder/data' })
    const error = await refuseMissingOnHosts([{ project: { host: host(name) }, rendering }]).catch((e: unknown) => e)
    if (error !== undefined && !(error instanceof StagecraftError)) throw error
    return error === undefined ? 'fine' : `${error.message}\n${error.detail ?? ''}`.replaceAll(root, '')
  }

  test('looks there for what is no folder, and names all that is missing', async () => {
    fs.writeFileSync(join(root, 'there.sock'), '')
    const missing = [
      '@/a b.conf:/etc/a.conf:ro',
      "@/it's.sock:/x.sock",
      '@/there.sock:/y.sock',
      '@/folder:/z',
      './d:/d',
    ]
    const error = await said('web-1', ...missing)
    expect(error).toStartWith('Cannot use the Compose file: 2 errors\n')
    expect(error).toContain('Cannot mount /a b.conf into web: web-1 does not have it')
    expect(error).toContain("Cannot mount /it's.sock into web: web-1 does not have it")
    expect(await said('web-1', '@/there.sock:/y.sock', '@/folder:/z')).toBe('fine')
    expect(await said(undefined, '@/no.sock:/y.sock')).toBe('fine') // this machine's are looked for by render()
  })
})

describe('isEngineElsewhere()', () => {
  const says = (stdout: string, code = 0) =>
    isEngineElsewhere(async (argv) => ({ argv, code, stdout, stderr: '', timedOut: false }))

  test('goes by the name of the engine’s machine', async () => {
    const own = hostname()
    expect([await says(`${own}\n`), await says('other\n'), await says('', 1)]).toEqual([false, true, true])
  })

  test('is asked where something outside of the project is missing', () => {
    const missing = (text: string) => hasMissingOutside(model(short(text)), app)
    expect([missing('./data:/d'), missing('@/no:/d'), missing('@:/d')]).toEqual([false, true, false])
  })
})

describe('looksLike()', () => {
  test.each<[string, string, string]>([
    ['/a/data', '/data', 'folder'],
    ['/a/conf.d', '/etc/nginx/conf.d', 'folder'],
    ['/a/v1.2', '/v', 'folder'],
    ['/home/me/.app', '/app', 'folder'],
    ['/home/me/.config', '/config', 'folder'],
    ['/a/example.com', '/www', 'folder'],
    ['/a/app.yml', '/app.yml', 'file'],
    ['/a/thing', '/etc/thing.conf', 'file'],
    ['/a/.env', '/app/.env', 'file'],
    ['/a/.env.prod', '/x', 'file'],
    ['/etc/localtime', '/etc/localtime', 'file'],
    ['/a/hosts', '/data/hosts', 'folder'],
    ['/var/run/docker.sock', '/var/run/docker.sock', 'socket'],
    ['/a', '/run/x.sock', 'socket'],
  ])('%s at %s is a %s', (source, target, expected) => {
    expect(looksLike(source, target)).toBe(expected as 'folder')
  })

  test('isRenewed() knows the usual names of certificates', () => {
    const paths = ['./certs', './letsencrypt/live', './acme.json', './nginx/ssl', './conf', './assets']
    expect(paths.filter(isRenewed)).toEqual(['./certs', './letsencrypt/live', './acme.json', './nginx/ssl'])
  })
})
