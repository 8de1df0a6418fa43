import { createHash } from 'node:crypto'
import { isWildcard } from '../../config/edge/expose.ts'
import { sameContent } from '../../util/canonical.ts'
import { StagecraftError } from '../../util/errors.ts'
import { namesOf, type ProjectRoutes, type Route } from './table.ts'

/** @returns what identifies a key without revealing it; the proxy keeps each in a file of that name */
export function keyDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** @returns those hosts of a route whose names get a certificate when a visitor first asks for one */
export function askedHosts(route: Pick<Route, 'hosts' | 'redirect' | 'ask'>): string[] {
  return route.ask === undefined ? [] : namesOf(route).filter(isWildcard)
}

/** @returns for each host whose names get a certificate when asked for the route whose service allows it: that with the shortest path */
export function askedRoutes<T extends { readonly route: Route }>(all: readonly T[]): Map<string, T> {
  const asked = new Map<string, T>()
  for (const one of all.toSorted((a, b) => a.route.path.length - b.route.path.length))
    for (const host of askedHosts(one.route)) if (!asked.has(host)) asked.set(host, one)
  return asked
}

/** A host name has one certificate, whichever routes it has. @throws config (3) if two routes want different ones */
export function refuseOtherCertificates(project: string, routes: readonly Route[], all: ProjectRoutes): void {
  const others = Object.entries({ ...all, [project]: routes }).flatMap(([name, theirs]) =>
    theirs.map((route) => ({ project: name, route })),
  )
  for (const route of routes)
    for (const other of others) {
      const host = namesOf(route).find(
        (name) => namesOf(other.route).includes(name) && !isSame(name, route, other, project),
      )
      if (host === undefined) continue
      const whose = other.project === project ? other.route.service : `the project ${other.project}`
      throw new StagecraftError(
        'config',
        `Cannot expose ${route.service} as ${host} with ${described(route)}: ${whose} has that name with ${described(other.route)}`,
        { hint: 'A host name has one certificate: give both the same `tls`, and projects the same `proxy.acme`.' },
      )
    }
}

/** With `tls: off` a name needs no certificate, so it may have one elsewhere. Of a `*` one project decides. */
function isSame(name: string, one: Route, other: { readonly project: string; readonly route: Route }, project: string) {
  const { route } = other
  if (one.tls === 'off' || route.tls === 'off') return true
  const isAsked = isWildcard(name) && one.ask !== undefined
  if (isWildcard(name) && one.ask !== route.ask) return false
  return one.tls === route.tls && sameContent(one.acme, route.acme) && (!isAsked || other.project === project)
}

function described({ tls, ask, acme }: Route): string {
  const ca = acme?.ca === undefined ? '' : ` from ${new URL(acme.ca).host}`
  const by = acme?.email === undefined ? '' : ` for ${acme.email}`
  return `tls: ${ask === undefined ? tls : `{ask: ${ask}}`}${ca}${by}`
}
