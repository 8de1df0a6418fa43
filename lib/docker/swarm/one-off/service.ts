import type { ComposeModel } from '../../../compose/model.ts'
import { type Stack, shortName, stackOf } from '../../../compose/stack/convert.ts'
import type { Stream } from '../../../system/exec.ts'
import type { Docker } from '../../client.ts'
import { withoutDuties } from '../../compose/run.ts'
import type { Json } from '../../inspect.ts'
import { ONE_OFF, ofStack, removeServices, serviceLogs } from '../stack.ts'
import { exitCodeOf, hasEnded, inspectTasks, tasksOfService } from '../tasks.ts'

/** A job of a stack that is not in its Compose file. */
interface OneOffJob {
  /** in the Compose file: what it is made like */
  readonly service: string
  /** instead of the service's own; docker splits a text into words */
  readonly command: string | readonly string[] | undefined
  /** of its service, without the name of the stack */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** Characters of the name of a service: the most that Swarm takes. */
const LONGEST = 63

/** @returns the name of a one-off, without that of its stack, short enough for Swarm */
export function oneOffName(stack: string, name: string): string {
  return shortName(name, Math.max(20, LONGEST - 1 - stack.length))
}

/**
 * No `replicated-job`: once its managers have changed their leader, a Swarm runs such a job several times, at the same time and
 * again and again (moby/moby#53632).
 * @returns the file for a service with one task, which Swarm never starts again: with the image, environment, networks, volumes, configs
 * and secrets of a service, and what it is placed by; without its name, ports, labels and healthcheck
 */
export function oneOffStack(model: ComposeModel, { service, command, name, labels }: OneOffJob): Stack {
  const {
    tty: _t,
    stdin_open: _s,
    ports: _p,
    scale: _c,
    ...own
  } = withoutDuties(model.services[service] ?? {}, command)
  const { mode: _m, replicas: _r, endpoint_mode: _e, labels: _l, ...deploy } = own.deploy ?? {}
  const once = {
    ...own,
    restart: 'no',
    stop_grace_period: `${GRACE / 1000}s`,
    healthcheck: { disable: true },
    // Nobody calls it, so it needs no address of a service.
    deploy: { ...deploy, endpoint_mode: 'dnsrr', labels: { ...labels, [ONE_OFF]: service } },
  }
  const services = { [name]: once }
  return stackOf({ ...model, services }, [{ service: name, order: 'stop-first', replicas: 1 }])
}

/** Milliseconds from TERM to KILL. */
const GRACE = 10_000

/** The task of a one-off: it has one, unless somebody interferes. */
export interface OneOffTask {
  readonly id: string
  /** the name of its node; empty: none yet */
  readonly node: string
  /** as in tasks.ts */
  readonly state: string
  /** Swarm's words */
  readonly error: string
  /** of its container, if that is not 0; undefined: it has none, or was not started */
  readonly exitCode: number | undefined
  /** epoch milliseconds: since when it is in that state, by the clock of its node */
  readonly since: number
}

/** @returns whether it may still do something */
export function isAtWork({ state }: Pick<OneOffTask, 'state'>): boolean {
  return !hasEnded({ state })
}

/** @param label of the one-offs @returns the names of their services, with that of the stack. @throws failed (5), unreachable (8) */
export async function listOneOffs(docker: Docker, stack: string, label = ONE_OFF): Promise<string[]> {
  const filters = [ofStack(stack), ONE_OFF, label].flatMap((each) => ['--filter', `label=${each}`])
  const args = ['service', 'ls', ...filters, '--format', '{{.Name}}']
  const { stdout } = await docker.run('list one-off jobs', args, { readOnly: true })
  return stdout.split('\n').filter(Boolean)
}

/** @returns the task of a one-off, the one at work first; undefined: there is none. @throws failed (5), unreachable (8) */
export async function lookAtOneOff(docker: Docker, name: string): Promise<OneOffTask | undefined> {
  const nodes = await tasksOfService(docker, name)
  const tasks = await lookAtTasks(docker, [...nodes.keys()])
  const named = tasks.map((task) => ({ ...task, node: nodes.get(task.id) ?? '' }))
  return named.find(isAtWork) ?? named.toSorted((a, b) => b.since - a.since)[0]
}

async function lookAtTasks(docker: Docker, ids: readonly string[]): Promise<Omit<OneOffTask, 'node'>[]> {
  return (await inspectTasks(docker, ids)).map(parseTask)
}

function parseTask(json: Json): Omit<OneOffTask, 'node'> {
  const status = json.at('Status')
  const error = status.at('Err').string()
  return {
    id: json.at('ID').string(),
    state: status.at('State').string(),
    error,
    exitCode: exitCodeOf({ error }) === undefined ? undefined : status.at('ContainerStatus', 'ExitCode').number(),
    since: Date.parse(status.at('Timestamp').string()) || 0,
  }
}

/** Removes a one-off: Swarm ends its task. @returns whether it is known to have ended, after `look` was called some times */
export async function removeOneOff(
  docker: Docker,
  name: string,
  { task, sleep }: { readonly task: string | undefined; readonly sleep: (ms: number) => Promise<void> },
): Promise<boolean> {
  await removeServices(docker, [name], { what: `remove ${name}` })
  if (task === undefined) return true
  for (let waited = 0; waited < GRACE + 10_000; waited += PAUSE) {
    if (!(await lookAtTasks(docker, [task])).some(isAtWork)) return true
    await sleep(PAUSE)
  }
  return false
}

const PAUSE = 500
/** A label of one-offs that migrate: its value is the database. */
export const MIGRATION = 'stagecraft.migration'
/** Milliseconds after which nobody waits any more for what an ended job has to say. */
const SPENT = 600_000

/**
 * Removes one-offs of runs that died, once they have ended. The caller holds the environment's lock, so nobody waits for a migration.
 * @param now epoch milliseconds @throws failed (5), unreachable (8)
 */
export async function removeEndedJobs(docker: Docker, stack: string, now: number): Promise<void> {
  const migrations = await listOneOffs(docker, stack, MIGRATION)
  for (const name of await listOneOffs(docker, stack)) {
    const task = await lookAtOneOff(docker, name)
    if (task && (isAtWork(task) || (!migrations.includes(name) && now - task.since < SPENT))) continue
    await removeServices(docker, [name], { what: `remove ${name}` })
  }
}

/** What of a one-off's output is read, and by whom. */
interface Reading {
  readonly onLine?: (line: string, stream: Stream) => void
  /** bytes that are kept: the last ones */
  readonly limit: number
  /** milliseconds */
  readonly timeout: number
}

/** Reads what a one-off prints as it comes, until `until` is aborted: the manager does not say that it was all. */
export function followOneOff(docker: Docker, name: string, how: Reading & { readonly until: AbortSignal }) {
  return serviceLogs(docker, [name], { flags: { follow: true, raw: true }, merge: true, outlive: 0, ...how })
}

/** @returns what a one-off has printed so far; undefined: its node does not answer */
export async function readOneOff(
  docker: Docker,
  task: string,
  how: Reading & { readonly until: AbortSignal },
): Promise<string | undefined> {
  const { code, stdout } = await serviceLogs(docker, [task], { flags: { raw: true }, merge: true, outlive: 0, ...how })
  return code === 0 ? stdout : undefined
}
