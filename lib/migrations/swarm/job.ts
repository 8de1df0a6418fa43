import type { ComposeModel } from '../../compose/model.ts'
import type { Docker } from '../../docker/client.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { endTask, isLost, removeTask, runTask, taskWords, UNPLACED } from '../../docker/swarm/one-off/run.ts'
import {
  isAtWork,
  listOneOffs,
  lookAtOneOff,
  MIGRATION,
  type OneOffTask,
  oneOffName,
  oneOffStack,
} from '../../docker/swarm/one-off/service.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatDuration } from '../../util/format.ts'
import { endOf, failure, nameOf, notEnded, type OneOffMigration, type OneOffTools } from '../one-off.ts'

const RELEASE = 'stagecraft.release'
/** Milliseconds between two looks at a job of an earlier run. */
const PAUSE = 400

type JobTools = Omit<OneOffTools, 'engines'>

/** @returns the name of a migration's job in its stack */
export function jobOf(stack: string, { database, release }: Pick<OneOffMigration, 'database' | 'release'>): string {
  return oneOffName(stack, `migrate-${database}${endOf(release)}`)
}

/**
 * Runs a migration on a Swarm, as a service with one task, and waits for its end. Waits first for one that an earlier run has left at
 * work. It is removed, whatever becomes of it.
 * @throws failed (5) if it does not end with 0 in time; unreachable (8)
 */
export async function runSwarmJob(migration: OneOffMigration, model: ComposeModel, tools: JobTools): Promise<void> {
  const { name: stack } = model
  const key = jobOf(stack, migration)
  const name = `${stack}_${key}`
  await clearEarlier(stack, migration, tools)
  const { service, command, database, release, timeout } = migration
  const labels = { [MIGRATION]: database, [RELEASE]: release }
  const file = oneOffStack(model, { service, command, name: key, labels })
  try {
    const { onLine, onEnd } = tools
    const run = { stack, name, file, what: `migrate ${database}`, timeout, onLine, onEnd }
    const { task, output } = await runTask(run, tools)
    judge(task, { migration, name, text: output, mask: tools.docker.mask })
  } catch (error) {
    // On a lost node it may still be at work: then it stays, and the next run waits for it.
    throw !isLost(error) && (await endTask(tools, name)) ? error : notEnded(error, name)
  }
  try {
    await removeTask(tools, name, undefined)
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'state') throw error
    const hint = 'It has ended with 0: the migration is done. The next run removes its job.'
    tools.emit({ type: 'warning', message: error.message, hint })
  }
}

interface Ended {
  readonly migration: OneOffMigration
  readonly name: string
  readonly text: string
  readonly mask: Docker['mask']
}

/** @throws failed (5) unless it has completed */
function judge(task: OneOffTask | undefined, { migration, name, text, mask }: Ended): void {
  if (task?.state === 'complete') return
  if (task === undefined) throw failure(migration, `the job ${name} disappeared`)
  const { database, timeout, release } = migration
  const detail = taskWords(task, name, text, mask)
  const kept = text === '' ? undefined : `What it printed is kept: stagecraft logs --release ${release}`
  const what = nameOf(migration)
  if (isAtWork(task) && task.node === '')
    throw failure(migration, `no node runs ${what} after ${formatDuration(UNPLACED)}`, { detail })
  if (isAtWork(task)) {
    const longer = `A longer limit: databases.${database}.migrations.timeout.`
    const hint = [longer, kept].filter(Boolean).join(' ')
    throw failure(migration, `${what} did not end within ${formatDuration(timeout)}, and was ended`, { detail, hint })
  }
  const how =
    task.exitCode !== undefined
      ? `exited with ${task.exitCode}`
      : task.state === 'shutdown'
        ? 'was ended'
        : 'did not start'
  throw failure(migration, `${what} ${how}`, { detail, ...(kept ? { hint: kept } : {}) })
}

/** A job of an earlier run that died may still be at work in the database: there are never two at once. */
async function clearEarlier(
  stack: string,
  { database, timeout }: OneOffMigration,
  { docker, undoDocker, clock, emit }: JobTools,
): Promise<void> {
  const latest = clock.now() + timeout
  for (const name of await whileElecting(clock, () => listOneOffs(docker, stack, `${MIGRATION}=${database}`))) {
    let task = await whileElecting(clock, () => lookAtOneOff(docker, name))
    if (task && isAtWork(task)) {
      const message = `${name} is still migrating ${database}, from an earlier run: waiting until it has ended`
      emit({ type: 'warning', message, hint: `At most ${formatDuration(timeout)}; then it is ended.` })
    }
    while (task && isAtWork(task) && clock.now() <= latest) {
      await clock.sleep(PAUSE)
      task = await whileElecting(clock, () => lookAtOneOff(docker, name))
    }
    await removeTask({ undoDocker, clock }, name, task && isAtWork(task) ? task.id : undefined)
  }
}
