import { expect } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { selfSigned } from '../support/acme.ts'
import { deploy, sharedFolders, writeApp } from './app.ts'
import { app, ask, askSecurely, h1, lab, name, page, served } from './proxied.ts'

// Certificates that the operator gives.
const [shop] = sharedFolders(h1, 'own-certificate')
const old = `old-${name(shop)}`
const web = {
  expose: { redirect: old, host: [name(shop), `*.${name(shop)}`], port: 80, tls: { certificate: 'crt', key: 'key' } },
}

const NAMES = [name(shop), `*.${name(shop)}`, old].map((each) => `DNS:${each}`).join(',')

/** Makes a certificate, and puts it and its key into the project folder. @returns the certificate */
async function give(names: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-own-'))
  try {
    await selfSigned(folder, names)
    const [certificate, key] = ['cert.pem', 'key.pem'].map((file) => readFileSync(join(folder, file), 'utf8'))
    shop.write('crt', certificate ?? '')
    shop.write('key', key ?? '')
    return certificate ?? ''
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const generations = async () =>
  (
    await h1.docker([
      'exec',
      'stagecraft-proxy',
      'sh',
      '-c',
      'ls /config/stagecraft/config; cat /config/stagecraft/config/*/caddy.json | sort -u',
    ])
  ).stdout

async function followed(host: string, resolve: string, path: string): Promise<string> {
  const argv = [
    'curl',
    '-sk',
    '-m',
    '10',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code} %{redirect_url}',
    '--resolve',
    resolve,
  ]
  const child = Bun.spawn([...argv, `${host}${path}`], { stdout: 'pipe', stderr: 'ignore' })
  return new Response(child.stdout).text()
}

lab('the operator’s own certificate is served for all its names; only root can read its key', async () => {
  const first = await give(NAMES)
  writeApp(shop, app(shop, { web: page('one') }, { web }))
  const { stdout, stderr } = await deploy(shop, 'v1')
  expect(await served(name(shop), first)).toMatchObject({ body: 'one' })
  expect(await served(`any.${name(shop)}`, first)).toMatchObject({ body: 'one' })
  const location = ['-o', '/dev/null', '-w', '%{redirect_url}\n%{http_code}']
  expect(await ask(old, '/a?b=1', location)).toEqual({ status: 308, body: `https://${old}/a?b=1` })
  const [host, port] = [`https://${old}`, `${old}:443:${h1.ip}`]
  expect(await followed(host, port, '/a?b=1')).toBe(`308 https://${name(shop)}/a?b=1`)
  const secret = shop.read('key').split('\n')[1] ?? ''
  expect(`${stdout}${stderr}`).not.toContain(secret)
  const found = 'find /config /data -type f -exec grep -lF "$0" {} + | xargs stat -c "%A %n"'
  const { stdout: files } = await h1.docker(['exec', 'stagecraft-proxy', 'sh', '-c', found, secret])
  expect(files.trim()).toBe(`-rw------- /config/stagecraft/keys/${shop.name}/web.pem`)
  const status = await shop.stagecraft(['status'])
  expect([status.code, status.stdout]).toEqual([
    0,
    expect.stringMatching(/UNTIL +ISSUER\n\S+ +\d{4}-\d\d-\d\d \S+ +stagecraft$/m),
  ])
})

lab('a changed one is served at once, without a new configuration; one that fits no name is refused', async () => {
  const before = await generations()
  const second = await give(NAMES)
  const plan = await shop.stagecraft(['plan'])
  expect(plan.stdout).toMatch(/web +reroute +https:.*\(new certificate\)$/m)
  await deploy(shop, 'v2')
  expect(await served(name(shop), second)).toMatchObject({ body: 'one' })
  expect(await generations()).toBe(before)
  await give(`DNS:${name(shop)},DNS:${old}`)
  const { stderr } = await deploy(shop, 'v3', 3)
  expect(stderr).toMatch(new RegExp(`stagecraft.yml:\\d+:\\d+: crt is not for \\*\\.${name(shop)}`))
  expect(await served(name(shop), second)).toMatchObject({ body: 'one' })
  expect(await askSecurely(name(shop), shop.read('crt'))).toContain('self-signed certificate')
})

lab(
  'the DNS challenge needs a module that this Caddy lacks: plan and deploy say which, and change nothing',
  async () => {
    const before = await generations()
    const proxy = { acme: { dns: { provider: 'cloudflare', api_token_env: 'TOKEN' } } }
    const environments = { local: { proxy, secrets: { TOKEN: { file: 'key' } } } }
    writeApp(shop, {
      ...app(shop, { web: page('two') }, { web: { expose: { host: `*.${name(shop)}`, port: 80 } } }),
      environments,
    })
    for (const ran of [await shop.stagecraft(['plan']), await deploy(shop, 'v4', 3)]) {
      expect([ran.code, ran.stderr]).toEqual([
        3,
        expect.stringContaining("lacks Caddy's module dns.providers.cloudflare"),
      ])
      expect(ran.stderr).toContain('RUN xcaddy build --with github.com/caddy-dns/cloudflare')
    }
    expect(await generations()).toBe(before)
  },
)
