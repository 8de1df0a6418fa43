import { expectCode, until } from '../e2e/app.ts'
import type { Folder } from '../support/folder.ts'
import { type HostName, host } from '../support/lab.ts'

/** Who may use a registry. */
export interface Login {
  readonly user: string
  readonly password: string
}

/** A registry with TLS on a lab host, which other hosts trust. */
export interface Registry {
  /** `<ip>:<port>` */
  readonly name: string
  remove(): Promise<void>
}

/**
 * Starts a registry, whose certificate has an authority of its own.
 * @param trusting the hosts whose engines trust it
 * @param login who must log in; absent: no one must
 */
export async function startTlsRegistry(
  folder: Folder,
  { at, port, trusting, login }: { at: HostName; port: number; trusting: readonly HostName[]; login?: Login },
): Promise<Registry> {
  const { ip } = host(at)
  const name = `${ip}:${port}`
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const out = ['-subj', `/CN=${ip}`, '-addext', `subjectAltName=IP:${ip}`, '-keyout', 'key.pem', '-out', 'cert.pem']
  folder.write('users', login ? `${login.user}:${await Bun.password.hash(login.password, BCRYPT)}\n` : '')
  expectCode(await folder.exec(['openssl', ...request, ...out]), 0)
  const auth = login ? { AUTH: 'htpasswd', AUTH_HTPASSWD_REALM: 'x', AUTH_HTPASSWD_PATH: '/own/users' } : {}
  const settings = { HTTP_TLS_CERTIFICATE: '/own/cert.pem', HTTP_TLS_KEY: '/own/key.pem', ...auth }
  const env = Object.entries(settings).flatMap(([key, value]) => ['-e', `REGISTRY_${key}=${value}`])
  const container = `${folder.name}-registry`
  const label = ['--label', `com.docker.compose.project=${folder.name}`]
  const run = ['run', '-d', '--name', container, ...label, '-p', `${port}:5000`, '-v', `${folder.path}:/own:ro`, ...env]
  expectCode(await folder.docker([...run, 'registry:2']), 0)
  const place = `/etc/docker/certs.d/${name}`
  const trust = ['sh', '-c', 'mkdir -p "$0" && printf %s "$1" >"$0/ca.crt"', place, folder.read('cert.pem')]
  for (const each of new Set([at, ...trusting])) expectCode(await host(each).exec(trust), 0)
  await until('the registry answers', async () => {
    const answer = await fetch(`https://${name}/v2/`, { tls: { ca: folder.read('cert.pem') } }).catch(String)
    return (typeof answer !== 'string' && [200, 401].includes(answer.status)) || String(answer)
  })
  return {
    name,
    remove: async () => {
      await folder.docker(['rm', '-f', '-v', container])
      for (const each of new Set([at, ...trusting])) await host(each).exec(['rm', '-f', `${place}/ca.crt`])
    },
  }
}

const BCRYPT = { algorithm: 'bcrypt', cost: 4 } as const
