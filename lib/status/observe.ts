import { type Docker, openDocker } from '../docker/client.ts'
import { engineNow, enginePlatform } from '../docker/engine/facts.ts'
import { inspectImages } from '../docker/image-store.ts'
import type { Container } from '../docker/inspect.ts'
import { listNetworks } from '../docker/networks.ts'
import type { PlanInput } from '../plan/input.ts'
import { networksOf } from '../plan/networks.ts'
import { madeIn, releaseId } from '../plan/release-id.ts'
import { labelOf, listRunning } from '../project/engine/running.ts'
import { learnSecrets } from '../project/secrets/known.ts'
import type { Settings } from '../project/settings.ts'
import { readCertificates } from '../proxy/certificates/state.ts'
import { type Bundle, bundleIds, type LiveRelease, readBundle } from '../record/bundle.ts'
import { type ReleaseStatus, statusAmong, statusText } from '../record/release-status.ts'
import type { Release } from '../record/releases-file/format.ts'
import { createSecrets } from '../secrets/mask.ts'
import { StagecraftError } from '../util/errors.ts'
import { type CertificateStatus, judgeCertificate } from './certificates.ts'
import type { Drift, StatusWorld } from './drift.ts'
import { routeDrift } from './route-drift.ts'
import { type ScheduleStatus, scheduleStatuses } from './schedules/look.ts'
import { type Knowledge, type ServiceStatus, serviceStatuses } from './services.ts'
import { type NodeStatus, nodeStatuses } from './swarm/nodes.ts'

/** The releases of an environment, and which of them is live. */
export interface History {
  readonly stateFile: string
  /** newest first */
  readonly releases: readonly Release[]
  /** ids of those whose run died */
  readonly dead: ReadonlySet<string>
  readonly serving: LiveRelease | undefined
}

/** What runs of the live release on one engine. */
export interface Seen {
  readonly services: readonly ServiceStatus[]
  readonly drift: readonly Drift[]
  readonly certificates: readonly CertificateStatus[]
  readonly schedules: readonly ScheduleStatus[]
  readonly nodes: readonly NodeStatus[]
}

const NOTHING: Seen = { services: [], drift: [], certificates: [], schedules: [], nodes: [] }

/** Milliseconds by which two clocks may differ and count as equal, because asking takes time too. */
const SAME_CLOCK = 2_000

/** @returns milliseconds that the engine's clock is ahead of ours */
async function clockAhead(docker: Docker, { clock }: StatusWorld): Promise<number> {
  const ahead = (await engineNow(docker)) - clock()
  return Math.abs(ahead) < SAME_CLOCK ? 0 : ahead
}

