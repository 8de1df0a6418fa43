import { X509Certificate } from 'node:crypto'
import { childError, type Docker } from '../../docker/client.ts'
import { isGone } from '../../docker/lifecycle.ts'
import { askedHosts } from '../../plan/routes/certificates.ts'
import { type Acme, namesOf, type ProjectRoutes, type Route } from '../../plan/routes/table.ts'
import { compare } from '../../util/format.ts'
import { CERTIFICATES } from '../inside/questions.ts'
import { inProxy } from '../inside/run.ts'
import type { Attempt, CertificateState } from './certificate.ts'
import { askedIn, nameToAsk, onDemand } from './on-demand.ts'
import { ASK_URL } from './server.ts'

/** @returns the certificate of each public host name, in the order of the routes; none if the proxy does not run */
export async function readCertificates(docker: Docker, projects: ProjectRoutes): Promise<CertificateState[]> {
  const asked = askedIn(projects)
  const named = Object.entries(projects).flatMap(([project, routes]) =>
    routes.flatMap((route) => {
      const names = route.tls === 'off' ? [] : namesOf(route).filter((name) => !askedHosts(route).includes(name))
      return names.map((name) => ({ name, project, route }))
    }),
  )
  if (named.length + asked.length === 0) return []
  const stored = [...new Set(named.map(storedName))]
  const args = [...stored, ...asked.map(({ host }) => `ask:${ASK_URL}?domain=${nameToAsk(host)}`)]
  const result = await inProxy(docker, 'certificates', CERTIFICATES, args)
  if (isGone(result)) return []
  if (result.code !== 0) throw childError('read the certificates of the proxy', result)
  const known = certificatesIn(result.stdout)
  const log = logIn(result.stdout)
  const states = named.map((one): CertificateState => {
    const { name, route } = one
    const { service, tls, acme } = route
    const all = known.get(storedName(one)) ?? []
    const issuer = { off: '', own: OWN, internal: INTERNAL, auto: issuerKey(acme) }[tls]
    const found = all.find(({ ca }) => ca === issuer) ?? (tls === 'auto' ? latest(all) : undefined)
    const kind = tls === 'off' ? 'auto' : tls
    return { name, service, tls: kind, ...found?.certificate, ...(tls === 'own' ? {} : log.get(name)) }
  })
  const listed = [...new Map(states.toReversed().map((state) => [state.name, state])).values()].toReversed()
  const failed = new Map([...log].filter(([name, { error }]) => error && !listed.some((one) => one.name === name)))
  return [...listed, ...onDemand(asked, result.stdout, failed)]
}

/** In place of the folder of a CA: certificates that the operator gives. */
const OWN = 'own'
/** Caddy's own authority. */
const INTERNAL = 'local'
const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

/** @returns the folder where Caddy keeps a CA's certificates (certmagic, ACMEIssuer.IssuerKey and StorageKeys.Safe) */
function issuerKey({ ca = LETS_ENCRYPT }: Acme = {}): string {
  const { host, pathname } = new URL(ca)
  const path = pathname.split('/').filter((part) => part !== '')
  return [host, ...path].join('-').replaceAll(':', '-').toLowerCase()
}

interface Named {
  readonly name: string
  readonly project: string
  readonly route: Route
}

/** @returns how Caddy names the files of a host name; of one's own certificate, where it is kept */
function storedName({ name, project, route }: Named): string {
  return route.tls === 'own' ? `${project}/${route.service}` : name.replaceAll('*', 'wildcard_')
}

type Certificate = Pick<CertificateState, 'from' | 'until' | 'issuer'>

interface Stored {
  /** its folder */
  readonly ca: string
  readonly certificate: Certificate
}

/** After another CA was configured Caddy keeps the certificate of the one before until it is to be renewed. */
function latest(all: readonly Stored[]): Stored | undefined {
  return all.toSorted((a, b) => compare(b.certificate.until ?? '', a.certificate.until ?? ''))[0]
}

const PRINTED = /^certificate (\S+) (\S+)\n(-----BEGIN [\s\S]+?-----END CERTIFICATE-----)/gm

/** @returns by name */
function certificatesIn(text: string): Map<string, Stored[]> {
  const found = new Map<string, Stored[]>()
  for (const [, ca = '', name = '', pem = ''] of text.matchAll(PRINTED))
    found.set(name, [...(found.get(name) ?? []), { ca, certificate: parseCertificate(pem) }])
  return found
}

function parseCertificate(pem: string): Certificate {
  try {
    const { validFrom, validTo, issuer } = new X509Certificate(pem)
    const [, organization] = /^O=(.+)$/m.exec(issuer) ?? []
    const [, name = 'nobody'] = /^CN=(.+)$/m.exec(issuer) ?? []
    return {
      from: isoOf(Date.parse(validFrom) / 1000),
      until: isoOf(Date.parse(validTo) / 1000),
      issuer: organization ?? name,
    }
  } catch {
    return {} // Caddy has not written all of it yet
  }
}

/** @returns what became of the last attempt for each name */
function logIn(text: string): Map<string, Attempt> {
  const attempts = new Map<string, Attempt>()
  for (const line of text.split('\n')) {
    if (!line.startsWith('{')) continue
    const { identifier = '', ts = 0, msg = '', error } = parseLine(line)
    if (error !== undefined) attempts.set(identifier, { error: withoutNoise(error), failed_at: isoOf(ts) })
    else if (/^(obtaining|renewing) certificate/.test(msg))
      attempts.set(identifier, { ...attempts.get(identifier), requested: true })
    else if (/successfully$/.test(msg)) attempts.delete(identifier)
  }
  return attempts
}

interface LogLine {
  readonly identifier?: string
  /** seconds since the epoch */
  readonly ts?: number
  readonly msg?: string
  readonly error?: string
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine // Caddy's log
  } catch {
    return {} // Caddy has not written all of it yet
  }
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}

/** What the CA says, or else what Caddy says without the name at the beginning, and the order and the CA at the end. */
function withoutNoise(error: string): string {
  const [, kind, said] = /urn:ietf:params:acme:error:(\w+) - (.+?)(?:, problem "|, url: | \(|$)/.exec(error) ?? []
  if (kind !== undefined) return `${kind}: ${said}`
  return error.replace(/^\[[^\]]*\] /, '').replace(/( \((order|ca)=\S+\))+$/, '')
}
