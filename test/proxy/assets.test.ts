import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Route } from '../../lib/plan/routes/table.ts'
import { withAssets } from '../../lib/proxy/caddy/assets.ts'
import { caddyConfig } from '../../lib/proxy/caddy/config.ts'
import { LINK, STORE } from '../../lib/proxy/inside/assets.ts'
import { FORGET, PROXY_FOLDER } from '../../lib/proxy/inside/scripts.ts'
import { exec } from '../../lib/system/exec.ts'

// The scripts themselves, in a POSIX shell: `from` is what the image has.
let folder = ''
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'stagecraft-assets-'))
  for (const name of ['from', 'bin', 'keys']) fs.mkdirSync(at(name))
  write('keys/secret.pem', 'secret')
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

const at = (path: string) => join(folder, path)
function write(path: string, text = path, mode = 0o644): void {
  fs.mkdirSync(dirname(at(path)), { recursive: true })
  fs.writeFileSync(at(path), text, { mode })
}

function run(script: string, ...args: string[]) {
  const env = { PATH: `${at('bin')}:${process.env['PATH']}` }
  const own = script.replaceAll(PROXY_FOLDER, folder).replaceAll('/from', at('from'))
  return exec(['sh', '-c', own, 'script', ...args], { env, timeout: 60_000 })
}
const store = (set: string, { path = '/assets', kib = 1024, files = 20 } = {}) =>
  run(STORE, 'shop', set, path, String(kib), String(files))
const link = (...links: string[]) => run(LINK, 'shop', ...links)
/** All below a folder, with what is no file marked. */
const tree = (path: string) =>
  fs
    .readdirSync(at(path), { recursive: true, withFileTypes: true })
    .flatMap((entry) => {
      const name = join(entry.parentPath, entry.name).slice(at(path).length + 1)
      return entry.isDirectory() ? [] : [entry.isFile() ? name : `${name} (no file)`]
    })
    .toSorted()
/** A program that is found before the real one. */
const stub = (name: string, text: string) => write(`bin/${name}`, `#!/bin/sh\n${text}\n`, 0o755)

describe('storing', () => {
  test('takes regular files, below their path, readable for the proxy; no link, no pipe, nothing hidden', async () => {
    for (const name of ['app.js', 'a b/[slug].css', '.env', '.git/config', 'a b/.map']) write(`from/${name}`)
    write('from/private.js', 'x', 0o600)
    fs.symlinkSync(at('keys'), at('from/keys'))
    fs.symlinkSync(at('keys/secret.pem'), at('from/leak.txt'))
    fs.symlinkSync('../keys/secret.pem', at('from/leak2.txt'))
    Bun.spawnSync(['mkfifo', at('from/pipe')])
    const old = new Date('2001-01-01')
    fs.utimesSync(at('from/app.js'), old, old)
    expect((await store('one')).code).toBe(0)
    expect(tree('assets/sets')).toEqual([
      'shop/one/assets/a b/[slug].css',
      'shop/one/assets/app.js',
      'shop/one/assets/private.js',
    ])
    expect(fs.statSync(at('assets/sets/shop/one/assets/private.js')).mode & 0o777).toBe(0o644)
    // An ETag and a Last-Modified of its own: of no file of the service.
    expect(fs.statSync(at('assets/sets/shop/one/assets/app.js')).mtime.getFullYear()).toBeGreaterThan(2001)
    expect(fs.readFileSync(at('keys/secret.pem'), 'utf8')).toBe('secret')
    expect((await store('two', { path: '' })).code).toBe(0)
    expect(fs.readFileSync(at('assets/sets/shop/two/app.js'), 'utf8')).toBe('from/app.js')
  })

  test.each([
    ['nothing', 66, [], {}],
    ['only what is hidden', 66, ['.env'], {}],
    ['more files than may be', 67, ['a', 'b/c'], { files: 3 }],
    ['more bytes than may be', 67, ['a'], { kib: 1 }],
  ] as const)('of %s makes a set without files, and says so', async (_, code, files, limits) => {
    for (const name of files) write(`from/${name}`, 'x'.repeat(9000))
    expect((await store('one', limits)).code).toBe(code)
    expect([fs.readdirSync(at('assets/sets/shop')), tree('assets/sets')]).toEqual([['one'], []])
  })

  test('that fails leaves nothing, and a killed one is replaced', async () => {
    write('from/app.js')
    write('assets/sets/shop/.new/left.js')
    stub('cp', 'echo no space >&2; touch "$3/half"; exit 1')
    const { code, stderr } = await store('one')
    expect([code, stderr.trim(), fs.readdirSync(at('assets/sets/shop'))]).toEqual([1, 'no space', []])
    fs.rmSync(at('bin/cp'))
    write('assets/sets/shop/.new/left.js')
    expect((await store('one')).code).toBe(0)
    expect(tree('assets/sets')).toEqual(['shop/one/assets/app.js'])
  })
})

