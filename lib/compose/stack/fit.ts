import { StagecraftError } from '../../util/errors.ts'
import type { Problems } from '../../util/problems.ts'
import type { ComposeModel, Mount, Port, Service } from '../model.ts'
import { fixedAddress } from '../topology.ts'
import { IDLE, NEEDED, TAKEN, TURNED } from './keys.ts'

/**
 * Looks for what Docker Swarm cannot do (spec/core/swarm.md).
 * @param problems collects an error for each setting without which the application would be another one
 * @returns warnings about settings that have no effect
 */
export function judgeForSwarm(model: ComposeModel, problems: Problems): string[] {
  const services = Object.entries(model.services)
  const ignored = new Map<string, string[]>()
  for (const [name, service] of services) {
    for (const error of serviceFaults(name, service)) problems.add(error)
    for (const key of ignoredKeys(service)) ignored.set(key, [...(ignored.get(key) ?? []), name])
  }
  for (const [key, network] of Object.entries(model.networks ?? {})) {
    const driver = network?.external === true ? undefined : network?.['driver']
    if (driver !== undefined && driver !== 'overlay')
      problems.add(
        refusal(`use network ${key} on a Swarm: its driver is ${driver}, which does not reach other nodes`, {
          hint: 'Leave `driver` out: it is an overlay network then.',
        }),
      )
  }
  const lines = [...ignored].map(([key, names]) => `Swarm ignores ${key} of ${names.join(', ')}`)
  return [...lines, ...services.flatMap(([name, service]) => dataWarnings(name, service, model))]
}

function refusal(what: string, more: { readonly hint: string }): StagecraftError {
  return new StagecraftError('config', `Cannot ${what}`, more)
}

function* serviceFaults(name: string, service: Service): Generator<StagecraftError> {
  for (const [key, hint] of Object.entries(NEEDED))
    if (isSet(service[key])) yield refusal(`run ${name} on a Swarm: it has no ${key} there`, { hint })
  for (const port of service.ports ?? []) yield* portFaults(name, port)
  for (const mount of service.volumes ?? []) yield* mountFaults(name, mount)
  for (const settings of Object.values(service.networks ?? {})) {
    const fixed = fixedAddress(settings)
    if (fixed !== undefined)
      yield refusal(`give ${name} a fixed address on a Swarm (${fixed})`, {
        hint: 'Leave it out: other services find it by its name.',
      })
  }
}

function* portFaults(name: string, { target, published, host_ip }: Port): Generator<StagecraftError> {
  if (host_ip !== undefined && host_ip !== '0.0.0.0' && host_ip !== '::')
    yield refusal(
      `publish port ${published ?? target} of ${name} on ${host_ip} alone: Swarm publishes on all addresses`,
      {
        hint: 'Leave the address out, and close the port to others in the firewall of the nodes.',
      },
    )
  if (published !== undefined && published !== '' && !/^\d+$/.test(published))
    yield refusal(`publish one of the ports ${published} of ${name}: a Swarm needs one number`, {
      hint: 'Name one port.',
    })
}

function* mountFaults(name: string, mount: Mount): Generator<StagecraftError> {
  const { type, target } = mount
  if (!['bind', 'volume', 'tmpfs'].includes(type))
    yield refusal(`mount ${target} into ${name} on a Swarm: it is of type ${type}`, { hint: 'Use a volume.' })
}

function ignoredKeys(service: Service): string[] {
  const known = (key: string) => TAKEN.has(key) || TURNED.has(key) || IDLE.has(key) || key in NEEDED
  return Object.keys(service).filter((key) => !known(key) && !key.startsWith('x-') && isSet(service[key]))
}

/** Compose prints keys that nobody has set, with a value that means nothing. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}

/** A volume is that of the node: a task that moves to another node finds an empty one. */
function dataWarnings(name: string, { volumes = [], deploy }: Service, model: ComposeModel): string[] {
  const placement = deploy?.['placement']
  const isPlaced = typeof placement === 'object' && placement !== null && isSet(Object(placement)['constraints'])
  if (isPlaced) return []
  const local = volumes.filter(({ type, source, read_only }) => {
    if (type === 'bind') return read_only !== true
    return type === 'volume' && source !== undefined && !isSet(model.volumes?.[source]?.['driver'])
  })
  return local.map(
    ({ source }) =>
      `${name} keeps ${source} on the node that it runs on: on another node it begins empty. Name the node: deploy.placement.constraints`,
  )
}
