import type { ComposeModel } from '../../compose/model.ts'
import type { ServiceConfig } from '../../config/parse.ts'
import { StagecraftError } from '../../util/errors.ts'
import { refuseOtherCertificates } from './certificates.ts'
import {
  cleanPath,
  exposedServices,
  type InternalRoute,
  internalRoute,
  type ProjectRoutes,
  type Route,
} from './table.ts'

/**
 * @returns a route's host and path in lower case, as Caddy's matchers compare them (modules/caddyhttp/matchers.go, MatchHost and
 * MatchPath): equal ones match the same requests
 */
function comparedRoute(host: string, path: string): string {
  return `${host}${cleanPath(path)}`.toLowerCase()
}

/** @returns what a route takes: a name that leads elsewhere has all paths */
function comparedRoutes({
  hosts,
  redirect = [],
  path,
  host_health: health,
}: Pick<Route, 'hosts' | 'redirect' | 'path' | 'host_health'>): string[] {
  return [
    ...hosts.map((host) => comparedRoute(host, path)),
    ...redirect.map((host) => comparedRoute(host, '/')),
    ...(health ? hosts.map((host) => comparedRoute(host, health.path)) : []),
  ]
}

/** @throws config (3) if two services have the same route, or the proxy could not reach an exposed one */
export function refuseImpossibleRoutes(services: Readonly<Record<string, ServiceConfig>>, model: ComposeModel): void {
  const taken = new Map<string, string>()
  const internal: { service: string; route: InternalRoute }[] = []
  for (const [service, expose] of exposedServices(services)) {
    const { host = [], redirect = [], path = '/' } = expose
    refuseNetworkMode(service, model.services[service]?.network_mode)
    for (const key of comparedRoutes({ hosts: host, redirect, path })) {
      const other = taken.get(key)
      if (other !== undefined)
        throw new StagecraftError('config', `Cannot expose ${service} as ${key}: ${other} is exposed there too`, {
          hint: 'Give one of them another `host` or `path` in stagecraft.yml.',
        })
      taken.set(key, service)
    }
    if (!expose.internal) continue
    const route = internalRoute(service, expose, model)
    const rival = internal.find((other) => sharedName(route, other.route) !== undefined)
    if (rival) throw sameInternalName(service, route, rival)
    internal.push({ service, route })
  }
}

function refuseNetworkMode(service: string, mode: string | undefined): void {
  if (mode === 'host' || mode === 'none' || /^(service|container):/.test(mode ?? ''))
    throw new StagecraftError('config', `Cannot expose ${service}: it has network_mode ${mode}`, {
      hint: /^service:/.test(mode ?? '')
        ? `Expose ${mode?.slice('service:'.length)}, whose network it is in, with the port that ${service} listens on.`
        : 'The proxy reaches containers over a network: take network_mode out of the Compose file.',
    })
}

function sameInternalName(
  service: string,
  route: InternalRoute,
  rival: { service: string; route: InternalRoute },
): StagecraftError {
  const name = `http://${sharedName(route, rival.route)?.name}:${route.port}`
  return new StagecraftError('config', `Cannot expose ${service} as ${name}: ${rival.service} is exposed there too`, {
    hint: 'Both have that name and port on one network: take the alias from one of them in the Compose file, or give it another port.',
  })
}

/** @returns a name that both would have at the same port of the same network. Docker's DNS ignores case. */
function sharedName(one: InternalRoute, other: InternalRoute): { name: string; network: string } | undefined {
  const network = one.networks.find((each) => other.networks.includes(each))
  const theirs = new Set(other.names.map((name) => name.toLowerCase()))
  const name = one.names.find((each) => theirs.has(each.toLowerCase()))
  return one.port === other.port && network !== undefined && name !== undefined ? { name, network } : undefined
}

/** @throws config (3) if another project on the host has one of the routes, or a name has another certificate */
export function refuseTakenRoutes(project: string, routes: readonly Route[], all: ProjectRoutes): void {
  refuseOtherCertificates(project, routes, all)
  for (const [other, theirs] of Object.entries(all)) {
    if (other === project) continue
    for (const route of routes) {
      refuseTakenHost(route, other, theirs)
      refuseTakenHealth(route, other, theirs)
      refuseTakenName(route, other, theirs)
    }
  }
}

function refuseTakenHost(route: Route, other: string, theirs: readonly Route[]): void {
  const { service } = route
  const taken = new Set(theirs.flatMap(comparedRoutes))
  const key = comparedRoutes(route).find((each) => taken.has(each))
  if (key === undefined) return
  throw new StagecraftError('config', `Cannot expose ${service} as ${key}: the project ${other} has that route`, {
    hint: 'Choose another `host` or `path`, or take it from the other project and deploy that first.',
  })
}

/** It is asked for under any name, so only the path identifies the project. */
function refuseTakenHealth({ host_health: own }: Route, other: string, theirs: readonly Route[]): void {
  const isSame = ({ host_health: health }: Route) =>
    own !== undefined && health !== undefined && comparedRoute('', health.path) === comparedRoute('', own.path)
  if (theirs.some(isSame))
    throw new StagecraftError(
      'config',
      `Cannot use ${own?.path} as \`health\` of the proxy: the project ${other} has it`,
      {
        hint: 'Choose another path: each project has its own.',
      },
    )
}

function refuseTakenName({ service, internal }: Route, other: string, theirs: readonly Route[]): void {
  for (const their of theirs) {
    const shared = internal && their.internal && sharedName(internal, their.internal)
    if (shared === undefined) continue
    throw new StagecraftError(
      'config',
      `Cannot expose ${service} as http://${shared.name}:${internal?.port}: the project ${other} has that name on network ${shared.network}`,
      {
        hint: 'Choose another name or `port`, or another network: callers there could not tell the two apart.',
      },
    )
  }
}
