import { type Bundle, bundleIds, readBundle, type ServingRelease } from './bundle.ts'
import { type Container, type Docker, enginePlatform, inspectImages, listContainers, openDocker } from './docker.ts'
import { engineNow } from './engine.ts'
import { StagecraftError } from './errors.ts'
import { learnSecrets } from './known-secrets.ts'
import { createSecrets } from './mask.ts'
import type { PlanInput } from './plan.ts'
import { networksOf } from './plan-networks.ts'
import type { Settings } from './project.ts'
import { releaseId } from './release-id.ts'
import { type ReleaseStatus, statusAmong, statusText } from './release-status.ts'
import { routeDrift } from './route-drift.ts'
import type { Release } from './state.ts'
import type { Drift, StatusWorld } from './status.ts'
import { type Knowledge, type ServiceStatus, serviceStatuses } from './status-services.ts'

/** The releases of an environment, and which of them serves. */
export interface History {
  readonly stateFile: string
  /** newest first */
  readonly releases: readonly Release[]
  /** ids of those whose run died */
  readonly dead: ReadonlySet<string>
  readonly serving: ServingRelease | undefined
}

/** What an engine says of the serving release. */
export interface Seen {
  readonly services: readonly ServiceStatus[]
  readonly drift: readonly Drift[]
}

/** Milliseconds by which two clocks may differ and be called the same: asking takes time as well. */
const SAME_CLOCK = 2_000

/** @returns milliseconds that the engine's clock is ahead of ours */
async function clockAhead(docker: Docker, { clock }: StatusWorld): Promise<number> {
  const ahead = (await engineNow(docker)) - clock()
  return Math.abs(ahead) < SAME_CLOCK ? 0 : ahead
}

