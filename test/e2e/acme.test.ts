import { afterAll, beforeAll, expect } from 'bun:test'
import { type Acme, startAcme } from '../support/acme.ts'
import { isUp } from '../support/lab.ts'
import { deploy, expectCode, idle, QUICK_STOP, sharedFolders, until, writeApp, writePage } from './app.ts'
import { app, askSecurely, h1, lab, name, page, renewAlways, type Served, served } from './proxied.ts'

// Certificates of Let's Encrypt's test server. It validates each name at the host's ports 80 and 443.
const [shop, blog, open] = sharedFolders(h1, 'acme-shop', 'acme-blog', 'acme-open')
const REFUSED = `${shop.name}-refused.test`
/** of a certificate's life */
const SECONDS = 600
/** its HTTP-01, and the TLS-ALPN-01 of one that wants accounts it has made */
let acme: Acme
let bound: Acme
beforeAll(async () => {
  if (!isUp('h1')) return
  acme = await startAcme({ ip: h1.ip, seconds: SECONDS, blocked: [REFUSED], challenge: 'http-01' })
  bound = await startAcme({ ip: h1.ip, isBound: true, challenge: 'tls-alpn-01' })
})
afterAll(() => Promise.all([acme?.remove(), bound?.remove()]))

const secure = (...host: string[]) => ({ expose: { host, port: 80 } })
/** The environment's CA: an address in the lab, which Caddy trusts by its root alone. */
const ca = (server: Acme, more: object = {}) => ({
  environments: {
    local: { proxy: { acme: { ca: server.ca, ca_root: 'root.pem', email: 'ops@example.com', ...more } } },
  },
})

lab('after the first deploy the first HTTPS request works: the certificate is there', async () => {
  shop.write('root.pem', acme.root)
  writeApp(shop, { ...app(shop, { web: page('one'), worker: idle }, { web: secure(name(shop)) }), ...ca(acme) })
  await deploy(shop, 'v1')
  expect(await served(name(shop), await acme.issuer())).toMatchObject({ body: 'one' })
  const { code, stdout } = await shop.stagecraft(['status'])
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/CERTIFICATE +UNTIL +ISSUER\n\S*acme-shop\S+ +\d{4}-\S+ \S+ +Pebble/),
  ])
})

lab(
  'another project has a CA of its own, and an account there; its key is in no file that others can read',
  async () => {
    blog.write('root.pem', bound.root)
    blog.write('eab', bound.eab.key)
    const eab = { eab: { key_id: bound.eab.id, hmac_key_env: 'EAB_KEY' } }
    const { environments } = ca(bound, eab)
    const secrets = { EAB_KEY: { file: 'eab' } }
    writeApp(blog, {
      ...app(blog, { web: page('blog') }, { web: secure(name(blog)) }),
      environments: { local: { ...environments.local, secrets } },
    })
    const { stdout, stderr } = await deploy(blog, 'v1')
    expect(`${stdout}${stderr}`).not.toContain(bound.eab.key)
    expect(await served(name(blog), await bound.issuer())).toMatchObject({ body: 'blog' })
    expect(await askSecurely(name(blog), await acme.issuer())).toContain('unable to get local issuer certificate')
    const found = 'find /config /data -type f -exec grep -lF "$0" {} + | xargs stat -c "%A %n"'
    const { stdout: files } = await h1.docker(['exec', 'stagecraft-proxy', 'sh', '-c', found, bound.eab.key])
    expect(files.trim()).toMatch(new RegExp(`^-rw------- /config/stagecraft/keys/${blog.name}/\\w+$`))
    expect((await shop.stagecraft(['status'])).code).toBe(0)
  },
)

/** Writes a service that answers `body`, and these statuses for names that begin with `yes`, and for others. */
function writeAllowing(body: string, yes: string, no: string): void {
  writePage(open, body)
  const script = `case $QUERY_STRING in domain=yes*) s='${yes}' ;; *) s='${no}' ;; esac`
  open.write('web/allowed', `#!/bin/sh\n${script}\nprintf 'Status: %s\\r\\n\\r\\n' "$s"\n`)
  const image = open.read('web/Dockerfile')
  open.write('web/Dockerfile', `${image}COPY allowed /www/cgi-bin/\nRUN chmod +x /www/cgi-bin/allowed\n`)
}

