import type { ComposeModel } from './compose.ts'
import type { ServiceConfig } from './config.ts'
import { childError, type Docker, inspectContainers, type ProxyContainer } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { ownAliases } from './proxy.ts'
import { exposedServices, type InternalRoute, internalRoute, PROXY, type ProjectRoutes } from './routes.ts'

/** A container of nobody we know, or of another project, on a network. */
export interface Stranger {
  readonly name: string
  /** of its Compose project; empty: it has none */
  readonly project: string
  /** under which it is found on the network */
  readonly names: readonly string[]
  readonly isRunning: boolean
}

/** @returns the containers on a network that are not of this project, stopped ones too; of a network that is gone none. */
export async function strangersOn(docker: Docker, network: string, project: string): Promise<Stranger[]> {
  const format = '{{.ID}}\t{{.Names}}\t{{.Label "com.docker.compose.project"}}'
  const list = await docker.try(['ps', '-a', '--no-trunc', '--filter', `network=${network}`, '--format', format], {
    asks: true,
  })
  if (list.code !== 0) throw childError(`look at network ${network}`, list)
  const rows = list.stdout.split('\n').filter(Boolean)
  const others = rows.flatMap((row) => {
    const [id = '', name = '', of = ''] = row.split('\t')
    return of === project || name === PROXY || name === `${PROXY}-next` ? [] : [{ id, of }]
  })
  const found = await inspectContainers(
    docker,
    others.map(({ id }) => id),
  )
  return found.flatMap(({ id, name, networks, state }): Stranger[] => {
    const endpoint = networks[network]
    if (endpoint === undefined) return []
    const of = others.find((other) => other.id === id)?.of ?? ''
    return [{ name, project: of, names: [name, ...ownAliases(endpoint.aliases, id)], isRunning: state === 'running' }]
  })
}

export function describeStranger({ name, project }: Stranger): string {
  return project === '' ? `container ${name}` : `${name} of the project ${project}`
}

/** What is to be on which networks, and who is there. */
export interface SharedNetworks {
  readonly docker: Docker
  readonly model: ComposeModel
  readonly services: Readonly<Record<string, ServiceConfig>>
  readonly proxy: ProxyContainer | undefined
  /** what the proxy routes; asked only where a name may be taken */
  readonly routesOfAll: () => Promise<ProjectRoutes>
}

/**
 * A name on a network has one owner: Docker's DNS gives a caller any of several, and an internal service's requests would be
 * answered by somebody else.
 * @throws config (3) where a container that is not of the project has the name of one of its internal services, or a service of it
 * has that of another project's
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
      hint: `Callers there would get either of them: rename one, or take it off the network (docker network disconnect ${network} ${stranger.name}).`,
    },
  )
}

/** Services that the proxy has no part in: Compose gives them their names, beside the proxy's. */
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

/** @returns the other project whose internal service is called so there. */
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
    `Cannot start ${service} on network ${network}: the project ${owner} is called ${name} there`,
    { hint: `Its callers would get either of the two: rename ${service} (or its alias), or use another network.` },
  )
}
