import type { Service } from '../model.ts'
import { isOnEachNode } from '../topology.ts'
import { goDuration } from './duration.ts'

/** How Swarm replaces the tasks of a service, where the Compose file does not say it. */
export interface Rollout {
  readonly order: 'start-first' | 'stop-first'
  /** undefined: as in the Compose file */
  readonly replicas?: number | undefined
  /** it runs to completion: the release that runs it, since Swarm does not start a service again whose definition is the same */
  readonly job?: string | undefined
  /** how often Swarm was asked to look at the same update again */
  readonly nudges?: number | undefined
}

type Parts = Readonly<Record<string, unknown>>

/** Milliseconds that a new task is watched at least: Swarm's own default. */
const MONITOR = 5_000

/** A job that runs again: Swarm takes tasks that have ended, with whatever code, for an update that fails. */
const ALL_AT_ONCE: Parts = { parallelism: 0, order: 'stop-first', failure_action: 'continue' }

/** @returns the `deploy` of a service: its own, with what Swarm has there instead of keys of Compose */
export function deployOf(service: Service, { order, replicas, job, nudges = 0 }: Rollout): Parts {
  const deploy: Parts = service.deploy ?? {}
  const { mode = 'replicated', endpoint_mode, labels, placement, update_config, rollback_config } = deploy
  const isGlobal = isOnEachNode(service)
  const count = replicas ?? service.scale ?? service.deploy?.replicas ?? 1
  const resources = resourcesOf(service)
  const isJob = job !== undefined
  const policy = policyOf(service, isJob)
  const how = { order, failure_action: 'pause', monitor: monitorOf(service, nudges) }
  const updates = {
    update_config: { ...how, ...Object(update_config) },
    rollback_config: { ...how, ...Object(rollback_config) },
  }
  return {
    // Once its managers have changed their leader, a Swarm runs a `replicated-job` several times (moby/moby#53632).
    mode: isJob ? (isGlobal ? 'global-job' : 'replicated') : mode,
    ...(isGlobal ? {} : { replicas: count }),
    ...(endpoint_mode ? { endpoint_mode } : {}),
    ...(labels ? { labels } : {}),
    ...(isFull(placement) ? { placement } : {}),
    ...(isFull(resources) ? { resources } : {}),
    ...(policy ? { restart_policy: policy } : {}),
    ...(isJob ? (isGlobal ? {} : { update_config: ALL_AT_ONCE }) : updates),
  }
}

/**
 * A task that is unhealthy ends: it is watched as long as its healthcheck may not count yet. Another number makes another
 * definition, so that Swarm begins the same update again, and replaces no task that is up to date.
 */
function monitorOf({ healthcheck }: Service, nudges: number): string {
  return `${Math.max(MONITOR, goDuration(healthcheck?.start_period) ?? 0) + nudges}ms`
}

function resourcesOf({ deploy, cpus, mem_limit, mem_reservation, pids_limit }: Service): Parts {
  const { limits, reservations } = Object(deploy?.['resources'])
  const limit = {
    ...(Number(cpus) > 0 ? { cpus } : {}),
    ...(mem_limit ? { memory: mem_limit } : {}),
    ...(Number(pids_limit) > 0 ? { pids: pids_limit } : {}),
    ...Object(limits),
  }
  const { devices: _, ...reserved } = {
    ...(mem_reservation ? { memory: mem_reservation } : {}),
    ...Object(reservations),
  }
  return {
    ...(isFull(limit) ? { limits: asTexts(limit) } : {}),
    ...(isFull(reserved) ? { reservations: asTexts(reserved) } : {}),
  }
}

/** Compose prints `cpus` as a number; both it and memory must be texts. */
function asTexts(parts: Parts): Parts {
  const entries = Object.entries(parts).map(([key, value]) => {
    if (key === 'pids') return [key, Number(value)] as const
    return [key, ['cpus', 'memory'].includes(key) ? String(value) : value] as const
  })
  return Object.fromEntries(entries)
}

/** Without a policy Swarm restarts whatever ends. A job that fails is not repeated unless it asks for it. */
function policyOf({ deploy, restart }: Service, job: boolean): Parts | undefined {
  const own = deploy?.['restart_policy']
  if (isFull(own)) return own
  const [, attempts] = /^on-failure(?::(\d+))?$/.exec(String(restart ?? '')) ?? []
  if (String(restart).startsWith('on-failure'))
    return { condition: 'on-failure', ...(attempts === undefined ? {} : { max_attempts: Number(attempts) }) }
  return job || restart === 'no' ? { condition: 'none' } : undefined
}

function isFull(value: unknown): value is Parts {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}
