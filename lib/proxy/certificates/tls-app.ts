import type { DnsChallenge } from '../../config/edge/dns.ts'
import { ANY, breadthOf, isWildcard } from '../../config/edge/expose.ts'
import { askedHosts, keyDigest } from '../../plan/routes/certificates.ts'
import { type Acme, namesOf, type ProjectRoutes, type Route } from '../../plan/routes/table.ts'
import { canonical } from '../../util/canonical.ts'
import { compare } from '../../util/format.ts'
import { keyFile } from './keys.ts'
import { ASK_URL, givenUrl } from './server.ts'

/** JSON for Caddy (https://caddyserver.com/docs/json/apps/tls/). */
type Json = Readonly<Record<string, unknown>>

/** How the certificates of some names are had: a policy of Caddy's automation. */
interface Policy {
  /** `*` is all names that no other policy has */
  readonly subjects: readonly string[]
  readonly way: Json
}

/** @returns Caddy's `tls` app: an automation policy for each way to get certificates; Caddy's own way needs none. */
export function tlsApp(projects: ProjectRoutes): { readonly tls?: Json } {
  const all = Object.entries(projects)
    .toSorted(([a], [b]) => compare(a, b))
    .flatMap(([project, routes]) => routes.map((route) => ({ project, route })))
  const asked = all.flatMap(({ route }) => askedHosts(route))
  const covered = coveredNames(all.map(({ route }) => route))
  const mustSay = (name: string) => asked.includes(ANY) || covered.includes(name)
  const policies = new Map<string, Policy>()
  const known = new Set<string>() // Caddy refuses a name that is in two policies
  for (const { project, route } of all)
    for (const { subjects, way } of policiesOf(project, route, mustSay))
      for (const subject of subjects) {
        if (known.has(subject)) continue
        known.add(subject)
        const key = `${breadthOf(subject)} ${JSON.stringify(canonical(way))}`
        policies.set(key, { way, subjects: [...(policies.get(key)?.subjects ?? []), subject] })
      }
  if (policies.size === 0) return {}
  // Caddy takes the first policy that a name matches.
  const sorted = [...policies].toSorted(([a], [b]) => compare(a, b)).map(([, policy]) => policy)
  const list = sorted.map(({ subjects, way }) =>
    subjects.includes(ANY) ? way : { subjects: subjects.toSorted(), ...way },
  )
  const permission = { on_demand: { permission: { module: 'http', endpoint: ASK_URL } } }
  return {
    tls: {
      ...(covered.length > 0 ? { certificates: { automate: covered } } : {}),
      automation: { policies: list, ...(asked.length > 0 ? permission : {}) },
    },
  }
}

/** @returns whole names below a wildcard, whosever that is: unless configured, Caddy gets them no certificate of their own */
function coveredNames(routes: readonly Route[]): string[] {
  const secure = routes.filter(({ tls }) => tls !== 'off')
  const wild = new Set(secure.flatMap(namesOf).filter(isWildcard))
  const names = secure.filter(({ tls }) => tls !== 'own').flatMap(namesOf)
  return [...new Set(names.filter((name) => !isWildcard(name) && wild.has(name.replace(/^[^.]+/, '*'))))].toSorted()
}

/** Caddy's own authority is for names of one machine, whatever the CA. */
function isLocal(host: string): boolean {
  return /(^|\.)localhost$/.test(host)
}

/** Names for which Caddy asks no public CA (certmagic, SubjectIsInternal). */
function isInternal(host: string): boolean {
  return isLocal(host) || /\.(local|internal|home\.arpa)$/.test(host)
}

/** @param mustSay whether a name needs a policy also for Caddy's own way: it would match another one, of a wildcard or all names */
function policiesOf(project: string, route: Route, mustSay: (name: string) => boolean): Policy[] {
  const { service, tls, acme } = route
  const names = namesOf(route)
  if (tls === 'off') return []
  if (tls === 'internal') return [{ subjects: names, way: INTERNAL }]
  // Caddy asks for it at each handshake: a new one needs no new configuration. It never issues one in its place.
  const given = { ...INTERNAL, get_certificate: [{ via: 'http', url: givenUrl(project, service) }] }
  if (tls === 'own') return [{ subjects: names, way: given }]
  const asked = askedHosts(route)
  const whole = names.filter((host) => !asked.includes(host))
  const way = acme ? { issuers: [acmeIssuer(project, acme)] } : {}
  const isOurs = (host: string) => !isLocal(host) && (acme !== undefined || (mustSay(host) && !isInternal(host)))
  return [
    { subjects: whole.filter(isOurs), way },
    { subjects: whole.filter((host) => !isOurs(host) && mustSay(host)), way: INTERNAL },
    { subjects: asked, way: { on_demand: true, ...way } },
  ]
}

const INTERNAL = { issuers: [{ module: 'internal' }] }

function acmeIssuer(project: string, { ca, email, root, eab, dns }: Acme): Json {
  return {
    module: 'acme',
    ...(ca === undefined ? {} : { ca }),
    ...(email === undefined ? {} : { email }),
    ...(root === undefined ? {} : { trusted_roots_pem_files: [keyFile(project, keyDigest(root))] }),
    ...(dns ? { challenges: { dns: dnsChallenge(project, dns) } } : {}),
    // Caddy reads the key from its file: it is not in the configuration.
    ...(eab ? { external_account: { key_id: eab.key_id, mac_key: `{file.${keyFile(project, eab.hmac)}}` } } : {}),
  }
}

function dnsChallenge(project: string, dns: DnsChallenge): Json {
  const { provider, settings, secrets, resolvers, propagation_timeout: timeout } = dns
  const files = Object.entries(secrets).map(([name, digest]) => [name, `{file.${keyFile(project, digest)}}`] as const)
  return {
    provider: { name: provider, ...settings, ...Object.fromEntries(files) },
    ...(resolvers ? { resolvers } : {}),
    ...(timeout === undefined ? {} : { propagation_timeout: timeout < 0 ? -1 : `${timeout}ms` }),
  }
}
