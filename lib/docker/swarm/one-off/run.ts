import type { Stack } from '../../../compose/stack/convert.ts'
import type { Clock } from '../../../system/clock.ts'
import type { Stream } from '../../../system/exec.ts'
import { StagecraftError } from '../../../util/errors.ts'
import type { Docker } from '../../client.ts'
import { whileElecting } from '../election.ts'
import { deployStack, listDownNodes } from '../stack.ts'
import { openPrinted } from './printed.ts'
import { isAtWork, listOneOffs, lookAtOneOff, type OneOffTask, removeOneOff } from './service.ts'

/** What a one-off works with. */
export interface TaskTools {
  /** cancelled by a signal */
  readonly docker: Docker
  /** never cancelled */
  readonly undoDocker: Docker
  readonly clock: Clock
}

/** A one-off that is run: its service, which has one task. */
export interface TaskRun {
  readonly stack: string
  /** of its service, with that of the stack */
  readonly name: string
  readonly file: Stack
  /** for the error if it cannot be created: `migrate main` */
  readonly what: string
  /** milliseconds; Infinity: as long as it takes */
  readonly timeout: number
  /** gets each line that it prints, masked */
  readonly onLine: (line: string, stream: Stream) => void
  /** gets the last of what it printed, masked, when it has ended, in any way */
  readonly onEnd?: (output: string) => void
}

/** Bytes of its output that are kept: the last ones. */
const KEPT_OUTPUT = 256 * 1024
/** Milliseconds between two looks; that no node may take it; after which it is asked whether its node is lost. */
const [PAUSE, UNPLACED, QUIET] = [400, 60_000, 15_000]

export { UNPLACED }

/** Milliseconds: the longest that a timer can take. */
const LONGEST = 2 ** 31 - 1

/**
 * Creates a one-off, and waits until its task has ended, the time is over, or no node has taken it for a minute. The
 * caller removes it.
 * @returns the task as it was last seen (undefined: it is gone), and the last of what it printed, masked
 * @throws failed (5), unreachable (8)
 */
export async function runTask(
  run: TaskRun,
  tools: TaskTools,
): Promise<{ readonly task: OneOffTask | undefined; readonly output: string }> {
  const { docker, undoDocker, clock } = tools
  const { stack, name, file, what, timeout, onLine, onEnd } = run
  // What is deployed twice may run twice.
  const begin = async () => {
    if ((await listOneOffs(docker, stack)).includes(name)) return
    await deployStack(docker, stack, file, what)
  }
  await whileElecting(clock, begin)
  const limit = Math.min(timeout + 60_000, LONGEST)
  const printed = openPrinted(name, { docker: undoDocker, clock, onLine, kept: KEPT_OUTPUT, timeout: limit })
  let [task, output]: [OneOffTask | undefined, string] = [undefined, '']
  try {
    task = await untilEnded(name, clock.now() + timeout, tools)
  } finally {
    output = await printed.end(task?.id)
    onEnd?.(output)
  }
  return { task, output }
}

/** @param latest when to stop waiting, by the clock @returns the task as it was last seen; undefined: it is gone */
async function untilEnded(
  name: string,
  latest: number,
  { docker, clock }: Pick<TaskTools, 'docker' | 'clock'>,
): Promise<OneOffTask | undefined> {
  let asked = clock.now()
  let unplaced: number | undefined
  for (;;) {
    const task = await whileElecting(clock, () => lookAtOneOff(docker, name))
    const now = clock.now()
    // Swarm needs a moment to plan the task.
    if (task === undefined && now - asked > QUIET) return undefined
    if (task && (!isAtWork(task) || now > latest)) return task
    if (task && task.node === '' && task.error !== '') unplaced ??= now
    else unplaced = undefined
    if (unplaced !== undefined && now - unplaced > UNPLACED) return task
    if (task?.node && now - asked > QUIET) {
      asked = now
      const down = await whileElecting(clock, () => listDownNodes(docker))
      if (down.has(task.node)) throw lost(name, task.node)
    }
    await clock.sleep(PAUSE)
  }
}

const LOST = new WeakSet<object>()

/** @returns whether the node of a one-off is lost, which may still be at work there */
export const isLost = (error: unknown): boolean => error instanceof Object && LOST.has(error)

function lost(name: string, node: string): StagecraftError {
  const error = new StagecraftError('unreachable', `Cannot follow ${name}: its node ${node} is lost`, {
    hint: 'Once the node is back, check what it has done.',
  })
  LOST.add(error)
  return error
}

/** Removes a one-off: Swarm ends its task. May be repeated. @returns whether it is known to have ended. @throws failed (5), unreachable (8) */
export function removeTask(
  { undoDocker, clock }: Omit<TaskTools, 'docker'>,
  name: string,
  task: string | undefined,
): Promise<boolean> {
  const sleep = (ms: number) => clock.sleep(ms)
  return whileElecting(clock, () => removeOneOff(undoDocker, name, { task, sleep }))
}

/** Removes a one-off that a failure or signal has ended. @returns whether it is known to have ended. Throws nothing */
export async function endTask(tools: Omit<TaskTools, 'docker'>, name: string): Promise<boolean> {
  try {
    const task = await whileElecting(tools.clock, () => lookAtOneOff(tools.undoDocker, name))
    return await removeTask(tools, name, task && isAtWork(task) ? task.id : undefined)
  } catch {
    return false
  }
}

/** Lines of its output that an error shows. */
const SHOWN = 20

/** @returns what is known of a task that has failed, with the last lines that it printed */
export function taskWords(
  { state, error, node }: OneOffTask,
  name: string,
  text: string,
  mask: Docker['mask'],
): string {
  const lines = text === '' ? [] : text.split('\n').slice(-SHOWN)
  return [
    `task of ${name}${node ? ` on ${node}` : ''}: ${state}`,
    ...(error ? [`Swarm: ${mask(error)}`] : []),
    lines.length === 0 ? 'it has logged nothing' : ['last log lines:', ...lines.map((line) => `  ${line}`)].join('\n'),
  ].join('\n')
}
