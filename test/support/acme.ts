import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LAB_DIR, LAB_NET } from './lab.ts'
import { runCommand } from './steps.ts'

/** Let's Encrypt's test server, on this machine's address in the lab. It resolves every name to one host. */
export interface Acme {
  /** URL of its directory */
  readonly ca: string
  /** the certificate that its HTTPS is signed with, as PEM */
  readonly root: string
  /** what an account needs, if it wants that */
  readonly eab: { readonly id: string; readonly key: string }
  /** @returns the root of the certificates that it issues, as PEM */
  issuer(): Promise<string>
  /** ends the server: a CA that is down */
  stop(): Promise<void>
  remove(): Promise<void>
}

export interface AcmeOptions {
  /** where HTTP-01 (port 80) and TLS-ALPN-01 (port 443) look for every name */
  readonly ip: string
  /** seconds that a certificate is valid */
  readonly seconds?: number
  /** accounts need a key from outside (external account binding) */
  readonly isBound?: boolean
  /** the only way in which it reaches the host; default: both */
  readonly challenge?: 'http-01' | 'tls-alpn-01'
  /** names for which it issues nothing */
  readonly blocked?: readonly string[]
}

/** A port on which nothing listens. */
const CLOSED = 1

const EAB = { id: 'kid-1', key: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }

/** Starts it, and waits until it answers. */
export async function startAcme(options: AcmeOptions): Promise<Acme> {
  const { code, output } = await runCommand([join(import.meta.dir, '../lab/lab-acme')], { env: { LAB_DIR } })
  if (code !== 0) throw new Error(`Cannot fetch pebble: ${output}`)
  const programs = output.trim().split('\n').at(-1) ?? ''
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-acme-'))
  const [port = 0, management = 0, dns = 0, answers = 0] = freePorts(4)
  const address = `${LAB_NET}.1`
  await selfSigned(folder, `IP:${address}`)
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ pebble: settings(folder, options, { port, management }) }),
  )
  const run = (argv: readonly string[]) => spawn([join(programs, argv[0] ?? ''), ...argv.slice(1)])
  const names = run([
    ...['pebble-challtestsrv', '-dnsserver', `127.0.0.1:${dns}`, '-defaultIPv4', options.ip, '-defaultIPv6', ''],
    ...['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', '', '-management', `127.0.0.1:${answers}`],
  ])
  const pebble = `https://${address}:${port}/dir`
  const [cert, key] = ['cert.pem', 'key.pem'].map((file) => readFileSync(join(folder, file), 'utf8'))
  const server = run(['pebble', '-config', join(folder, 'config.json'), '-dnsserver', `127.0.0.1:${dns}`])
  await untilAnswers(pebble)
  const front = serveDirectory(address, { cert: cert ?? '', key: key ?? '' }, pebble)
  const acme: Acme = {
    ca: `https://${address}:${front.port}/dir`,
    root: cert ?? '',
    eab: EAB,
    issuer: async () => (await get(`https://${address}:${management}/roots/0`)).text(),
    async stop() {
      front.stop(true)
      server.kill('SIGKILL')
      await server.exited
    },
    async remove() {
      await acme.stop()
      names.kill('SIGKILL')
      rmSync(folder, { recursive: true })
    },
  }
  return acme
}

/** Its directory, without the service that says when to renew: pebble's names any time of a certificate's life. */
function serveDirectory(hostname: string, tls: { readonly cert: string; readonly key: string }, pebble: string) {
  return Bun.serve({
    hostname,
    port: 0,
    tls,
    async fetch() {
      const { renewalInfo: _, ...rest } = (await (await get(pebble)).json()) as Record<string, unknown>
      return Response.json(rest)
    },
  })
}

function settings(
  folder: string,
  { seconds, isBound, blocked, challenge }: AcmeOptions,
  at: { port: number; management: number },
) {
  return {
    listenAddress: `${LAB_NET}.1:${at.port}`,
    managementListenAddress: `${LAB_NET}.1:${at.management}`,
    certificate: join(folder, 'cert.pem'),
    privateKey: join(folder, 'key.pem'),
    httpPort: challenge === 'tls-alpn-01' ? CLOSED : 80,
    tlsPort: challenge === 'http-01' ? CLOSED : 443,
    ocspResponderURL: '',
    externalAccountBindingRequired: isBound ?? false,
    ...(isBound ? { externalAccountMACKeys: { [EAB.id]: EAB.key } } : {}),
    domainBlocklist: blocked ?? [],
    retryAfter: { authz: 1, order: 1 },
    profiles: { default: { description: 'of this test', validityPeriod: seconds ?? 7_776_000 } },
  }
}

/** Writes `cert.pem` and `key.pem`, which sign themselves. @param names as `subjectAltName` has them: `DNS:shop.test` */
export async function selfSigned(folder: string, names: string, days = 30): Promise<void> {
  const { code, output } = await runCommand([
    ...[
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      String(days),
    ],
    ...['-subj', '/CN=stagecraft', '-addext', `subjectAltName=${names}`],
    ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')],
  ])
  if (code !== 0) throw new Error(`Cannot make a certificate: ${output}`)
}

/** It ends with this process, however that ends. */
function spawn(argv: readonly string[]): Bun.Subprocess {
  return Bun.spawn(['setpriv', '--pdeathsig', 'KILL', ...argv], {
    env: {
      PATH: process.env['PATH'] ?? '',
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: '0',
      PEBBLE_AUTHZREUSE: '0',
    },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  })
}

function get(url: string): Promise<Response> {
  return fetch(url, { tls: { rejectUnauthorized: false } })
}

async function untilAnswers(url: string): Promise<void> {
  const end = Date.now() + 120_000
  for (;;) {
    const isUp = await get(url).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isUp) return
    if (Date.now() > end) throw new Error(`Waited 120 s in vain: ${url} answers`)
    await Bun.sleep(100)
  }
}

function freePorts(count: number): number[] {
  const held = Array.from({ length: count }, () => Bun.listen({ hostname: '0.0.0.0', port: 0, socket: { data() {} } }))
  const ports = held.map(({ port }) => port)
  for (const each of held) each.stop(true)
  return ports
}
