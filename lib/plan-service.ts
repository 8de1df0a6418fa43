import type { Service } from './compose.ts'
import type { Container } from './docker.ts'
import { hasEnded } from './ending.ts'
import type { ReleasedImage } from './images.ts'
import type { Action, PlanInput, ServicePlan } from './plan.ts'
import { KEPT_ASIDE } from './plan-adoption.ts'
import { differences } from './plan-differences.ts'
import { networksOf } from './plan-networks.ts'
import { isHashedWithOthers, replicasOf, usesNamespace } from './services.ts'

/** Why a held service that is as it should be is left alone. */
export const HELD = 'held: a deploy does not touch it'

/** Decides what to do to one service, looking at it alone. @param replaced networks that are made anew */
export function planService(service: string, input: PlanInput, replaced: ReadonlySet<string>): ServicePlan {
  const target = input.target.model.services[service] ?? {}
  const before = input.serving?.model.services[service]
  const containers = input.containers.filter((container) => container.service === service)
  const image = input.images[service]
  const hold = input.environment.services[service]?.rollout.strategy === 'hold'
  const isJob = input.topology.jobs.includes(service)
  const reasons = before ? differences(service, target, before, input) : []
  const network = networksOf(target, input.target.model).find((name) => replaced.has(name))
  if (network !== undefined) reasons.push(`its network ${network} changed`)
  const change = before && changedNaming(service, input)
  if (change) reasons.push(change)
  const replicas = wantedReplicas(target, before, ofLive(containers, input))
  const say = (action: Action, why: string, ifImageChanges = false): ServicePlan => ({
    service,
    action,
    why,
    replicas,
    ifImageChanges,
  })
  const unknown = image === undefined
  if (isJob && input.rollback)
    return say('unchanged', `left alone: it completed in ${input.version}, and runs only in a deploy`)
  if (isJob && input.serving === undefined && hasEnded(containers))
    return planAdoptedJob(service, input, containers, say)
  if (isJob) return planJob(say, before !== undefined, reasons, unknown)
  if (containers.length === 0)
    return replicas === 0
      ? say('unchanged', 'no replicas are wanted')
      : say('create', before ? 'it does not exist any more' : 'new')
  const down = hold ? containers.find(({ state }) => state !== 'running') : undefined
  if (down)
    return say('hold', `held, but ${down.state}: it is not started again by a deploy; docker start ${down.name}`)
  if (hold && reasons.length > 0) return say('hold', `held; waiting: ${reasons.join('; ')}`)
  if (hold) return say('hold', HELD)
  if (before === undefined) return planAdoption(service, input, containers, say)
  const drift = driftOf(service, input, containers)
  if (drift) reasons.push(drift)
  if (reasons.length > 0) return say('recreate', reasons.join('; '))
  if (replicas !== containers.length) return say('scale', `${containers.length} → ${replicas} containers`)
  const sick = containers.some(({ health }) => health === 'unhealthy')
  if (sick && !holdsData(target, image)) return say('recreate', 'it is unhealthy')
  if (unknown) return say('recreate', 'if the image that is built or pulled differs', true)
  return say('unchanged', sick ? 'unhealthy, but it holds data: look at it yourself' : 'nothing changed')
}

/** Where the proxy answers under the service's name, its containers do not. */
function changedNaming(service: string, { environment, serving }: PlanInput): string | undefined {
  const was = serving?.bundle.routes?.find((route) => route.service === service)?.internal !== undefined
  const is = environment.services[service]?.expose?.internal === true
  if (was === is) return undefined
  return is ? 'the proxy is to answer under its name' : 'it is to answer under its own name again'
}

type Say = (action: Action, why: string, ifImageChanges?: boolean) => ServicePlan

/** A job runs again when something about it changed, not because its container is gone. */
function planJob(say: Say, known: boolean, reasons: readonly string[], unknown: boolean): ServicePlan {
  if (!known) return say('job', 'new: runs once, to its end')
  if (reasons.length > 0) return say('job', `runs again: ${reasons.join('; ')}`)
  if (unknown) return say('job', 'runs again if the image that is built or pulled differs', true)
  return say('unchanged', 'has run, and nothing changed')
}

