import type { ComposeModel } from '../../compose/model.ts'
import { endTask, runTask, type TaskRun, type TaskTools, taskWords, UNPLACED } from '../../docker/swarm/one-off/run.ts'
import { isAtWork, oneOffName, oneOffStack } from '../../docker/swarm/one-off/service.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatDuration } from '../../util/format.ts'

/** What is run, and with what of a release. */
interface Wish {
  readonly service: string
  /** undefined: the service's own */
  readonly command: readonly string[] | undefined
}

/**
 * Runs a command in a task of its own, which is removed afterwards. @param model of the live release
 * @returns the exit code of the command @throws failed (5) if the task does not start, or is ended; unreachable (8)
 */
export async function runOnSwarm(
  model: ComposeModel,
  { service, command }: Wish,
  { onLine, ...tools }: TaskTools & Pick<TaskRun, 'onLine'>,
): Promise<number> {
  const { name: stack } = model
  const key = oneOffName(stack, `run-${service.toLowerCase()}-${crypto.randomUUID().slice(0, 8)}`)
  const name = `${stack}_${key}`
  const file = oneOffStack(model, { service, command, name: key, labels: { 'stagecraft.run': '1' } })
  try {
    const run = { stack, name, file, what: `run ${service}`, timeout: Infinity, onLine }
    const { task, output } = await runTask(run, tools)
    if (task?.state === 'complete') return 0
    if (task?.exitCode !== undefined) return task.exitCode
    const why = task === undefined ? 'its task disappeared' : isAtWork(task) ? LATE : 'its task did not start'
    const detail = task && taskWords(task, name, output, tools.docker.mask)
    throw new StagecraftError('failed', `Cannot run ${service}: ${why}`, { detail })
  } finally {
    await endTask(tools, name)
  }
}

const LATE = `no node runs it after ${formatDuration(UNPLACED)}`
