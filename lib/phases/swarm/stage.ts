import type { ComposeModel } from '../../compose/model.ts'
import { type Stack, stackOf } from '../../compose/stack/convert.ts'
import { goDuration } from '../../compose/stack/duration.ts'
import type { Environment, ServiceConfig } from '../../config/parse.ts'
import type { Patience } from '../../docker/swarm/convergence.ts'
import type { PlanInput } from '../../plan/input.ts'
import { mayRoll } from '../../plan/services/rolling.ts'
import type { Bundle } from '../../record/bundle.ts'

/** A release as Swarm is to run it: all of it comes from its bundle. */
export interface StackRelease {
  readonly model: ComposeModel
  readonly images: PlanInput['images']
  readonly jobs: readonly string[]
  /** the settings of its services */
  readonly services: Readonly<Record<string, ServiceConfig>>
  readonly environment: Environment
  /** its id: jobs that it runs are its own */
  readonly id: string
}

/** @returns the file for `docker stack deploy` of some services @param wanted with their numbers of replicas */
export function stageStack(
  release: StackRelease,
  wanted: readonly { readonly service: string; readonly replicas: number }[],
  nudges = 0,
): Stack {
  const { model, jobs, id } = release
  const all = wanted.map(({ service, replicas }) => ({
    service,
    replicas,
    ...(jobs.includes(service) ? { job: id } : {}),
    nudges,
    order: isDoubled(release, service) ? ('start-first' as const) : ('stop-first' as const),
  }))
  return stackOf(model, all)
}

function isDoubled({ model, images, services, environment }: StackRelease, service: string): boolean {
  const target = { model, content: [], data: [] }
  return mayRoll(service, {
    environment: { ...environment, services },
    target,
    images,
    serving: undefined,
    containers: [],
  })
}

/** Milliseconds: of a service at least, of a job, for tasks that end and are started again, and before one without a healthcheck counts. */
const [HEALTH, JOB, RESTARTS, MIN_READY] = [60_000, 600_000, 30_000, 5_000]
/** The healthcheck of an engine, where the Compose file says nothing: interval, timeout and retries. */
const [INTERVAL, TIMEOUT, RETRIES] = [30_000, 30_000, 3]

/** @returns how long one waits for a service: longer than its healthcheck itself can take (spec/core/phases.md, The gate) */
export function patienceFor({ model, jobs, services }: StackRelease, service: string): Patience {
  const { health_timeout, min_ready = MIN_READY } = services[service]?.rollout ?? {}
  const check = model.services[service]?.healthcheck
  const { interval, timeout, start_period, retries = RETRIES } = check ?? {}
  const each = (goDuration(interval) ?? INTERVAL) + (goDuration(timeout) ?? TIMEOUT)
  const own = check && !check.disable ? (goDuration(start_period) ?? 0) + retries * each + 5_000 : 0
  const usual = jobs.includes(service) ? JOB : Math.max(HEALTH, own)
  return { health: health_timeout ?? usual, minReady: min_ready, restarts: health_timeout ?? RESTARTS }
}

/** @returns a release of the record as Swarm is to run it */
export function releaseOf(
  { model, bundle }: { readonly model: StackRelease['model']; readonly bundle: Bundle },
  environment: StackRelease['environment'],
): StackRelease {
  const { images, topology, services = {} } = bundle
  return { model, images, jobs: topology.jobs, services, environment, id: bundle.id }
}
