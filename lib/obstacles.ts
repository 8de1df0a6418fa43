import type { ComposeModel, Port, Service } from './compose.ts'
import { childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Listener } from './listeners.ts'
import type { Plan } from './plan.ts'
import { resourceKeys } from './plan-model.ts'
import { PROXY } from './routes.ts'

/** What a release needs of an engine that somebody else may have, or that nobody has made. */
interface Needs {
  readonly ports: readonly WantedPort[]
  /** what any service of the release publishes, whether it is made or stays */
  readonly published: readonly WantedPort[]
  readonly names: readonly { readonly name: string; readonly service: string }[]
  /** external ones, by the engine's name of them */
  readonly networks: readonly string[]
  readonly volumes: readonly string[]
}

interface WantedPort {
  readonly port: string
  /** on which address; empty: all */
  readonly address: string
  /** a service, or the proxy */
  readonly user: string
}

/** A container of the engine, whoever's it is. */
export interface Neighbour {
  readonly name: string
  /** the Compose project; empty for one that was started otherwise */
  readonly project: string
  readonly service: string
  /** what it publishes while it runs, `18080/tcp`, and on which address; empty: all */
  readonly ports: readonly { readonly port: string; readonly address: string }[]
}

/**
 * Looks, before anything is changed, for what would stop the rollout in its midst.
 * @param listen asks what listens on the machine of the engine, in a container or not
 * @throws failed (5) with all of it: ports and container names that others have, external networks and volumes that are missing
 */
export async function refuseObstacles(
  plan: Plan,
  model: ComposeModel,
  docker: Docker,
  listen: () => Promise<readonly Listener[]>,
): Promise<void> {
  const needs = needsOf(plan, model)
  const neighbours = needs.ports.length + needs.names.length === 0 ? [] : await listNeighbours(docker)
  const loose = needs.ports.filter(
    ({ port }) => !neighbours.some(({ ports }) => ports.some((held) => held.port === port)),
  )
  const listeners = loose.length === 0 ? [] : await listen()
  const [networks, volumes] = await Promise.all([
    missing(docker, 'network', needs.networks),
    missing(docker, 'volume', needs.volumes),
  ])
  const found = [
    ...takenPorts(needs, neighbours, model.name),
    ...listenedPorts(loose, listeners),
    ...takenNames(needs, neighbours, model.name),
    ...networks.map((name) => noSuch('network', name)),
    ...volumes.map((name) => noSuch('volume', name)),
  ]
  const [first, ...others] = found
  if (first === undefined) return
  if (others.length === 0) throw new StagecraftError('failed', first.message, { hint: first.hint })
  const detail = found.map(({ message }) => message).join('\n')
  const hint = [...new Set(found.map((one) => one.hint))].join('\n')
  throw new StagecraftError('failed', `Cannot deploy: ${found.length} things are in the way`, { detail, hint })
}

interface Obstacle {
  readonly message: string
  readonly hint: string
}

const MADE = ['create', 'recreate', 'rolling', 'job']

function needsOf({ services, proxy }: Plan, model: ComposeModel): Needs {
  const made = services
    .filter(({ action, replicas }) => MADE.includes(action) && replicas > 0)
    .flatMap(({ service }) => {
      const definition = model.services[service]
      return definition === undefined ? [] : [{ service, definition }]
    })
  const external = (kind: 'networks' | 'volumes') => {
    const keys = made.flatMap(({ definition }) => resourceKeys(definition, kind))
    const all = [...new Set(keys)].map((key) => [key, model[kind]?.[key]] as const)
    return all.flatMap(([key, resource]) => (resource?.external ? [resource.name ?? key] : []))
  }
  const published = (service: string, definition: Service) =>
    fixedPorts(definition).map((port) => ({ ...port, user: service }))
  const proxied = proxy?.action === 'start' ? ['80/tcp', '443/tcp', '443/udp'] : []
  return {
    ports: [
      ...made.flatMap(({ service, definition }) => published(service, definition)),
      ...proxied.map((port) => ({ port, address: '', user: PROXY })),
    ],
    published: Object.entries(model.services).flatMap(([service, definition]) => published(service, definition)),
    names: made.flatMap(({ service, definition: { container_name: name } }) => (name ? [{ name, service }] : [])),
    networks: external('networks'),
    volumes: external('volumes'),
  }
}

/** Of a range the engine takes what is free. */
function fixedPorts({ ports = [] }: Service): { port: string; address: string }[] {
  return ports.flatMap(({ published = '', protocol = 'tcp', host_ip: address = '' }: Port) =>
    /^\d+$/.test(published) && published !== '0' ? [{ port: `${published}/${protocol}`, address }] : [],
  )
}

async function listNeighbours(docker: Docker): Promise<Neighbour[]> {
  const fields = ['.Names', '.Label "com.docker.compose.project"', '.Label "com.docker.compose.service"', '.Ports']
  const format = fields.map((field) => `{{${field}}}`).join('\t')
  const list = await docker.run('list containers', ['ps', '-a', '--no-trunc', '--format', format], { asks: true })
  return list.stdout.split('\n').filter(Boolean).map(parseNeighbour)
}

