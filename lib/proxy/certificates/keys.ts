import { childError, type Docker } from '../../docker/client.ts'
import { keyDigest } from '../../plan/routes/certificates.ts'
import { certificateFile, type Route } from '../../plan/routes/table.ts'
import { inProxy } from '../inside/run.ts'
import { KEEP, PROXY_FOLDER } from '../inside/scripts.ts'

/** @returns the path of a file in the proxy that only root can read */
export function keyFile(project: string, name: string): string {
  return `${PROXY_FOLDER}/keys/${project}/${name}`
}

/** What the proxy gets of an environment, by stdin, and keeps in files. */
export interface Keys {
  /** of the account at the CA, and of the DNS provider */
  readonly secrets: readonly string[]
  /** certificates with their keys, as PEM, by service */
  readonly certificates: Readonly<Record<string, string>>
  /** error pages, by file */
  readonly pages: Readonly<Record<string, string>>
}

/**
 * Keeps them. A new certificate is served from then on, also by the live release; so is an error page. A secret comes in the place of
 * one that was lost.
 */
export async function keepKeys(docker: Docker, project: string, { secrets, certificates, pages }: Keys): Promise<void> {
  for (const secret of secrets) await keep(docker, project, keyDigest(secret), secret, { when: 'reload' })
  for (const [service, pem] of Object.entries(certificates)) await keep(docker, project, certificateFile(service), pem)
  for (const [name, text] of Object.entries(pages)) await keep(docker, project, name, text, { folder: 'pages' })
}

/**
 * In place of a secret. It looks like one: a module may refuse what does not (that of cloudflare wants 35 characters), and Caddy would
 * then load no routes at all.
 */
const LOST = 'lost'.repeat(10)

/**
 * Makes sure that the files exist that Caddy reads when it loads these routes. A secret that was lost with the proxy's volume is
 * needed for a new account or certificate alone: the next deploy brings it back.
 */
export async function ensureFiles(docker: Docker, project: string, routes: readonly Route[]): Promise<void> {
  const files = new Map<string, string>()
  for (const { acme } of routes) {
    if (acme?.root !== undefined) files.set(keyDigest(acme.root), acme.root)
    if (acme?.eab) files.set(acme.eab.hmac, LOST)
    for (const digest of Object.values(acme?.dns?.secrets ?? {})) files.set(digest, LOST)
  }
  for (const [name, text] of files) await keep(docker, project, name, text, { when: 'unless-there' })
}

/** What `KEEP` takes. */
type When = 'always' | 'unless-there' | 'reload'

async function keep(
  docker: Docker,
  project: string,
  name: string,
  text: string,
  { folder = 'keys', when = 'always' }: { readonly folder?: 'keys' | 'pages'; readonly when?: When } = {},
): Promise<void> {
  const args = [`${folder}/${project}`, name, when]
  const result = await inProxy(docker, 'keep', KEEP, args, { input: text, changes: true })
  if (result.code !== 0) throw childError('write a file of the proxy', result)
}