/** Containers of a project that Compose started by hand: as the file says, or not (design 5, adoption). */
function planAdoption(service: string, input: PlanInput, containers: readonly Container[], say: Say): ServicePlan {
  const unknown = (why: string): ServicePlan => ({ ...say('recreate', `${why}; ${KEPT_ASIDE}`), aside: true })
  if (input.serving) return unknown('it runs without having been released')
  const hashes = input.adoptable[service] ?? []
  const image = input.images[service]
  if (!containers.every(({ configHash }) => hashes.includes(configHash))) {
    const why = 'it runs, but not as the Compose file says now'
    return input.remembered?.includes(service) ? say('recreate', why) : unknown(why)
  }
  const stopped = containers.find(({ state }) => state !== 'running')
  if (stopped) return say('recreate', `it is not running (${stopped.state}, exit code ${stopped.exitCode})`)
  if (image === undefined) return say('recreate', 'if the image that is built or pulled differs', true)
  return runsImage(containers, image) ? say('unchanged', 'adopted as it runs') : say('recreate', 'its image changed')
}

/** What has ended with 0 as the file says has done what it was to do. */
function planAdoptedJob(service: string, input: PlanInput, containers: readonly Container[], say: Say): ServicePlan {
  const hashes = input.adoptable[service] ?? []
  const image = input.images[service]
  if (!containers.every(({ configHash }) => hashes.includes(configHash))) return planJob(say, false, [], false)
  if (image === undefined) return planJob(say, true, [], true)
  return runsImage(containers, image)
    ? say('unchanged', 'adopted: it has run, and ended with 0')
    : planJob(say, true, ['its image changed'], false)
}

function runsImage(containers: readonly Container[], { id }: ReleasedImage): boolean {
  return containers.every(({ image }) => image === id)
}

/** @returns how the containers differ from what the serving release made, if they do. */
function driftOf(service: string, input: PlanInput, containers: readonly Container[]): string | undefined {
  const bundle = input.serving?.bundle
  const stopped = containers.find(({ state }) => state !== 'running')
  if (stopped) return `it is not running (${stopped.state}, exit code ${stopped.exitCode})`
  const target = input.target.model.services[service] ?? {}
  if (usesNamespace(target) && isOrphaned(containers, input)) return 'the container whose namespace it uses is gone'
  const hash = isHashedWithOthers(target) ? undefined : bundle?.config_hashes[service]
  if (hash !== undefined && containers.some(({ configHash }) => configHash !== hash)) return 'it was changed by hand'
  const id = bundle?.images[service]?.id
  return id !== undefined && containers.some(({ image }) => image !== id) ? 'its image was changed by hand' : undefined
}

/** Such a container stays "running" when the other one goes, and is cut off. */
function isOrphaned(containers: readonly Container[], input: PlanInput): boolean {
  const present = new Set(input.containers.map(({ id }) => id))
  return containers.some(({ shares }) => shares.some((id) => !present.has(id)))
}

/** What a release that failed has left alongside what is live is no replica of it: it was made from a later model. */
function ofLive(containers: readonly Container[], { serving }: PlanInput): readonly Container[] {
  const madeBy = ({ configFiles }: Container) => /\/releases\/(rel-[\d-]+)\//.exec(configFiles)?.[1] ?? ''
  const own = containers.filter((container) => serving === undefined || madeBy(container) <= serving.bundle.id)
  return own.length > 0 ? own : containers
}

/** The number in the file counts when it changed; otherwise a number set by hand stays. */
function wantedReplicas(target: Service, before: Service | undefined, containers: readonly Container[]): number {
  const wanted = replicasOf(target)
  const sameAsBefore = before !== undefined && replicasOf(before) === wanted
  return sameAsBefore && containers.length > 0 ? containers.length : wanted
}

function holdsData(service: Service, image: ReleasedImage | undefined): boolean {
  const writable = (service.volumes ?? []).some((mount) => mount.type !== 'tmpfs' && mount.read_only !== true)
  return writable || image?.volumes !== false
}
