import type { DnsChallenge, DnsConfig } from '../../config/edge/dns.ts'
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
  const own = [...edge.secrets, ...keys.flatMap((key) => [...secretsOfFile(key), ...key.split('\n')])]
  const secrets = [...project.secrets, ...own.filter((text) => text !== '')]
  session.secrets?.add(secrets)
  return { ...project, secrets, edge }
}

async function readAcme(settings: Settings): Promise<Omit<Edge, 'certificates' | 'pages'>> {
  const { acme } = settings.environment.proxy ?? {}
  if (acme === undefined) return { secrets: [] }
  const { ca_root: file, eab, dns, ...rest } = acme
  const root = file === undefined ? {} : { root: await readRoot(settings, file) }
  const hmac = eab && (await readHmac(settings, eab.hmac_key_env))
  const account = eab && hmac !== undefined ? { eab: { key_id: eab.key_id, hmac: keyDigest(hmac) } } : {}
  const tokens = dns ? await readTokens(settings, dns) : {}
  return {
    acme: { ...rest, ...root, ...account, ...(dns ? { dns: withDigests(dns, tokens) } : {}) },
    secrets: [...(hmac === undefined ? [] : [hmac]), ...Object.values(tokens)],
  }
}

function withDigests({ variables: _, ...dns }: DnsConfig, tokens: Readonly<Record<string, string>>): DnsChallenge {
  const digests = Object.entries(tokens).map(([name, text]) => [name, keyDigest(text)] as const)
  return { ...dns, secrets: Object.fromEntries(digests) }
}

/** @returns the secret settings of the DNS provider, by name */
async function readTokens(settings: Settings, { variables }: DnsConfig): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const [name, variable] of Object.entries(variables)) {
    const given = { variable, path: ['proxy', 'acme', 'dns', `${name}_env`] }
    found[name] = (await readGiven(settings, given)).trim()
  }
  return found
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
  if (!/^[\w-]+=*$/.test(value)) throw wrong(settings, given, 'has a value that is not base64url')
  return value
}