/** @returns what the engine says, or why it says nothing. */
export async function observe(
  settings: Settings,
  history: History,
  world: StatusWorld,
): Promise<Seen | StagecraftError> {
  const { serving, stateFile } = history
  const project = serving?.bundle.project ?? newestBundle(history)?.project
  if (project === undefined) return { services: [], drift: [] } // nothing was ever rolled out, and its name is not known
  const secrets = createSecrets()
  const docker = openDocker(world.exec, secrets.mask)
  try {
    await enginePlatform(docker) // says within half a minute that an engine hangs
    const [containers, ahead] = await Promise.all([listContainers(docker, project), clockAhead(docker, world)])
    // What a healthcheck printed is shown.
    if (containers.some(({ health }) => health === 'unhealthy')) await learnSecrets(secrets, settings.host, [serving])
    const strays = strayDrift(containers, history)
    if (serving === undefined) return { services: [], drift: strays }
    const input = planInput(settings, serving, containers)
    const image = await imageNames(docker, containers, { ...history, serving, stateFile })
    const madeBy = (container: Container) => madeByAnother(container, history)
    const services = serviceStatuses(input, { now: world.clock(), ahead, image, madeBy, mask: docker.mask })
    const drift = [
      ...services.flatMap(serviceDrift),
      ...(await networkDrift(docker, serving)),
      ...(await routeDrift(docker, serving.bundle, containers)),
      ...strays,
    ]
    return { services, drift }
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}

function newestBundle({ stateFile, releases }: History): Bundle | undefined {
  const kept = new Set(bundleIds(stateFile))
  const newest = releases.find(({ id }) => kept.has(id))
  return newest && readBundle(stateFile, newest.id)
}

/** The serving release, to be put over itself: what the planner would do says what is not as it was released. */
function planInput(
  { environment }: Settings,
  { bundle, model }: ServingRelease,
  containers: readonly Container[],
): PlanInput {
  const { version, topology, images, content } = bundle
  const phases = { build: '', push: '', migrate_pre: '', rollout: '', migrate_post: '', finalize: '' }
  const target = { model, content, data: [] }
  return {
    environment,
    version,
    target,
    topology,
    images,
    serving: { bundle, model },
    containers,
    adoptable: {},
    proxy: undefined,
    phases,
  }
}

function serviceDrift({ service, drift }: ServiceStatus): Drift[] {
  return drift.map((why) => ({ kind: 'service', name: service, why }))
}

/** @returns the project's own networks that its services need and the engine does not have. */
async function networkDrift(docker: Docker, { bundle, model }: ServingRelease): Promise<Drift[]> {
  const filter = ['--filter', `label=com.docker.compose.project=${bundle.project}`]
  const list = await docker.run('list networks', ['network', 'ls', '--format', '{{.Name}}', ...filter])
  const present = new Set(list.stdout.split('\n').filter(Boolean))
  const external = new Set(Object.entries(model.networks ?? {}).flatMap(([key, one]) => (one?.external ? [key] : [])))
  const needed = Object.values(model.services).flatMap((service) => {
    const own = Object.entries(service.networks ?? {}).filter(([key]) => !external.has(key))
    return networksOf({ networks: Object.fromEntries(own) }, model)
  })
  const gone = [...new Set(needed)].filter((name) => !present.has(name)).toSorted()
  return gone.map((name) => ({ kind: 'network', name, why: 'it does not exist any more' }))
}

/** @returns containers of the Compose project whose service the serving release does not have. */
function strayDrift(containers: readonly Container[], history: History): Drift[] {
  const { serving } = history
  return containers.flatMap((container): Drift[] => {
    const { name, service } = container
    if (serving?.model.services[service]) return []
    const removed = serving?.bundle.retiring?.includes(service)
    const why = removed
      ? `left over of ${service}, which ${serving?.bundle.version} has no more`
      : (madeByAnother(container, history) ?? 'no release knows it')
    return [{ kind: 'container', name, why }]
  })
}

/** A container's label names the model that Compose made it from: the one of a release, or a file of the user's. */
function madeByAnother({ configFiles }: Container, { releases, dead, serving }: History): string | undefined {
  const id = /[/]releases[/]([^/]+)[/](?:hosts[/][^/]+[/])?compose[.]json$/.exec(configFiles)?.[1]
  const release =
    id === (serving && releaseId(serving.bundle.id)) ? undefined : releases.find((candidate) => candidate.id === id)
  if (release === undefined) return undefined
  const status = statusAmong(release, dead)
  return `it is of ${release.version} (${release.id})${became(status)}`
}

function became(status: ReleaseStatus): string {
  if (status.status === 'interrupted') return `, which was ${statusText(status)}`
  if (status.status === 'running') return ', which is under way'
  return status.status === 'failed' ? `, which ${statusText(status)}` : ''
}

/** @returns what to call an image, and the version that has it: the serving release's, else the newest that has it. */
async function imageNames(
  docker: Docker,
  containers: readonly Container[],
  { stateFile, releases, serving }: History & { readonly serving: ServingRelease },
): Promise<Knowledge['image']> {
  const wanted = new Set(containers.map(({ image }) => image))
  const found = new Map<string, { name: string; version: string }>()
  const note = ({ images, version }: Bundle) => {
    for (const { id, built, reference, name } of Object.values(images))
      if (wanted.has(id) && !found.has(id)) found.set(id, { name: built ? reference : name, version })
  }
  note(serving.bundle)
  const kept = new Set(bundleIds(stateFile))
  for (const { id } of releases) {
    if (found.size === wanted.size) break
    const bundle = kept.has(id) ? readBundle(stateFile, id) : undefined
    if (bundle) note(bundle)
  }
  const unknown = await inspectImages(
    docker,
    [...wanted].filter((id) => !found.has(id)),
  )
  return (service, id) => {
    const own = serving.bundle.images[service]
    if (own?.id === id) return { name: own.built ? own.reference : own.name, version: serving.bundle.version }
    const [tag] = unknown.get(id)?.tags ?? []
    return found.get(id) ?? { name: tag ?? id.slice(0, SHORT_ID), version: null }
  }
}

const SHORT_ID = 'sha256:'.length + 12
