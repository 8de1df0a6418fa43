import type { ComposeModel } from '../compose/model.ts'
import type { ServiceConfig } from '../config/parse.ts'
import type { Docker } from '../docker/client.ts'
import { inspectContainers, listContainersOn } from '../docker/containers.ts'
import type { ProxyContainer } from '../docker/inspect.ts'
import {
  exposedServices,
  type InternalRoute,
  internalRoute,
  PROXY,
  PROXY_NEXT,
  type ProjectRoutes,
} from '../plan/routes/table.ts'
import { StagecraftError } from '../util/errors.ts'
import { ownAliases } from './api.ts'

/** A container on a network that belongs to another Compose project, or to none. */
interface Stranger {
  readonly name: string
  /** name of its Compose project; empty: it has none */
  readonly project: string
  /** its names on the network */
  readonly names: readonly string[]
  readonly isRunning: boolean
}

/** @returns containers on a network that are not of this project, also stopped ones; none if the network is gone. */
export async function strangersOn(docker: Docker, network: string, project: string): Promise<Stranger[]> {
  const others = (await listContainersOn(docker, network)).filter(
    ({ name, project: of }) => of !== project && name !== PROXY && name !== PROXY_NEXT,
  )
  const found = await inspectContainers(docker, others)
  return found.flatMap(({ id, name, networks, state }): Stranger[] => {
    const endpoint = networks[network]
    if (endpoint === undefined) return []
    const of = others.find((other) => other.id === id)?.project ?? ''
    return [{ name, project: of, names: [name, ...ownAliases(endpoint.aliases, id)], isRunning: state === 'running' }]
  })
}

export function describeStranger({ name, project }: Stranger): string {
  return project === '' ? `container ${name}` : `${name} of the project ${project}`
}

/** What a release puts on which networks, and what is there already. */
interface SharedNetworks {
  readonly docker: Docker
  readonly model: ComposeModel
  readonly services: Readonly<Record<string, ServiceConfig>>
  readonly proxy: ProxyContainer | undefined
  /** what the proxy routes; read only if a name may be taken */
  readonly routesOfAll: () => Promise<ProjectRoutes>
}

/**
 * Refuses a name on a network that has two owners: Docker's DNS gives callers any of them, so requests to an internal
 * service would reach another container.
 * @throws config (3) if another project's container has the name of an internal service, or the other way round
 */
export async function refuseSharedNames(shared: SharedNetworks): Promise<void> {
  const { docker, model, services } = shared
  const internal = exposedServices(services).flatMap(([service, expose]) =>
    expose.internal && model.services[service] ? [{ service, route: internalRoute(service, expose, model) }] : [],
  )
  for (const network of new Set(internal.flatMap(({ route }) => route.networks))) {
    const own = internal.filter(({ route }) => route.networks.includes(network))
    for (const stranger of await strangersOn(docker, network, model.name))
      for (const each of own) refuseStranger(each, network, stranger)
  }
  await refusePlainNames(
    shared,
    internal.map(({ service }) => service),
  )
}

function refuseStranger(
  { service, route }: { service: string; route: InternalRoute },
  network: string,
  stranger: Stranger,
): void {
  const taken = new Set(stranger.names.map((name) => name.toLowerCase()))
  const name = route.names.find((each) => taken.has(each.toLowerCase()))
  if (name === undefined) return
  const who = describeStranger(stranger)
  throw new StagecraftError(
    'config',
    `Cannot expose ${service} as http://${name}:${route.port}: ${who} has that name on network ${network}`,
    {
      hint: `Callers there would reach either of them: rename one, or disconnect it (docker network disconnect ${network} ${stranger.name}).`,
    },
  )
}

/** Checks services that are not internal: Compose gives them their names, even if the proxy has the same ones. */
async function refusePlainNames(shared: SharedNetworks, internal: readonly string[]): Promise<void> {
  const { model, proxy, routesOfAll } = shared
  for (const [service, definition] of Object.entries(model.services)) {
    if (internal.includes(service)) continue
    const { names, networks } = internalRoute(service, { port: 0 }, model)
    const called = [...names, ...(definition.container_name ? [definition.container_name] : [])]
    for (const network of networks) {
      const answered = ownAliases(proxy?.networks[network]?.aliases ?? [], proxy?.id ?? '')
      const name = called.find((each) => answered.some((alias) => alias.toLowerCase() === each.toLowerCase()))
      if (name === undefined) continue
      const owner = ownerOf(name, network, model.name, await routesOfAll())
      if (owner !== undefined) throw takenByPlain(service, { name, network, owner })
    }
  }
}

/** @returns the other project whose internal service has that name there. */
function ownerOf(name: string, network: string, project: string, all: ProjectRoutes): string | undefined {
  const owns = ({ networks, names }: InternalRoute) =>
    networks.includes(network) && names.some((each) => each.toLowerCase() === name.toLowerCase())
  return Object.keys(all).find(
    (other) => other !== project && all[other]?.some(({ internal }) => internal !== undefined && owns(internal)),
  )
}

function takenByPlain(
  service: string,
  { name, network, owner }: { name: string; network: string; owner: string },
): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot start ${service} on network ${network}: ${name} is an internal service of the project ${owner} there`,
    { hint: `Callers would reach either of the two: rename ${service} (or its alias), or use another network.` },
  )
}