lab('a name that the service allows gets a certificate at its first visit, and no other name does', async () => {
  open.write('root.pem', acme.root)
  const host = [name(open), `*.${name(open)}`]
  const expose = { host, port: 80, tls: { ask: '/cgi-bin/allowed' } }
  writeApp(open, { ...app(open, { web: { build: './web', ...QUICK_STOP } }, { web: { expose } }), ...ca(acme) })
  writeAllowing('one', '200 OK', '404 Not Found')
  const { stderr } = await deploy(open, 'v1')
  expect(stderr).not.toContain('certificate')
  const roots = await acme.issuer()
  const below = (label: string) => `${label}.${name(open)}`
  const [yes, other, no] = [below('yes-1'), below('yes-2'), below('no')]
  expect(await served(yes, roots)).toMatchObject({ body: 'one' })
  expect(await askSecurely(no, roots)).toContain('tls')
  const { code, stdout } = await open.stagecraft(['status'])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^\*\.\S*acme-open\S+ +- +on demand$/m)])
  writeAllowing('two', '500 No', '500 No')
  const failing = await deploy(open, 'v2')
  const why = 'web, asked for /cgi-bin/allowed, answers 500'
  expect(failing.stderr).toContain(`no new name of *.${name(open)} gets a certificate: ${why}`)
  expect([await served(yes, roots), typeof (await askSecurely(other, roots))]).toEqual([
    expect.objectContaining({ body: 'two' }),
    'string',
  ])
  const status = await open.stagecraft(['status'])
  expect([status.code, status.stdout]).toEqual([5, expect.stringContaining(`: no new name gets one: ${why}`)])
})

lab('a certificate is renewed while a release is rolled out: no request fails', async () => {
  const roots = await acme.issuer()
  await renewing(roots)
  const first = await served(name(shop), roots)
  const seen: (Served | string)[] = []
  let isOver = false
  const asking = (async () => {
    while (!isOver) seen.push(await askSecurely(name(shop), roots))
  })()
  writeApp(shop, { ...app(shop, { web: page('two'), worker: idle }, { web: secure(name(shop)) }), ...ca(acme) })
  await deploy(shop, 'v2')
  await until('another certificate is served', async () => {
    const last = seen.at(-1)
    return (typeof last === 'object' && last.until > first.until) || `the last is ${JSON.stringify(last)}`
  })
  isOver = true
  await asking
  expect(seen.filter((one) => typeof one === 'string')).toEqual([])
  expect(await served(name(shop), roots)).toMatchObject({ body: 'two' })
})

lab('a name that the CA refuses: the release is live, and deploy, status and doctor say why', async () => {
  const web = secure(name(shop), REFUSED)
  writeApp(shop, { ...app(shop, { web: page('two'), worker: idle }, { web }), ...ca(acme) })
  const { stderr } = await deploy(shop, 'v3')
  expect(stderr).toContain(`there is no certificate for ${REFUSED} yet: rejectedIdentifier: `)
  const status = await shop.stagecraft(['status'])
  expect([status.code, status.stdout]).toEqual([
    5,
    expect.stringContaining('as released; a certificate needs attention'),
  ])
  expect(status.stdout).toMatch(new RegExp(`^${REFUSED}: there is none; tried \\S+ \\S+: rejectedIdentifier: `, 'm'))
  const { stdout } = await shop.stagecraft(['doctor'])
  expect(stdout).toMatch(
    new RegExp(`^BAD +certificate of ${REFUSED} +there is none; the last\\s+attempt failed: rejectedIdentifier: `, 'm'),
  )
  expect(await served(name(shop), await acme.issuer())).toMatchObject({ body: 'two' })
})

lab('a CA that is down: the old certificate stays, also of a proxy that is recreated, and status says it', async () => {
  const roots = await acme.issuer()
  await acme.stop()
  await renewing(roots)
  await until('Caddy has tried to renew', async () => {
    const { stdout } = await shop.stagecraft(['status'])
    return /^\S*acme-shop\S+: .*tried .*connection refused/m.test(stdout) || stdout
  })
  expectCode(await shop.stagecraft(['proxy', 'restart']), 0)
  expect(await served(name(shop), roots)).toMatchObject({ body: 'two' })
})

/** From now on certificates are renewed, and the restarted proxy serves: it reports that it runs before it does. */
async function renewing(roots: string): Promise<void> {
  await renewAlways()
  await until('it serves', async () => {
    const found = await askSecurely(name(shop), roots)
    return typeof found === 'object' || found
  })
}
