import type { Service } from '../../compose/model.ts'
import { isHashedWithOthers, replicasOf, usesNamespace } from '../../compose/topology.ts'
import { scheduleOf } from '../../config/services/jobs.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import type { Container } from '../../docker/inspect.ts'
import type { Action, PlanInput, ServicePlan } from '../input.ts'
import { networksOf } from '../networks.ts'
import { madeIn } from '../release-id.ts'
import { KEPT_ASIDE } from './adoption.ts'
import { differences } from './differences.ts'
import { planJob, runsImage } from './jobs.ts'
import { planScheduled } from './schedules.ts'

/** Decides what to do to one service, looking at it alone. @param replaced networks that are replaced */
export function planService(service: string, input: PlanInput, replaced: ReadonlySet<string>): ServicePlan {
  const target = input.target.model.services[service] ?? {}
  const before = input.serving?.model.services[service]
  const containers = input.containers.filter((container) => container.service === service)
  const image = input.images[service]
  const hold = input.environment.services[service]?.rollout.strategy === 'hold'
  const isJob = input.topology.jobs.includes(service)
  const reasons = changesOf(service, input, replaced)
  const replicas = wantedReplicas(service, input, ofLive(containers, input))
  const say = (action: Action, why: string, ifImageChanges = false): ServicePlan => ({
    service,
    action,
    why,
    replicas,
    ifImageChanges,
  })
  const unknown = image === undefined
  const scheduled = scheduleOf(input.environment.services[service]?.job)
  if (scheduled) return { ...planScheduled(service, scheduled, input, reasons, say), replicas: 1 }
  const migrates = migratedBy(service, input.environment)
  if (migrates !== undefined && !input.rollback) return say('migrate', migrates)
  if (isJob) return planJob(service, input, reasons, say)
  if (containers.length === 0)
    return replicas === 0
      ? say('unchanged', 'it has 0 replicas')
      : say('create', before ? (stoppedBy(service, input) ?? 'it does not exist any more') : 'new')
  if (hold) return say('hold', looseness(containers, reasons) ?? 'held: a deploy does not touch it')
  if (before === undefined) return planAdoption(service, input, containers, say)
  const drift = driftOf(service, input, containers)
  if (drift) reasons.push(drift)
  if (reasons.length > 0) return say('recreate', reasons.join('; '))
  if (replicas !== containers.length) return say('scale', `${containers.length} → ${replicas} containers`)
  const sick = containers.some(({ health }) => health === 'unhealthy')
  if (sick && !holdsData(target, image)) return say('recreate', 'it is unhealthy')
  if (unknown) return say('recreate', 'if the built or pulled image differs', true)
  return say('unchanged', sick ? 'unhealthy, but it holds data: check it yourself' : 'nothing changed')
}

/** @returns in which phase a job runs that is a database's migrations (spec/core/migrations.md); undefined: it is none */
function migratedBy(service: string, { databases = {} }: PlanInput['environment']): string | undefined {
  const own = Object.entries(databases).find(
    ([, { migrations }]) => migrations.engine === 'job' && migrations.service === service,
  )
  if (own === undefined) return undefined
  const [name, { migrations }] = own
  if (migrations.strategy === 'manual') return `only by \`stagecraft migrate run\`: the migrations of ${name}`
  return `runs in ${migrations.strategy === 'pre_deploy' ? 'migrate_pre' : 'migrate_post'}: the migrations of ${name}`
}

/** @returns why a held service is not as it should be: a container does not run, or changes wait; undefined: it is */
export function whyLoose(service: string, input: PlanInput, replaced: ReadonlySet<string>): string | undefined {
  const containers = input.containers.filter((container) => container.service === service)
  return looseness(containers, changesOf(service, input, replaced))
}

/** @param reasons what is new about the service */
function looseness(containers: readonly Container[], reasons: readonly string[]): string | undefined {
  const down = containers.find(({ state }) => state !== 'running')
  if (down) return `held, but ${down.state}: a deploy does not start it; run docker start ${down.name}`
  return reasons.length > 0 ? `held; waiting: ${reasons.join('; ')}` : undefined
}

/** @returns what is new about a service, in the order in which it is printed */
function changesOf(service: string, input: PlanInput, replaced: ReadonlySet<string>): string[] {
  const target = input.target.model.services[service] ?? {}
  const before = input.serving?.model.services[service]
  const network = networksOf(target, input.target.model).find((name) => replaced.has(name))
  const naming = before && changedNaming(service, input)
  return [
    ...(before ? differences(service, target, before, input) : []),
    ...(network === undefined ? [] : [`its network ${network} changed`]),
    ...(naming === undefined ? [] : [naming]),
  ]
}