describe('linking', () => {
  const seen = () =>
    Object.fromEntries(
      fs.readdirSync(at('assets/now/shop')).flatMap((name) => {
        const file = at(`assets/now/shop/${name}/text`)
        return name === '.list' ? [] : [[name, fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : 'missing']]
      }),
    )
  const set = (name: string) => write(`assets/sets/shop/${name}/text`, name)

  test('makes exactly these answer, removes others, and says which are missing', async () => {
    for (const name of ['one', 'two', '.new']) set(name)
    write('assets/sets/shop-2/one/text')
    write('assets/now/.shop-2.1.1/x')
    write('assets/now/.shop.1.1/left')
    expect((await link('web.0=three', 'web.1=two', 'docs.0=two')).stdout).toBe('three\n')
    expect(seen()).toEqual({ 'web.0': 'missing', 'web.1': 'two', 'docs.0': 'two' })
    set('three')
    expect(seen()['web.0']).toBe('three')
    expect(fs.readdirSync(at('assets/sets/shop')).toSorted()).toEqual(['three', 'two'])
    expect(fs.readdirSync(at('assets/now')).filter((name) => !name.startsWith('.shop.'))).toEqual([
      '.shop-2.1.1',
      'shop',
    ])
    const before = fs.readlinkSync(at('assets/now/shop'))
    expect((await link('web.0=three', 'web.1=two', 'docs.0=two')).stdout).toBe('')
    expect(fs.readlinkSync(at('assets/now/shop'))).toBe(before)
    expect((await link()).code).toBe(0)
    expect([fs.readdirSync(at('assets/now')), fs.readdirSync(at('assets/sets'))]).toEqual([['.shop-2.1.1'], ['shop-2']])
  })

  test('ends with the last live slot of a project', async () => {
    set('one')
    await link('web.0=one')
    for (const path of ['live/shop/web.a', 'assets/sets/shop-2/one/text', 'assets/now/shop-2/x']) write(path)
    expect((await run(FORGET, 'shop')).code).toBe(0)
    expect(tree('assets')).toEqual(['now/shop-2/x', 'sets/shop-2/one/text'])
  })

  test('that fails leaves what there was', async () => {
    for (const name of ['one', 'two']) set(name)
    await link('web.0=one')
    set('two')
    stub('ln', 'echo no space >&2; exit 1')
    expect((await link('web.0=two', 'web.1=one')).code).not.toBe(0)
    expect(seen()).toEqual({ 'web.0': 'one' })
    fs.rmSync(at('bin/ln'))
    expect((await link('web.0=two', 'web.1=one')).code).toBe(0)
    expect(seen()).toEqual({ 'web.0': 'two', 'web.1': 'one' })
    expect(fs.readdirSync(at('assets/now'))).toHaveLength(2)
  })
})

describe('Caddy', () => {
  const assets = { path: '/assets', folder: '/app/public' }

  test('asks the service first, then looks for a file, then passes the answer on', () => {
    const [answer] = JSON.parse(JSON.stringify(withAssets(assets, 'shop', 'web')))
    expect(answer.match).toEqual({ status_code: [404] })
    const [{ match, handle }, otherwise] = answer.routes
    const [{ file, ...asked }] = match
    expect(asked).toEqual({ method: ['GET', 'HEAD'], path: ['/assets/*'], not: [{ path: ['*/'] }] })
    expect([file.root, file.try_files.slice(0, 2), file.try_files.length]).toEqual([
      '/config/stagecraft/assets/now/shop',
      ['/web.0{http.request.uri.path}', '/web.1{http.request.uri.path}'],
      10,
    ])
    expect(handle.slice(0, 2)).toEqual([
      {
        handler: 'headers',
        response: { set: { 'Cache-Control': ['no-cache'] }, require: { status_code: [2, 3] }, deferred: true },
      },
      { handler: 'file_server', root: '/config/stagecraft/assets/now/shop/web.0', index_names: [], pass_thru: true },
    ])
    expect([handle.length, otherwise]).toEqual([11, { handle: [{ handler: 'copy_response' }] }])
  })

  test('has it for visitors of a service with the setting alone', () => {
    const route: Route = { service: 'web', hosts: ['a.test'], path: '/', tls: 'off', ports: { a: 1, b: 1 } }
    const internal = { port: 80, names: ['web'], networks: ['n'], subnets: ['10.0.0.0/24'] }
    const count = (more: Partial<Route>) =>
      JSON.stringify(caddyConfig({ shop: [{ ...route, ...more }] })).split('handle_response').length - 1
    expect([count({}), count({ rules: { assets } }), count({ internal, rules: { assets } })]).toEqual([0, 3, 3])
  })

  test('is asked for any path if that is /', () => {
    expect(JSON.stringify(withAssets({ ...assets, path: '/' }, 'shop', 'web'))).toContain('"path":["/*"]')
  })
})
