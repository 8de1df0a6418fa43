import { keyDigest } from '../../plan/routes/certificates.ts'
import { type Acme, namesOf, type ProjectRoutes, type Route } from '../../plan/routes/table.ts'
import { canonical } from '../../util/canonical.ts'
import { compare } from '../../util/format.ts'
import { PROXY_FOLDER } from '../inside/scripts.ts'
import { keyFile } from './keys.ts'

/** JSON for Caddy (https://caddyserver.com/docs/json/apps/tls/). */
type Json = Readonly<Record<string, unknown>>

/** @returns Caddy's `tls` app: an automation policy for each way to get certificates; Caddy's own way needs none. */
export function tlsApp(projects: ProjectRoutes): { readonly tls?: Json } {
  const policies = new Map<string, { readonly way: Json; readonly subjects: string[] }>()
  const known = new Set<string>() // Caddy refuses a name that is in two policies
  for (const [project, routes] of Object.entries(projects).toSorted(([a], [b]) => compare(a, b)))
    for (const route of routes) {
      const way = wayOf(project, route)
      const subjects = namesOf(route).filter((host) => !known.has(host) && (route.tls !== 'auto' || !isLocal(host)))
      if (way === undefined || subjects.length === 0) continue
      const key = JSON.stringify(canonical(way))
      policies.set(key, { way, subjects: [...(policies.get(key)?.subjects ?? []), ...subjects] })
      for (const host of subjects) known.add(host)
    }
  if (policies.size === 0) return {}
  const sorted = [...policies].toSorted(([a], [b]) => compare(a, b)).map(([, policy]) => policy)
  const all = sorted.map(({ way, subjects }) => ({ subjects: subjects.toSorted(), ...way }))
  return { tls: { automation: { policies: all } } }
}

/** Caddy's own authority is for names of one machine, whatever the CA. */
function isLocal(host: string): boolean {
  return /(^|\.)localhost$/.test(host)
}

/** @returns how a route gets its certificates; undefined: in Caddy's own way */
function wayOf(project: string, { service, tls, acme }: Route): Json | undefined {
  if (tls === 'internal') return { issuers: [{ module: 'internal' }] }
  // Caddy asks for it at each handshake: a new one needs no new configuration. It never issues one in its place.
  if (tls === 'own')
    return {
      issuers: [{ module: 'internal' }],
      get_certificate: [{ via: 'http', url: `http://${KEYS_ADDRESS}/${project}/${service}.pem` }],
    }
  return tls === 'auto' && acme ? { issuers: [acmeIssuer(project, acme)] } : undefined
}

const KEYS_ADDRESS = '127.0.0.1:2020'

/** @returns the server inside the proxy that has the certificates which operators give; none if there are none */
export function keysServer(projects: ProjectRoutes): Readonly<Record<string, Json>> {
  if (!Object.values(projects).some((routes) => routes.some(({ tls }) => tls === 'own'))) return {}
  const files = { handler: 'file_server', root: `${PROXY_FOLDER}/keys` }
  const routes = [{ match: [{ path: ['*.pem'] }], handle: [files] }]
  return { certificates: { listen: [KEYS_ADDRESS], automatic_https: { disable: true }, routes } }
}

function acmeIssuer(project: string, { ca, email, root, eab }: Acme): Json {
  return {
    module: 'acme',
    ...(ca === undefined ? {} : { ca }),
    ...(email === undefined ? {} : { email }),
    ...(root === undefined ? {} : { trusted_roots_pem_files: [keyFile(project, keyDigest(root))] }),
    // Caddy reads the key from its file: it is not in the configuration.
    ...(eab ? { external_account: { key_id: eab.key_id, mac_key: `{file.${keyFile(project, eab.hmac)}}` } } : {}),
  }
}
