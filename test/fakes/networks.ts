import { createHash } from 'node:crypto'
import { type Answer, refuse } from './answer.ts'
import type { EngineState } from './engine-state.ts'

export interface FakeNetwork {
  /** Compose's; empty for one that was made otherwise */
  readonly project: string
  readonly definition: string
}

/** What networks know of a container: one of a service, or the proxy. */
export interface Plugged {
  readonly id: string
  name: string
  /** engine's names of the networks that it is connected to */
  networks: string[]
  /** under which names it is found there, by network */
  aliases: Record<string, string[]>
}

interface Networking {
  readonly state: EngineState
  /** every container of the host */
  plugged(): Plugged[]
  isRunning(container: Plugged): boolean
}

const CONTAINERS = '{{range $id, $c := .Containers}}{{$id}} {{end}}'
const SUBNETS = '{{range .IPAM.Config}}{{.Subnet}} {{end}}'

/** What `docker network <verb>` says and does. */
export function answerNetwork(engine: Networking, verb: string, args: readonly string[]): Answer {
  const { flags, words } = parseFlags(args)
  const [name = '', id = ''] = words
  if (verb === 'ls') return listNetworks(engine.state, flags)
  if (verb === 'create') return createNetwork(engine.state, name, flags)
  if (engine.state.networks[name] === undefined) return refuse(`network ${name} not found`)
  switch (verb) {
    case 'inspect':
      return inspectNetwork(engine, name, flags.get('--format')?.[0] ?? '')
    case 'rm':
      if (active(engine, name).length > 0) return refuse(`error while removing network: ${name} has active endpoints`)
      delete engine.state.networks[name]
      return { stdout: `${name}\n` }
    case 'connect':
      return connect(engine, name, id, flags.get('--alias') ?? [])
    case 'disconnect':
      return disconnect(engine, name, id)
    default:
      throw new Error(`the fake engine does not know: docker network ${verb}`)
  }
}

function connect(engine: Networking, network: string, id: string, aliases: readonly string[]): Answer {
  const container = engine.plugged().find((one) => one.id === id || one.name === id)
  if (container === undefined) return refuse(`No such container: ${id}`)
  if (container.networks.includes(network) && engine.isRunning(container))
    return refuse(`endpoint with name ${container.name} already exists in network ${network}`)
  container.networks = [...new Set([...container.networks, network])]
  container.aliases[network] = [...aliases]
  return {}
}

function disconnect(engine: Networking, network: string, id: string): Answer {
  const container = engine.plugged().find((one) => one.id === id || one.name === id)
  if (container === undefined) return refuse(`No such container: ${id}`)
  if (!container.networks.includes(network))
    return refuse(`container ${container.id} is not connected to network ${network}`)
  container.networks = container.networks.filter((one) => one !== network)
  delete container.aliases[network]
  return {}
}

function inspectNetwork(engine: Networking, network: string, format: string): Answer {
  if (format === '') return { stdout: '[{}]\n' }
  if (format === SUBNETS) return { stdout: `${subnetOf(engine.state, network)} \n` }
  if (format !== CONTAINERS) throw new Error(`unexpected: network inspect --format ${format}`)
  return {
    stdout: `${active(engine, network)
      .map(({ id }) => `${id} `)
      .join('')}\n`,
  }
}

/** A network that is recreated with another definition gets another one. */
export function subnetOf({ networks }: EngineState, network: string): string {
  const digest = createHash('sha256').update(`${network} ${networks[network]?.definition}`).digest()
  return `10.${digest[0]}.${digest[1]}.0/24`
}

function createNetwork({ networks }: EngineState, name: string, flags: ReadonlyMap<string, string[]>): Answer {
  if (networks[name]) return refuse(`network with name ${name} already exists`)
  networks[name] = { project: '', definition: [...flags].map((flag) => flag.flat().join(' ')).join(' ') }
  return { stdout: `${name}\n` }
}

function listNetworks({ networks }: EngineState, flags: ReadonlyMap<string, string[]>): Answer {
  const [filter = ''] = flags.get('--filter') ?? []
  if (filter === 'label=stagecraft.project') {
    const ours = Object.keys(networks).filter((name) => networks[name]?.definition.includes('stagecraft.project='))
    return { stdout: ours.map((name) => `${name}\n`).join('') }
  }
  const project = filter.replace('label=com.docker.compose.project=', '')
  const names = Object.keys(networks).filter((name) => networks[name]?.project === project)
  return { stdout: names.map((name) => `${name}\n`).join('') }
}

function active(engine: Networking, network: string): Plugged[] {
  return engine.plugged().filter((one) => one.networks.includes(network) && engine.isRunning(one))
}

/** @returns the containers that Docker's DNS gives for a name on a network. */
export function lookUp(engine: Networking, network: string, name: string): Plugged[] {
  return active(engine, network).filter((one) => one.name === name || one.aliases[network]?.includes(name))
}

const WITHOUT_VALUE = ['--internal', '--force', '-q', '--interactive', '--rm']

/** Flags with their values, and the other words, up to the first that a container is started with. */
export function parseFlags(args: readonly string[]) {
  const flags = new Map<string, string[]>()
  let at = 0
  for (; args[at]?.startsWith('-'); at++) {
    const flag = args[at] ?? ''
    const value = WITHOUT_VALUE.includes(flag) ? '' : (args[++at] ?? '')
    flags.set(flag, [...(flags.get(flag) ?? []), value])
  }
  return { flags, words: args.slice(at) }
}
