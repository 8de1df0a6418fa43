import { basename } from 'node:path'
import type { ComposeModel, Service } from '../../compose/model.ts'
import type { Topology } from '../../compose/topology.ts'
import type { Container } from '../../docker/inspect.ts'
import type { PlanInput, ServicePlan } from '../input.ts'

/** @returns whether the restart policy of a service lets it end with 0. A policy in `deploy` overrides `restart`, as in Compose. */
export function mayEnd(service: Service | undefined): boolean {
  return /^(no|none|on-failure(:\d+)?)$/.test(restartPolicy(service ?? {}) ?? '')
}

function restartPolicy({ restart, deploy }: Service): string | undefined {
  const policy = deploy?.['restart_policy']
  if (typeof policy === 'object' && policy !== null) return 'condition' in policy ? String(policy.condition) : undefined
  return typeof restart === 'string' ? restart : undefined
}

/** @returns whether there are containers, and all have ended with 0. */
export function hasEnded(containers: readonly Pick<Container, 'state' | 'exitCode'>[]): boolean {
  return containers.length > 0 && containers.every(({ state, exitCode }) => state === 'exited' && exitCode === 0)
}

/** @returns the containers of one service. */
function ownOf(service: string, containers: readonly Container[]): Container[] {
  return containers.filter((container) => container.service === service)
}

/**
 * Adds undeclared jobs: services whose restart policy lets them end, and that ended with 0 in the rollout of the live
 * release, as its bundle records. Before the first release: those that have ended with 0 while other services run.
 */
export function withEndedJobs(
  topology: Topology,
  model: ComposeModel,
  { serving, containers }: Pick<PlanInput, 'serving' | 'containers'>,
): Topology {
  const isRunning = containers.some(({ state }) => state === 'running')
  const isDone = (service: string) =>
    serving ? serving.bundle.topology.jobs.includes(service) : isRunning && hasEnded(ownOf(service, containers))
  const ended = topology.order.filter(
    (service) => !topology.jobs.includes(service) && mayEnd(model.services[service]) && isDone(service),
  )
  return ended.length === 0 ? topology : { ...topology, jobs: [...topology.jobs, ...ended].toSorted() }
}

/** @param declared jobs of the Compose file or stagecraft.yml @returns the topology with the jobs as known after the rollout */
export function settleJobs(
  topology: Topology,
  declared: readonly string[],
  { services }: ComposeModel,
  containers: readonly Container[],
): Topology {
  const jobs = topology.order.filter((service) => {
    if (declared.includes(service)) return true
    const own = ownOf(service, containers)
    return own.length === 0 ? topology.jobs.includes(service) : mayEnd(services[service]) && hasEnded(own)
  })
  return { ...topology, jobs: jobs.toSorted() }
}

/** @returns notes on services that will be started and will end, as their command shows: an error unless it is declared. */
export function endingNotes(
  { target, topology, environment }: Pick<PlanInput, 'target' | 'topology' | 'environment'>,
  plans: readonly ServicePlan[],
): string[] {
  return plans.flatMap(({ service, action }) => {
    const definition = target.model.services[service]
    const isStarted = ['create', 'recreate', 'rolling'].includes(action)
    if (!isStarted || definition === undefined || topology.jobs.includes(service)) return []
    if (restartPolicy(definition) !== undefined || !endsAtOnce(definition)) return []
    return [
      `${service} exits on its own, as its command shows, and the deploy will fail: if that is intended, make it a job in stagecraft.yml: ${jobLine(service, environment.name)}`,
    ]
  })
}

/** @returns the line for stagecraft.yml that declares a service a job. @param job the value of its key */
export function jobLine(service: string, environment: string, job = 'true'): string {
  return `environments: {${environment}: {services: {${service}: {job: ${job}}}}}`
}

const SHELLS = ['sh', 'bash', 'ash', 'dash']
const ENDING = /^(true|:|echo|printf|mkdir|chown|chmod|cp|mv|ln|touch|rm|ls|cat|exit|date|id|env|hostname|set)$/

/** Only obvious cases: a system command that ends, or a line of such commands. */
function endsAtOnce({ command, entrypoint }: Service): boolean {
  const words = [...toWords(entrypoint), ...toWords(command)]
  const [program = '', flag = '', script = ''] = words
  if (!SHELLS.includes(basename(program))) return ENDING.test(basename(program))
  if (!/^-[a-z]*c$/.test(flag)) return false
  const parts = script.split(/&&|;|\n/).map((part) => part.trim())
  return parts.filter(Boolean).length > 0 && parts.every((part) => part === '' || isEnding(part))
}

function isEnding(part: string): boolean {
  return !/[|&<`(]/.test(part) && ENDING.test(basename(part.split(/\s+/)[0] ?? ''))
}

function toWords(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
