import { actOptions, type Stage, upArgs, type Wanted } from './compose-up.ts'
import type { ServiceConfig } from './config.ts'
import { type Container, type Docker, listContainers, removeContainers } from './docker.ts'
import type { Recorder } from './journal.ts'
import { networksOf } from './plan-networks.ts'
import { connect } from './proxy.ts'

/** Services that get containers beside those they have, and how many more. */
export interface Beside {
  readonly docker: Docker
  readonly stage: Stage
  readonly services: Readonly<Record<string, ServiceConfig>>
  readonly recorder: Recorder
  readonly onMade: (containers: readonly Container[]) => Promise<void>
  /** ids of containers that are stopped once the new ones are made, and before they are started */
  readonly stopFirst?: readonly string[]
}

/**
 * Makes containers beside those there are, and starts them. They are told apart by id, and journalled before they start.
 * Compose only makes them: asked to start them it would start an old one too that has ended, and scaling down again would
 * remove the wrong ones (facts). `docker start` starts just these.
 * @returns their ids
 */
export async function startBeside(
  { docker, stage, services, recorder, onMade, stopFirst = [] }: Beside,
  more: readonly Wanted[],
  present: readonly Pick<Container, 'id' | 'service'>[],
): Promise<string[]> {
  const old = new Set(present.map(({ id }) => id))
  const wanted = more.map(({ service, replicas }) => {
    const there = present.filter((container) => container.service === service).length
    return { service, replicas: there + replicas }
  })
  const names = more.map(({ service }) => service)
  await docker.run(`make ${names.join(', ')}`, upArgs(stage, wanted, 'beside'), actOptions(stage))
  const now = await listContainers(docker, stage.model.name)
  const made = now.filter(({ id, service }) => names.includes(service) && !old.has(id))
  const ids = made.map(({ id }) => id)
  recorder.made(ids)
  for (const container of made)
    if (services[container.service]?.expose?.internal) await leaveNameToProxy(docker, stage, container)
  await onMade(made)
  if (stopFirst.length > 0) await docker.run(`stop ${names.join(', ')}`, ['stop', ...stopFirst])
  if (ids.length > 0) await docker.run(`start ${names.join(', ')}`, ['start', ...ids])
  return ids
}

/**
 * Replaces the containers of a service one after the other, each by one that is ready before the next goes: there are never
 * more of them than were asked for, and never none.
 * @param ready waits until these containers are
 */
export async function replaceInTurn(
  beside: Beside,
  { service, replicas }: Wanted,
  old: readonly Pick<Container, 'id' | 'name'>[],
  ready: (ids: readonly string[]) => Promise<void>,
): Promise<void> {
  const { docker, stage } = beside
  const more = async (count: number) => {
    const present = await listContainers(docker, stage.model.name)
    await ready(await startBeside(beside, [{ service, replicas: count }], present))
  }
  for (const [at, container] of old.entries()) {
    await removeContainers(docker, [container])
    if (at < replicas) await more(1)
  }
  if (replicas > old.length) await more(replicas - old.length)
}

/**
 * Compose gives every container its service's name on its networks. Where the proxy answers under that name, a container
 * that is not started yet is plugged in anew without it: its DNS would send callers to it before it is ready.
 */
async function leaveNameToProxy(docker: Docker, { model }: Stage, { id, name, service }: Container): Promise<void> {
  const definition = model.services[service] ?? {}
  const settings = Object.values(definition.networks ?? {})
  for (const [at, network] of networksOf(definition, model).entries()) {
    await docker.run(`unplug ${name} from ${network}`, ['network', 'disconnect', network, id])
    await connect(docker, network, id, [name], driverOptions(settings[at]))
  }
}

function driverOptions(settings: unknown): string[] {
  const options =
    typeof settings === 'object' && settings !== null && 'driver_opts' in settings ? settings.driver_opts : {}
  return Object.entries(options ?? {}).map(([key, value]) => `${key}=${value}`)
}