/** While the proxy answers under the service's name, its containers do not have that name. */
function changedNaming(service: string, { environment, serving }: PlanInput): string | undefined {
  const was = serving?.bundle.routes?.find((route) => route.service === service)?.internal !== undefined
  const is = environment.services[service]?.expose?.internal === true
  if (was === is) return undefined
  return is ? 'the proxy will answer under its name' : 'it will answer under its name itself'
}

type Say = (action: Action, why: string, ifImageChanges?: boolean) => ServicePlan

/** For containers that no release made, such as those of `docker compose up` (spec/core/plan.md, Adoption). */
function planAdoption(service: string, input: PlanInput, containers: readonly Container[], say: Say): ServicePlan {
  const unknown = (why: string): ServicePlan => ({ ...say('recreate', `${why}; ${KEPT_ASIDE}`), aside: true })
  if (input.serving) return unknown('it runs, but no release has it')
  const hashes = input.adoptable[service] ?? []
  const image = input.images[service]
  if (!containers.every(({ configHash }) => hashes.includes(configHash))) {
    const why = 'it runs, but not with the definition in the Compose file'
    return input.remembered?.includes(service) ? say('recreate', why) : unknown(why)
  }
  const stopped = containers.find(({ state }) => state !== 'running')
  if (stopped) return say('recreate', `it is not running (${stopped.state}, exit code ${stopped.exitCode})`)
  if (image === undefined) return say('recreate', 'if the built or pulled image differs', true)
  return runsImage(containers, image) ? say('unchanged', 'adopted as it runs') : say('recreate', 'image changed')
}

/** @returns how the containers differ from those that the live release made, or undefined. */
function driftOf(service: string, input: PlanInput, containers: readonly Container[]): string | undefined {
  const bundle = input.serving?.bundle
  const stopped = containers.find(({ state }) => state !== 'running')
  const byHand = stopped && bundle?.stopped?.[service]
  if (byHand) return `it was stopped by ${byHand.by}`
  if (stopped) return `it is not running (${stopped.state}, exit code ${stopped.exitCode})`
  const target = input.target.model.services[service] ?? {}
  if (usesNamespace(target) && isOrphaned(containers, input)) return 'the container whose namespace it uses is gone'
  const hash = isHashedWithOthers(target) ? undefined : bundle?.config_hashes[service]
  if (hash !== undefined && containers.some(({ configHash }) => configHash !== hash)) return 'it was changed by hand'
  const id = bundle?.images[service]?.id
  return id !== undefined && containers.some(({ image }) => image !== id) ? 'its image was changed by hand' : undefined
}

/** A container stays "running" when the one whose namespace it uses is removed, but is cut off. */
function isOrphaned(containers: readonly Container[], input: PlanInput): boolean {
  const present = new Set(input.containers.map(({ id }) => id))
  return containers.some(({ shares }) => shares.some((id) => !present.has(id)))
}

/** Containers that a later, failed release left alongside the live ones are not replicas: their model is newer. */
function ofLive(containers: readonly Container[], { serving }: PlanInput): readonly Container[] {
  const own = containers.filter(({ configFiles }) => serving === undefined || madeIn(configFiles) <= serving.bundle.id)
  return own.length > 0 ? own : containers
}

/** The number of replicas in the Compose file applies if it changed; otherwise a number set by hand stays. */
function wantedReplicas(
  service: string,
  { target, serving, environment }: PlanInput,
  containers: readonly Container[],
): number {
  const wanted = replicasOf(target.model.services[service] ?? {})
  const before = serving?.model.services[service]
  if (before === undefined || replicasOf(before) !== wanted) return wanted
  if (containers.length > 0) return containers.length
  const { replicas } = (environment.engine === 'swarm' && serving?.bundle.stopped?.[service]) || {}
  return replicas ?? wanted
}

/** A stopped container is still there; of a service that is stopped on a Swarm nothing is. */
function stoppedBy(service: string, { environment, serving }: PlanInput): string | undefined {
  const by = environment.engine === 'swarm' ? serving?.bundle.stopped?.[service]?.by : undefined
  return by === undefined ? undefined : `it was stopped by ${by}`
}

function holdsData(service: Service, image: ReleasedImage | undefined): boolean {
  const writable = (service.volumes ?? []).some((mount) => mount.type !== 'tmpfs' && mount.read_only !== true)
  return writable || image?.volumes !== false
}
