import * as v from 'valibot'
import { scheduleOf } from './services/jobs.ts'

/** What places the containers of an environment: Compose on each host, or Docker Swarm (spec/core/swarm.md). */
export const engine = v.picklist(['compose', 'swarm'], 'must be compose or swarm')

export type EngineName = v.InferOutput<typeof engine>

/** Settings that mean nothing on a Swarm, or that are not built for it: each would be silently without effect. */
const OF_ENVIRONMENT = {
  proxy: 'the proxy runs on hosts alone: publish ports in the Compose file',
  data: 'a node has no folder of the project: use volumes',
  root: 'the Swarm itself keeps the releases',
} as const

const OF_SERVICE = {
  expose: OF_ENVIRONMENT.proxy,
  hosts: 'Swarm places it: use `deploy.placement` in the Compose file',
  moved_from: 'Swarm places it: use `deploy.placement` in the Compose file',
} as const

const OF_ROLLOUT = {
  drain: 'Swarm stops the old containers',
  drain_timeout: 'Swarm stops the old containers',
} as const

/** A wrong setting: its path in the environment, and what is wrong with it. */
interface EngineFault {
  readonly path: readonly string[]
  readonly message: string
}

/** What these checks need of an environment. */
interface Settings {
  readonly engine?: EngineName
  readonly services?: Readonly<Record<string, ServiceSettings | null>> | null
}

interface ServiceSettings {
  readonly job?: Parameters<typeof scheduleOf>[0]
  readonly rollout?: { readonly strategy?: string } | null
}

/** @returns the settings of an environment on a Swarm that it cannot have, in order */
export function engineFaults(environment: Settings): EngineFault[] {
  if (environment.engine !== 'swarm') return []
  const faults = unfit(environment, OF_ENVIRONMENT, [])
  for (const [name, service] of Object.entries(environment.services ?? {})) {
    const at = ['services', name]
    const { job, rollout } = service ?? {}
    faults.push(...unfit(service ?? {}, OF_SERVICE, at))
    if (scheduleOf(job) !== undefined) faults.push(fault([...at, 'job'], 'jobs with a schedule do not run there yet'))
    faults.push(...unfit(rollout ?? {}, OF_ROLLOUT, [...at, 'rollout']))
    if (rollout?.strategy === 'hold')
      faults.push(fault([...at, 'rollout', 'strategy'], 'no service can be held there yet'))
  }
  return faults
}

function unfit(has: object, known: Readonly<Record<string, string>>, at: readonly string[]): EngineFault[] {
  return Object.entries(known).flatMap(([key, why]) => (key in has ? [fault([...at, key], why)] : []))
}

function fault(path: readonly string[], why: string): EngineFault {
  return { path, message: `must be left out with \`engine: swarm\`: ${why}` }
}
