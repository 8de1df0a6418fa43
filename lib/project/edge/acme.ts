import { keyDigest } from '../../plan/routes/certificates.ts'
import { secretsOfFile } from '../../secrets/find.ts'
import type { Session } from '../session.ts'
import type { Edge, Settings } from '../settings.ts'
import { certificateBlocks, readOwn } from './certificates.ts'
import { readPages } from './pages.ts'
import { readGiven, wrong } from './read.ts'

/**
 * Reads what `proxy` and `tls` of the environment name. Keys are masked from then on.
 * @throws config (3), with line and column, for what cannot be used
 */
export async function withEdge<T extends Settings & { readonly secrets: readonly string[] }>(
  project: T,
  session: Pick<Session, 'secrets'>,
): Promise<T & { readonly edge: Edge }> {
  const edge = {
    ...(await readAcme(project)),
    certificates: await readOwn(project),
    pages: await readPages(project),
  }
  const keys = Object.values(edge.certificates).map((pem) => pem.slice(pem.lastIndexOf('-----BEGIN ')))
  const own = [
    ...(edge.hmac === undefined ? [] : [edge.hmac]),
    ...keys.flatMap((key) => [...secretsOfFile(key), ...key.split('\n')]),
  ]
  const secrets = [...project.secrets, ...own.filter((text) => text !== '')]
  session.secrets?.add(secrets)
  return { ...project, secrets, edge }
}

async function readAcme(settings: Settings): Promise<Omit<Edge, 'certificates' | 'pages'>> {
  const { acme } = settings.environment.proxy ?? {}
  if (acme === undefined) return {}
  const { ca_root: file, eab, ...rest } = acme
  const root = file === undefined ? {} : { root: await readRoot(settings, file) }
  if (eab === undefined) return { acme: { ...rest, ...root } }
  const hmac = await readHmac(settings, eab.hmac_key_env)
  return { acme: { ...rest, ...root, eab: { key_id: eab.key_id, hmac: keyDigest(hmac) } }, hmac }
}

async function readRoot(settings: Settings, file: string): Promise<string> {
  const given = { file, path: ['proxy', 'acme', 'ca_root'] }
  const text = await readGiven(settings, given)
  const blocks = certificateBlocks(text, (why) => wrong(settings, given, why))
  return `${blocks.map(({ pem }) => pem).join('\n')}\n`
}

async function readHmac(settings: Settings, variable: string): Promise<string> {
  const given = { variable, path: ['proxy', 'acme', 'eab', 'hmac_key_env'] }
  const value = (await readGiven(settings, given)).trim()
  if (!/^[\w-]+=*$/.test(value)) throw wrong(settings, given, 'has a value that is no base64url')
  return value
}
