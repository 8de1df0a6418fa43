import type { ServiceConfig } from '../../config/parse.ts'
import type { Docker } from '../../docker/client.ts'
import { composeUp, type ModelFile, type Replicas } from '../../docker/compose/up.ts'
import { listContainers } from '../../docker/containers.ts'
import type { Container } from '../../docker/inspect.ts'
import { removeContainers, start, stop } from '../../docker/lifecycle.ts'
import { connect, disconnect } from '../../docker/networks.ts'
import { networksOf } from '../../plan/networks.ts'
import type { Recorder } from '../../record/journal.ts'

/** What it takes to start containers alongside those that a service has. */
interface Alongside {
  readonly docker: Docker
  readonly stage: ModelFile
  readonly services: Readonly<Record<string, ServiceConfig>>
  readonly recorder: Recorder
  readonly onMade: (containers: readonly Container[]) => Promise<void>
  /** ids of containers that are stopped after the new ones are created and before they are started */
  readonly stopFirst?: readonly string[]
}

/**
 * Creates containers alongside the present ones, journals their ids, and starts them.
 * @param more how many containers to add to each service
 * @returns their ids
 */
export async function startAlongside(
  alongside: Alongside,
  more: readonly Replicas[],
  present: readonly Pick<Container, 'id' | 'service'>[],
): Promise<string[]> {
  const { docker, stage, services, onMade, stopFirst = [] } = alongside
  const names = more.map(({ service }) => service).join(', ')
  const made = await createAlongside(alongside, more, present)
  const ids = made.map(({ id }) => id)
  for (const container of made)
    if (services[container.service]?.expose?.internal) await leaveNameToProxy(docker, stage, container)
  await onMade(made)
  await stop(docker, stopFirst, { what: `stop ${names}` })
  await start(docker, ids, { what: `start ${names}` })
  return ids
}

/**
 * Creates containers alongside the present ones, and journals their ids. Compose only creates them: asked to start them it
 * would also start an old one that has ended, and scaling down again would remove the wrong ones.
 */
export async function createAlongside(
  { docker, stage, recorder }: Pick<Alongside, 'docker' | 'stage' | 'recorder'>,
  more: readonly Replicas[],
  present: readonly Pick<Container, 'id' | 'service'>[],
): Promise<Container[]> {
  const old = new Set(present.map(({ id }) => id))
  const wanted = more.map(({ service, replicas }) => {
    const there = present.filter((container) => container.service === service).length
    return { service, replicas: there + replicas }
  })
  const names = more.map(({ service }) => service)
  await composeUp(docker, `create ${names.join(', ')}`, stage, wanted, 'alongside')
  const now = await listContainers(docker, stage.model.name)
  const made = now.filter(({ id, service }) => names.includes(service) && !old.has(id))
  recorder.made(made.map(({ id }) => id))
  return made
}

/**
 * Replaces the containers of a service one by one, never more than `replicas` at a time: each new one is ready before
 * the next old one is removed.
 * @param ready waits until containers are ready
 */
export async function replaceInTurn(
  alongside: Alongside,
  { service, replicas }: Replicas,
  old: readonly Pick<Container, 'id' | 'name'>[],
  ready: (ids: readonly string[]) => Promise<void>,
): Promise<void> {
  const { docker, stage } = alongside
  const more = async (count: number) => {
    const present = await listContainers(docker, stage.model.name)
    await ready(await startAlongside(alongside, [{ service, replicas: count }], present))
  }
  for (const [at, container] of old.entries()) {
    await removeContainers(docker, [container])
    if (at < replicas) await more(1)
  }
  if (replicas > old.length) await more(replicas - old.length)
}

/**
 * Compose gives every container its service's name on its networks. If the proxy answers under that name, the container
 * is connected again without it before it starts: otherwise Docker's DNS would send callers to it before it is ready.
 */
async function leaveNameToProxy(docker: Docker, { model }: ModelFile, { id, name, service }: Container): Promise<void> {
  const definition = model.services[service] ?? {}
  const settings = Object.values(definition.networks ?? {})
  for (const [at, network] of networksOf(definition, model).entries()) {
    await disconnect(docker, [network, id], { what: `disconnect ${name} from ${network}` })
    await connect(docker, [network, id], { alias: name, 'driver-opt': driverOptions(settings[at]) })
  }
}

function driverOptions(settings: unknown): string[] {
  const options =
    typeof settings === 'object' && settings !== null && 'driver_opts' in settings ? settings.driver_opts : {}
  return Object.entries(options ?? {}).map(([key, value]) => `${key}=${value}`)
}
