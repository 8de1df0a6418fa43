import { expect } from 'bun:test'
import { deploy, expectCode, httpd, sharedFolders, until, writeApp } from './app.ts'
import { app, ask, h1, lab, name, page } from './proxied.ts'

// What the proxy does with a request before the service gets it, as curl sees it.
const [shop] = sharedFolders(h1, 'rules')
const PASSWORD = 'correct horse'
const HASH = Bun.password.hashSync(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
const release = (version: string, rules: object) => {
  const text = 'word '.repeat(500).trim()
  writeApp(shop, app(shop, { web: page(text) }, { web: { expose: { host: name(shop), port: 80, ...rules } } }))
  return deploy(shop, version)
}
const asked = (path = '/', ...flags: string[]) => ask(name(shop), path, flags)
/** The status line and headers of an answer, in lower case. */
const head = async (path = '/', ...flags: string[]) =>
  (await ask(name(shop), path, ['-D', '-', '-o', '/dev/null', ...flags])).body.toLowerCase()

lab('access by password and by address; no output contains a hash', async () => {
  await release('v1', { tls: 'internal', auth: { ops: HASH }, headers: { 'X-Frame-Options': 'DENY', Server: null } })
  const unknown = async () => (await asked('/', '-L')).status
  await until('its certificate is there', async () => (await unknown()) === 401 || `${await unknown()}`)
  expect((await asked('/', '-L', '-u', 'ops:wrong', '--location-trusted')).status).toBe(401)
  expect((await asked('/', '-L', '-u', `ops:${PASSWORD}`, '--location-trusted')).body).toStartWith('word word')
  const refused = await head('/', '-L')
  expect(refused).toContain('x-frame-options: deny')
  expect(refused).toContain('www-authenticate: basic')
  expect(refused.slice(refused.indexOf('401'))).not.toContain('server:')
  await release('v2', { tls: 'off', trusted_proxies: [], allow: ['203.0.113.7'] })
  expect(await asked()).toEqual({ status: 403, body: 'Access to this site is not allowed from here.' })
  for (const command of [
    ['plan', '--json'],
    ['status', '--json'],
    ['releases', 'show', '--json'],
    ['releases', 'diff'],
  ]) {
    const { stdout, stderr } = await shop.stagecraft(command)
    expect([command, `${stdout}${stderr}`.includes(HASH)]).toEqual([command, false])
  }
  const rules = { expose: { host: name(shop), port: 80, tls: 'off' } }
  writeApp(shop, app(shop, { web: page('x') }, { web: rules }))
  expect((await shop.stagecraft(['plan'])).stdout).toContain(`reroute  http://${name(shop)} (rules: none)`)
  await release('v3', { tls: 'off', trusted_proxies: [], allow: ['0.0.0.0/0', '::/0'] })
  expect((await asked()).status).toBe(200)
  expectCode(await shop.stagecraft(['rollback', '--yes']), 0)
  expect((await asked()).status).toBe(403)
})

lab('requests and responses: size, compression, path, HTTP alongside HTTPS', async () => {
  await release('v4', { tls: 'internal', http: 'serve', max_body: '1kB', compress: true, access_log: true })
  expect((await asked()).status).toBe(200)
  const sent = async (bytes: number) => (await asked('/', '--data', 'x'.repeat(bytes))).status
  expect([await sent(1001), await sent(1000)]).toEqual([413, 501]) // busybox takes no POST
  expect(await head('/', '-H', 'Accept-Encoding: gzip')).toContain('content-encoding: gzip')
  expect(await head()).not.toContain('content-encoding')
  expect((await shop.stagecraft(['plan'])).stdout).toContain('Nothing to do')
  expect((await asked('/api/?token=1', '-H', 'X-Api-Key: secret', '-A', 'me')).status).toBe(200)
  const logged = () => shop.stagecraft(['logs', '--access', '-n', '1'])
  await until('it is logged', async () => (await logged()).stdout.includes('/api/') || 'not yet')
  expect((await logged()).stdout).toMatch(/^web \| .* GET [^ ]*\/api\/\?REDACTED 200, \d+ B in \d+ ms, me\n$/)
  const { stdout: file } = await h1.docker([
    'exec',
    'stagecraft-proxy',
    'cat',
    `/config/stagecraft/access/${shop.name}.access.log`,
  ])
  expect([file.includes('token=1'), file.includes('secret'), file.includes('"status":413')]).toEqual([
    false,
    false,
    true,
  ])
  await release('v5', { tls: 'off', path: '/under', strip_path: true })
  expect((await asked('/under/api/')).body).toEndWith('word api')
  expect((await asked('/under')).status).toBe(200)
  expect((await asked('/api/')).status).toBe(404)
  const slow = `mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho once >>/www/asked; sleep 30\\n' >/www/cgi-bin/slow; chmod +x /www/cgi-bin/slow`
  const web = page('x', { command: ['sh', '-c', `${slow}; echo x >/www/index.html; exec ${httpd('/www').join(' ')}`] })
  const expose = { host: name(shop), port: 80, tls: 'off', timeout: '4s', error_pages: 'oops.html' }
  writeApp(shop, app(shop, { web }, { web: { expose } }))
  shop.write('oops.html', '<h1>{http.request.host} is late</h1>')
  expect((await shop.stagecraft(['plan'])).stdout).toContain('(rules: error_pages, timeout)')
  await deploy(shop, 'v6')
  expect(await asked('/cgi-bin/slow')).toEqual({ status: 504, body: '<h1>{http.request.host} is late</h1>' })
  expect([(await asked()).body, (await asked('/nowhere')).body]).toEqual(['x', expect.stringContaining('404')])
  // One request only: Caddy would retry for 10 s.
  expect((await shop.stagecraft(['exec', 'web', '--', 'cat', '/www/asked'])).stdout).toBe('once\n')
  const own = (...caddy: object[]) => writeApp(shop, app(shop, { web }, { web: { expose: { ...expose, caddy } } }))
  own({ handler: 'headers', response: { add: 'X' } })
  const refused = await shop.stagecraft(['deploy', '--version', 'v7'])
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('Caddy refuses its `caddy` handlers')])
  own({ handler: 'headers', response: { set: { 'X-Path': ['{http.request.uri.path}'] } } })
  shop.write('oops.html', 'late')
  expect((await shop.stagecraft(['plan'])).stdout).toContain('(rules: caddy, error_pages, timeout)')
  await deploy(shop, 'v7')
  expect(await head('/nowhere')).toContain('x-path: /nowhere')
  expect(await asked('/cgi-bin/slow', '-X', 'POST', '-H', 'Range: bytes=1-2')).toEqual({ status: 504, body: 'late' })
})
