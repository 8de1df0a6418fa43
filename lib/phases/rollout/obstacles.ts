import type { ComposeModel, Port, Service } from '../../compose/model.ts'
import type { Docker } from '../../docker/client.ts'
import { listNeighbours, type Neighbour } from '../../docker/containers.ts'
import { hasNetwork } from '../../docker/networks.ts'
import { hasVolume } from '../../docker/volumes/commands.ts'
import type { Listener } from '../../hosts/listeners.ts'
import type { Plan } from '../../plan/input.ts'
import { resourceKeys } from '../../plan/model.ts'
import { PROXY } from '../../plan/routes/table.ts'
import type { ProxyPorts } from '../../proxy/ports.ts'
import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'

/** What a release needs of an engine, and others may have taken or nobody has created. */
interface Needs {
  readonly ports: readonly WantedPort[]
  /** ports of all services of the release, also of those that stay as they are */
  readonly published: readonly WantedPort[]
  readonly names: readonly { readonly name: string; readonly service: string }[]
  /** external ones, by their name on the engine */
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

export interface Obstacle {
  readonly message: string
  readonly hint: string
}

interface ObstacleOptions {
  readonly known?: readonly Obstacle[]
  readonly verb?: string
  /** where the proxy is to be published; default: 80 and 443 */
  readonly ports?: ProxyPorts | undefined
}

/**
 * Looks for everything that would stop the rollout halfway, before anything is changed.
 * @param listen lists what listens on the engine's machine, in a container or not
 * @param known obstacles that were found before, and are reported with the rest
 * @throws failed (5) with all of it: ports and container names that are taken, missing external networks and volumes
 */
export async function refuseObstacles(
  plan: Making,
  model: ComposeModel,
  { docker, clock, listen }: Seeing,
  { known = [], verb = 'deploy', ports }: ObstacleOptions = {},
): Promise<void> {
  const needs = needsOf(plan, model, ports)
  const { neighbours, listened } = await lookAtPorts(needs, { docker, clock, listen })
  const [networks, volumes] = await Promise.all([
    missing(needs.networks, (name) => hasNetwork(docker, name)),
    missing(needs.volumes, (name) => hasVolume(docker, name)),
  ])
  const found = [
    ...known,
    ...takenPorts(needs, neighbours, model.name),
    ...listened.map(listenedPort),
    ...takenNames(needs, neighbours, model.name),
    ...networks.map((name) => noSuch('network', name)),
    ...volumes.map((name) => noSuch('volume', name)),
  ]
  const [first, ...others] = found
  if (first === undefined) return
  if (others.length === 0) throw new StagecraftError('failed', first.message, { hint: first.hint })
  const detail = found.map(({ message }) => message).join('\n')
  const hint = [...new Set(found.map((one) => one.hint))].join('\n')
  throw new StagecraftError('failed', `Cannot ${verb}: ${found.length} things are in the way`, { detail, hint })
}

/** The part of a plan that says what will be made. */
interface Making {
  readonly services: readonly Pick<Plan['services'][number], 'service' | 'action' | 'replicas'>[]
  readonly proxy: Pick<NonNullable<Plan['proxy']>, 'action'> | null
}

/** What a look at an engine's machine needs. */
export interface Seeing {
  readonly docker: Docker
  readonly clock: Pick<Clock, 'sleep'>
  readonly listen: () => Promise<readonly Listener[]>
}

/** A wanted port on which something listens that is in no container. */
interface Listened extends WantedPort {
  readonly program: string | undefined
}

/** How often ports are looked at, and the milliseconds between two looks. */
const [LOOKS, BETWEEN] = [6, 500]

/** The programs that listen for the engine. A container that is starting or ending has no ports yet or any more, but they do. */
const ENGINES_OWN = /^(docker-proxy|rootlesskit|slirp4netns|pasta|dockerd|vpnkit)\b/

/** Looks again while the engine may be listening for a container that is just starting or ending, as after a run that was killed. */
async function lookAtPorts(needs: Needs, { docker, clock, listen }: Seeing) {
  for (let looks = 1; ; looks++) {
    const neighbours = needs.ports.length + needs.names.length === 0 ? [] : await listNeighbours(docker)
    const loose = needs.ports.filter(
      ({ port }) => !neighbours.some(({ ports }) => ports.some((one) => one.port === port)),
    )
    const listeners = loose.length === 0 ? [] : await listen()
    const listened = loose.flatMap((wanted): Listened[] => {
      const found = listeners.find(({ port, address }) => port === wanted.port && overlaps(address, wanted.address))
      return found === undefined ? [] : [{ ...wanted, program: found.program }]
    })
    const mayMove = listened.some(({ program }) => program === undefined || ENGINES_OWN.test(program))
    if (!mayMove || looks === LOOKS) return { neighbours, listened }
    await clock.sleep(BETWEEN)
  }
}

const MADE = ['create', 'recreate', 'rolling', 'job']

function needsOf(
  { services, proxy }: Making,
  model: ComposeModel,
  { http, https, bind = '' }: ProxyPorts = { http: 80, https: 443 },
): Needs {
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
  const isMade = proxy?.action === 'start' || proxy?.action === 'upgrade'
  const proxied = isMade ? [`${http}/tcp`, `${https}/tcp`, `${https}/udp`] : []
  return {
    ports: [
      ...made.flatMap(({ service, definition }) => published(service, definition)),
      ...proxied.map((port) => ({ port, address: bind, user: PROXY })),
    ],
    published: Object.entries(model.services).flatMap(([service, definition]) => published(service, definition)),
    names: made.flatMap(({ service, definition: { container_name: name } }) => (name ? [{ name, service }] : [])),
    networks: external('networks'),
    volumes: external('volumes'),
  }
}

/** @returns ports that are fixed: of a range the engine takes a free one. */
function fixedPorts({ ports = [], network_mode }: Service): { port: string; address: string }[] {
  if (network_mode === 'host') return [] // docker publishes none: the program itself listens
  return ports.flatMap(({ published = '', protocol = 'tcp', host_ip: address = '' }: Port) =>
    /^\d+$/.test(published) && published !== '0' ? [{ port: `${published}/${protocol}`, address }] : [],
  )
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
    hint: `Remove the port from the Compose file: \`expose\` in stagecraft.yml says what the proxy answers there.`,
  }
}

