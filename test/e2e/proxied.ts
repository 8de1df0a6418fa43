import { test } from 'bun:test'
import { IN_FLIGHT } from '../../lib/proxy/inside/questions.ts'
import type { Folder } from '../support/folder.ts'
import { host, isUp } from '../support/lab.ts'
import { type App, expectCode, httpd, QUICK_STOP, until } from './app.ts'

// The proxy of a host. Only in the lab: on another machine its ports and its name may be in use.
export const lab = test.skipIf(!isUp('h1'))
export const h1 = host('h1')

/** A service that answers with this text. */
export const page = (text: string, more: object = {}) => ({
  image: 'busybox:1',
  command: [
    'sh',
    '-c',
    `mkdir -p /www/api; echo ${text} >/www/index.html; echo ${text} api >/www/api/index.html; exec ${httpd('/www').join(' ')}`,
  ],
  ...QUICK_STOP,
  ...more,
})
/** A setting: the service has a route under that name. */
export const exposed = (hostName: string, more: object = {}) => ({
  expose: { host: hostName, port: 80, tls: 'off', ...more },
})
/** The name by which the project is requested. */
export const name = (project: { name: string }) => `${project.name}.test`

/** An application whose `web` is exposed. */
export function app(project: { name: string }, services: App['services'], settings: App['settings'] = {}): App {
  return { services, settings: { web: exposed(name(project)), ...settings } }
}

/** Asks the proxy of h1, or of another host. curl, as it takes any name and certificate. */
export async function ask(
  hostName: string,
  path = '/',
  flags: readonly string[] = [],
  { ip } = h1,
): Promise<{ status: number; body: string }> {
  const url = `http://${hostName}${path}`
  const resolve = [80, 443].flatMap((port) => ['--resolve', `${hostName}:${port}:${ip}`])
  const argv = ['curl', '-sk', '-m', '60', '-w', '\n%{http_code}', ...resolve, ...flags, url]
  const child = Bun.spawn(argv, { stdout: 'pipe', stderr: 'ignore' })
  const lines = (await new Response(child.stdout).text()).split('\n')
  return { status: Number(lines.pop()), body: lines.join('\n').trim() }
}

/** An answer by HTTPS. */
export interface Served {
  readonly body: string
  /** of its certificate, as curl shows it */
  readonly issuer: string
  readonly until: number
}

/** Asks by HTTPS. @param roots that the client trusts; it trusts no other */
export async function askSecurely(host: string, roots: string, { ip } = h1): Promise<Served | string> {
  const argv = [
    'curl',
    '-sSv',
    '-m',
    '60',
    '--cacert',
    '/proc/self/fd/0',
    '--resolve',
    `${host}:443:${ip}`,
    `https://${host}/`,
  ]
  const child = Bun.spawn(argv, { stdin: new TextEncoder().encode(roots), stdout: 'pipe', stderr: 'pipe' })
  const [body, said] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) return /curl: \(.*/.exec(said)?.[0] ?? said
  const [, issuer = ''] = /issuer: (.+)/.exec(said) ?? []
  const [, date = ''] = /expire date: (.+)/.exec(said) ?? []
  return { body: body.trim(), issuer, until: Date.parse(date) }
}

/** Fails unless it answers. */
export async function served(host: string, roots: string): Promise<Served> {
  const found = await askSecurely(host, roots)
  if (typeof found === 'string') throw new Error(`${host}: ${found}`)
  return found
}

/**
 * Restarts the proxy with a configuration that renews certificates of a CA all the time. Caddy looks every ten minutes whether a
 * third of a certificate's life is left. From now on: each second, and all but a hundredth.
 */
export async function renewAlways(engine = h1): Promise<void> {
  const script = `cd /config/stagecraft/config; file=$(ls | grep -x '[0-9]*' | sort -n | tail -n 1)/caddy.json
sed -i 's/"automation":{/&"renew_interval":"1s",/; s/"issuers":\\[{"module":"acme"/"renewal_window_ratio":0.99,&/g' $file`
  const inside = (text: string) => engine.docker(['exec', 'stagecraft-proxy', 'sh', '-c', text])
  expectCode(await inside(script), 0)
  expectCode(await engine.docker(['restart', '-t', '1', 'stagecraft-proxy']), 0)
  await until('it answers', async () => (await inside(IN_FLIGHT)).code === 0 || 'not yet')
}

/** Which container the proxy is, since when, and its health. */
export async function proxy(): Promise<string> {
  const format = '{{.Id}} {{.State.StartedAt}} {{.State.Status}}'
  return (await h1.docker(['inspect', '--format', format, 'stagecraft-proxy'])).stdout.trim()
}

/** What `stagecraft proxy status` prints. */
export const routesIn = async (folder: Folder) => (await folder.stagecraft(['proxy', 'status'])).stdout