/** @returns what runs on the host's engine, or the error if it does not answer. */
export async function observe(
  settings: Settings,
  history: History,
  world: StatusWorld,
  extent: 'all' | 'running' = 'all',
): Promise<Seen | StagecraftError> {
  const { serving, stateFile } = history
  const project = serving?.bundle.project ?? newestBundle(history)?.project
  if (project === undefined) return NOTHING // nothing was ever rolled out
  const secrets = createSecrets()
  const docker = openDocker(world.exec, secrets.mask)
  try {
    await enginePlatform(docker) // fails within half a minute if the engine hangs
    const { environment } = settings
    const [containers, ahead, nodes] = await Promise.all([
      listRunning(environment, docker, project, serving?.bundle.images),
      clockAhead(docker, world),
      nodeStatuses(docker, environment),
    ])
    // The output of healthchecks and scheduled jobs is shown, and may contain secrets.
    const isShown = serving?.bundle.schedules || containers.some(({ health }) => health === 'unhealthy')
    if (isShown) await learnSecrets(secrets, settings.host, [serving])
    const strays = strayDrift(containers, history)
    if (serving === undefined) return { ...NOTHING, nodes, drift: strays }
    const [is, was] = [environment.engine ?? 'compose', serving.bundle.on ?? 'compose']
    if (is !== was) return { ...NOTHING, drift: [{ kind: 'service', name: 'all of it', why: otherEngine(is, was) }] }
    const input = planInput(settings, serving, containers)
    const image = await imageNames(docker, containers, { ...history, serving, stateFile })
    const madeBy = (container: Container) => madeByAnother(container, history)
    const gated = (service: string) => gateEnd(serving, service)
    const known = { now: world.clock(), ahead, image, madeBy, gated, mask: docker.mask }
    const versionOf = ({ configFiles }: Container) =>
      history.releases.find(({ id }) => id === madeIn(configFiles))?.version ?? null
    const facts = { host: settings.host, docker, bundle: serving.bundle, containers, ahead, versionOf }
    const schedules = extent === 'all' ? await scheduleStatuses(facts) : []
    const services = serviceStatuses(input, known).map((one) => withSchedule(one, schedules))
    const drift = [
      ...services.flatMap(serviceDrift),
      ...(await networkDrift(docker, serving, labelOf(environment, project))),
      ...(await routeDrift(docker, serving.bundle, containers)),
      ...strays,
    ]
    const certificates =
      extent === 'all' ? await readCertificates(docker, { [project]: serving.bundle.routes ?? [] }) : []
    const now = world.clock() + ahead
    const judged = certificates.map((state) => judgeCertificate(state, now))
    return { services, drift, certificates: judged, schedules, nodes }
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}

function otherEngine(is: string, was: string): string {
  return `it was released with \`engine: ${was}\`, and is not looked at with \`engine: ${is}\``
}

function withSchedule(status: ServiceStatus, schedules: readonly ScheduleStatus[]): ServiceStatus {
  const own = schedules.find(({ job }) => job === status.service)
  return own ? { ...status, drift: own.drift } : status
}

function newestBundle({ stateFile, releases }: History): Bundle | undefined {
  const kept = new Set(bundleIds(stateFile))
  const newest = releases.find(({ id }) => kept.has(id))
  return newest && readBundle(stateFile, newest.id)
}

/** @returns the live release planned over itself: what the planner would do is what is not as released. */
function planInput(
  { environment }: Settings,
  { bundle, model }: LiveRelease,
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
async function networkDrift(docker: Docker, { model }: LiveRelease, label: string): Promise<Drift[]> {
  const present = new Set(await listNetworks(docker, label, { patient: true }))
  const external = new Set(Object.entries(model.networks ?? {}).flatMap(([key, one]) => (one?.external ? [key] : [])))
  const needed = Object.values(model.services).flatMap((service) => {
    const own = Object.entries(service.networks ?? {}).filter(([key]) => !external.has(key))
    return networksOf({ networks: Object.fromEntries(own) }, model)
  })
  const gone = [...new Set(needed)].filter((name) => !present.has(name)).toSorted()
  return gone.map((name) => ({ kind: 'network', name, why: 'it does not exist any more' }))
}

/** @returns containers of the Compose project whose service is not in the live release. */
function strayDrift(containers: readonly Container[], history: History): Drift[] {
  const { serving } = history
  return containers.flatMap((container): Drift[] => {
    const { name, service } = container
    if (serving?.model.services[service]) return []
    const removed = serving?.bundle.retiring?.includes(service)
    const why = removed
      ? `left over from ${service}, which ${serving?.bundle.version} no longer has`
      : (madeByAnother(container, history) ?? 'it belongs to no release')
    return [{ kind: 'container', name, why }]
  })
}

const MADE = ['create', 'recreate', 'rolling']

/** @returns when the rollout that made a service's containers ended; undefined: it left the service alone */
function gateEnd({ bundle }: LiveRelease, service: string): number | undefined {
  const { rollout } = bundle.phases
  const action = bundle.plan?.services.find((plan) => plan.service === service)?.action ?? ''
  return rollout && MADE.includes(action) ? Date.parse(rollout.started_at) + rollout.duration_ms : undefined
}

/** @returns which other release made a container, by the Compose file in its label; undefined: none. */
function madeByAnother({ configFiles }: Container, { releases, dead, serving }: History): string | undefined {
  const id = /[/]releases[/]([^/]+)[/](?:hosts[/][^/]+[/])?compose[.]json$/.exec(configFiles)?.[1]
  const release =
    id === (serving && releaseId(serving.bundle.id)) ? undefined : releases.find((candidate) => candidate.id === id)
  if (release === undefined) return undefined
  const status = statusAmong(release, dead)
  return `it belongs to ${release.version} (${release.id})${became(status)}`
}

function became(status: ReleaseStatus): string {
  if (status.status === 'interrupted') return `, which was ${statusText(status)}`
  if (status.status === 'running') return ', which is under way'
  return status.status === 'failed' ? `, which ${statusText(status)}` : ''
}

/** @returns the name of each image, and the version that has it: the live one, else the newest. */
async function imageNames(
  docker: Docker,
  containers: readonly Container[],
  { stateFile, releases, serving }: History & { readonly serving: LiveRelease },
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