function listenedPort({ port, user, program }: Listened): Obstacle {
  const [number] = port.split('/')
  const look = program === undefined ? ` To find it: sudo ss -lntup 'sport = :${number}'.` : ''
  return {
    message: `Cannot give port ${port.replace('/tcp', '')} to ${whose(user)}: ${program ?? 'a program that is in no container'} listens there`,
    hint: `Stop it, or ${another(user)}.${look} Nothing has been changed.`,
  }
}

function whose(user: string): string {
  return user === PROXY ? 'the proxy' : user
}

function another(user: string): string {
  return user === PROXY ? 'use that proxy (spec/guides/own-proxy.md)' : 'publish another port'
}

/** An empty address is all of both families, as Docker publishes by default. */
function overlaps(one: string, other: string): boolean {
  if (one === '' || other === '' || one === other) return true
  const isV6 = (address: string) => /:|IPv6/.test(address)
  return isV6(one) === isV6(other) && [one, other].some((address) => address === '0.0.0.0' || address === '::')
}

function takenPort(port: string, user: string, holder: Neighbour, project: string): Obstacle {
  return {
    message: `Cannot give port ${port} to ${whose(user)}: ${describe(holder)} has it`,
    hint: `${wayOut(user, holder, project)} Nothing has been changed.`,
  }
}

function wayOut(user: string, { name, project, service }: Neighbour, own: string): string {
  if (name === PROXY)
    return `Remove the port from the Compose file: \`expose\` in stagecraft.yml says what the proxy answers there.`
  if (project === own) return `Deploy once without \`expose\`, so that ${service} gives up the port, and then with it.`
  return `Stop it (docker stop ${name}), or ${another(user)}.`
}

function takenNames({ names }: Needs, neighbours: readonly Neighbour[], project: string): Obstacle[] {
  return names.flatMap(({ name, service }) => {
    const holder = neighbours.find((one) => one.name === name && (one.project !== project || one.service !== service))
    if (holder === undefined) return []
    const message = `Cannot name the container of ${service} ${name}: ${describe(holder)} has that name`
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

async function missing(names: readonly string[], has: (name: string) => Promise<boolean>): Promise<string[]> {
  const found: string[] = []
  for (const name of names) if (!(await has(name))) found.push(name)
  return found
}

function noSuch(kind: 'network' | 'volume', name: string): Obstacle {
  return {
    message: `Cannot use the external ${kind} ${name}: it does not exist on the engine`,
    hint: `Create it (docker ${kind} create ${name}), or remove \`external: true\` from the Compose file. Nothing has been changed.`,
  }
}
