import type { Docker } from '../../docker/client.ts'
import {
  judgeService,
  newSeen,
  type Observation,
  type Patience,
  type Seen,
  type Verdict,
} from '../../docker/swarm/convergence.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { listNodes } from '../../docker/swarm/nodes.ts'
import { listServices, type SwarmService } from '../../docker/swarm/services.ts'
import { listDownNodes, serviceLogs } from '../../docker/swarm/stack.ts'
import { hasEnded, openTasks, type Task } from '../../docker/swarm/tasks.ts'
import type { Emit } from '../../output/events.ts'
import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'
import { emitSteps } from '../rollout/steps.ts'

/** Watches a stack until Swarm has done what it was asked for. */
export interface Watch {
  /**
   * Waits for services.
   * @param nudge deploys a service in the same form once more, with the number of the attempt
   * @throws failed (5) as soon as one cannot become ready, unreachable (8)
   */
  until(services: readonly string[], patience: (service: string) => Patience, nudge: Nudge): Promise<void>
}

type Nudge = (service: string, attempt: number) => Promise<void>

/** What is watched, and with what. */
export interface Watching {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  readonly stack: string
}

/** Milliseconds between two looks. */
const PAUSE = 700
/** Milliseconds without progress after which it is looked whether a node is dead, and again. */
const STUCK = 15_000

/** Remembers the tasks that are there now: what they did before is no failure of what follows. */
export async function openWatch({ docker, clock, emit, stack }: Watching): Promise<Watch> {
  const tasks = openTasks(docker, stack)
  const before = new Set((await whileElecting(clock, () => tasks.look())).map(({ id }) => id))
  const say = emitSteps(emit)
  const look = async () => {
    const [services, now] = await Promise.all([listServices(docker, stack), tasks.look()])
    const nodes = services.some(({ wanted }) => wanted === undefined) ? await listNodes(docker) : []
    return { services, nodes, byService: Map.groupBy(now, ({ service }) => service) }
  }
  const judge = (
    service: SwarmService,
    own: readonly Task[],
    seen: Seen,
    known: Pick<Observation, 'patience' | 'nodes'>,
  ) => judgeService(service, own, { seen, before, now: clock.now(), ...known })
  return {
    async until(names, patience, nudge) {
      const open = new Map(names.map((name) => [name, { seen: newSeen(clock.now()), said: '', nudged: 0, at: 0 }]))
      while (open.size > 0) {
        const { services, nodes, byService } = await whileElecting(clock, look)
        for (const [name, state] of open) {
          const service = services.find((one) => one.service === name)
          const own = byService.get(service?.id ?? '') ?? []
          const verdict: Verdict = service
            ? judge(service, own, state.seen, { patience: patience(name), nodes })
            : { is: 'failed', why: 'somebody has removed it' }
          if (verdict.is === 'failed') {
            say(name, 'failed', verdict.why)
            throw await failure({ docker, stack }, name, verdict)
          }
          if (verdict.is === 'converging' && verdict.at !== state.said) say(name, 'progress', verdict.at)
          if (verdict.is === 'converging') {
            state.said = verdict.at
            const isStuck = clock.now() - Math.max(state.seen.progress, state.at) > STUCK
            // A job would run again.
            if (isStuck && service?.mode !== 'job') {
              state.at = clock.now()
              const isLost = await hasLostTask(
                docker,
                own.filter(({ id }) => !before.has(id)),
              )
              if (isLost) await whileElecting(clock, () => nudge(name, ++state.nudged))
            }
          }
          if (verdict.is === 'done') say(name, 'ready', service?.mode === 'job' ? 'exit code 0' : undefined)
          if (verdict.is === 'done') open.delete(name)
        }
        if (open.size > 0) await clock.sleep(PAUSE)
      }
    },
  }
}

/** Swarm waits for ever for a task of an update whose node is dead, though it has started another one. */
async function hasLostTask(docker: Docker, made: readonly Task[]): Promise<boolean> {
  const open = made.filter((task) => !hasEnded(task))
  if (open.length === 0) return false
  const down = await listDownNodes(docker).catch(() => new Set<string>()) // it is looked again
  return open.some(({ node }) => down.has(node))
}

async function failure(
  { docker, stack }: Pick<Watching, 'docker' | 'stack'>,
  service: string,
  { why, task }: Extract<Verdict, { is: 'failed' }>,
): Promise<StagecraftError> {
  const lines = task ? await lastLines(docker, task.id) : ''
  const facts = task && `task ${service}.${task.slot || '*'}${task.node ? ` on ${task.node}` : ''}: ${task.state}`
  const error = task?.error ? [`Swarm: ${docker.mask(task.error)}`] : []
  const logs = lines === '' ? 'it has logged nothing' : `last log lines:\n${lines.replaceAll(/^/gm, '  ')}`
  return new StagecraftError('failed', `Cannot start ${service}: ${docker.mask(why)}`, {
    detail: facts ? [facts, ...error, logs].join('\n') : undefined,
    hint: `All that Swarm says about it: docker service ps --no-trunc ${stack}_${service}`,
  })
}

/** @returns the last 20 lines that a task printed; empty if its node does not answer */
async function lastLines(docker: Docker, task: string): Promise<string> {
  const how = { flags: { raw: true, tail: '20' }, readOnly: true, limit: 64 * 1024, timeout: 10_000 }
  const result = await serviceLogs(docker, [task], how).catch(() => undefined)
  return result?.code === 0 ? docker.mask(result.stdout + result.stderr).trimEnd() : ''
}