/** @param line name, project, service, and `0.0.0.0:80->80/tcp, [::]:8000-8001->8000-8001/udp, 9000/tcp` */
export function parseNeighbour(line: string): Neighbour {
  const [name = '', project = '', service = '', ports = ''] = line.split('\t')
  const published = [...ports.matchAll(/(?:^|, )(?:([^\s,]*):)?(\d+)(?:-(\d+))?->[^,]*\/(\w+)/g)]
  return {
    ...{ name, project, service },
    ports: published.flatMap(([, address = '', first, last = first, protocol]) =>
      Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => ({
        port: `${Number(first) + at}/${protocol}`,
        address: address.replace(/^\[?(.*?)\]?$/, '$1'),
      })),
    ),
  }
}

function takenPorts({ ports, published }: Needs, neighbours: readonly Neighbour[], project: string): Obstacle[] {
  return ports.flatMap(({ port, address, user }) => {
    const name = port.replace('/tcp', '')
    const sibling = user === PROXY ? published.find((other) => other.port === port)?.user : undefined
    if (sibling !== undefined) return [publishedToo(name, sibling)]
    const holder = neighbours.find((one) => {
      const isOwn = user === PROXY ? one.name.startsWith(PROXY) : one.project === project
      return !isOwn && one.ports.some((held) => held.port === port && overlaps(held.address, address))
    })
    return holder === undefined ? [] : [takenPort(name, user, holder, project)]
  })
}

function publishedToo(port: string, service: string): Obstacle {
  return {
    message: `Cannot give port ${port} to the proxy: ${service} publishes it in the Compose file`,
    hint: `Take the port out of the Compose file: what the proxy answers there is \`expose\` in stagecraft.yml.`,
  }
}

/** @param loose ports that no container has */
function listenedPorts(loose: readonly WantedPort[], listeners: readonly Listener[]): Obstacle[] {
  return loose.flatMap(({ port, address, user }) => {
    const found = listeners.find((one) => one.port === port && overlaps(one.address, address))
    if (found === undefined) return []
    const name = port.replace('/tcp', '')
    const [number] = port.split('/')
    const look = found.program === undefined ? ` Who it is: sudo ss -lntup 'sport = :${number}'.` : ''
    return [
      {
        message: `Cannot give port ${name} to ${whose(user)}: ${found.program ?? 'a program that is in no container'} listens there`,
        hint: `Stop it, or ${another(user)}.${look} Nothing has been changed.`,
      },
    ]
  })
}

function whose(user: string): string {
  return user === PROXY ? 'the proxy' : user
}

function another(user: string): string {
  return user === PROXY ? 'use that proxy (spec/guides/own-proxy.md)' : 'publish another port'
}

function overlaps(one: string, other: string): boolean {
  const all = ['', '0.0.0.0', '::']
  return one === other || all.includes(one) || all.includes(other)
}

function takenPort(port: string, user: string, holder: Neighbour, project: string): Obstacle {
  return {
    message: `Cannot give port ${port} to ${whose(user)}: ${describe(holder)} has it`,
    hint: `${wayOut(user, holder, project)} Nothing has been changed.`,
  }
}

function wayOut(user: string, { name, project, service }: Neighbour, own: string): string {
  if (name === PROXY)
    return `Take the port out of the Compose file; what the proxy answers there is \`expose\` in stagecraft.yml.`
  if (project === own) return `Deploy once without \`expose\`, so that ${service} gives the port up, and then with it.`
  return `Stop it (docker stop ${name}), or ${another(user)}.`
}

function takenNames({ names }: Needs, neighbours: readonly Neighbour[], project: string): Obstacle[] {
  return names.flatMap(({ name, service }) => {
    const holder = neighbours.find((one) => one.name === name && (one.project !== project || one.service !== service))
    if (holder === undefined) return []
    const message = `Cannot call the container of ${service} ${name}: ${describe(holder)} has that name`
    const hint = `Remove it (docker rm -f ${name}), or change \`container_name\`. Nothing has been changed.`
    return [{ message, hint }]
  })
}

function describe({ name, project, service }: Neighbour): string {
  if (name === PROXY) return "Stagecraft's proxy"
  return project === ''
    ? `the container ${name}`
    : `the container ${name} (${service} of the Compose project ${project})`
}

/** One by one: who asks for several is not told which of them is missing. */
async function missing(docker: Docker, kind: 'network' | 'volume', names: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const name of names) {
    const result = await docker.try([kind, 'inspect', name], { asks: true })
    if (result.code === 0) continue
    if (!/no such|not found/i.test(result.stderr)) throw childError(`look at ${kind} ${name}`, result)
    found.push(name)
  }
  return found
}

function noSuch(kind: 'network' | 'volume', name: string): Obstacle {
  return {
    message: `Cannot use the external ${kind} ${name}: the engine has none of that name`,
    hint: `Create it (docker ${kind} create ${name}), or take \`external: true\` out of the Compose file. Nothing has been changed.`,
  }
}
