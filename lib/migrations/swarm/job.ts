import type { ComposeModel } from '../../compose/model.ts'
import type { Docker } from '../../docker/client.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import {
  isAtWork,
  listOneOffs,
  lookAtOneOff,
  MIGRATION,
  type OneOffTask,
  oneOffName,
  oneOffStack,
  removeOneOff,
} from '../../docker/swarm/one-off.ts'
import { deployStack, listDownNodes } from '../../docker/swarm/stack.ts'
import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatDuration } from '../../util/format.ts'
import { endOf, failure, nameOf, notEnded, type OneOffMigration, type OneOffTools } from '../one-off.ts'
import { openPrinted } from './printed.ts'

const RELEASE = 'stagecraft.release'
/** Bytes of its output that are kept: the last ones. */
const KEPT_OUTPUT = 256 * 1024
/** Lines of its output that an error shows. */
const SHOWN = 20
/** Milliseconds between two looks; that no node may take it; after which it is asked whether its node is lost. */
const [PAUSE, UNPLACED, QUIET] = [400, 60_000, 15_000]

type JobTools = Omit<OneOffTools, 'engines'>

/** @returns the name of a migration's job in its stack */
export function jobOf(stack: string, { database, release }: Pick<OneOffMigration, 'database' | 'release'>): string {
  return oneOffName(stack, `migrate-${database}${endOf(release)}`)
}

/**
 * Runs a migration as a job of the Swarm with one task, and waits for its end. Waits first for one that an earlier run has left at
 * work. It is removed, whatever becomes of it.
 * @throws failed (5) if it does not end with 0 in time; unreachable (8)
 */
export async function runSwarmJob(migration: OneOffMigration, model: ComposeModel, tools: JobTools): Promise<void> {
  const { docker, undoDocker, clock, onLine, onEnd } = tools
  const { name: stack } = model
  const key = jobOf(stack, migration)
  const name = `${stack}_${key}`
  await clearEarlier(stack, migration, tools)
  const { service, command, database, release, timeout } = migration
  const labels = { [MIGRATION]: database, [RELEASE]: release }
  const file = oneOffStack(model, { service, command, name: key, labels })
  // A job that is deployed twice runs twice.
  const begin = async () => {
    if ((await listOneOffs(docker, stack)).includes(name)) return
    await deployStack(docker, stack, file, `migrate ${database}`)
  }
  try {
    await whileElecting(clock, begin)
    const reader = { docker: undoDocker, clock, onLine, kept: KEPT_OUTPUT, timeout: timeout + 60_000 }
    const printed = openPrinted(name, reader)
    let task: OneOffTask | undefined
    let text = ''
    try {
      task = await untilEnded(name, clock.now() + timeout, tools)
    } finally {
      text = await printed.end(task?.id)
      onEnd(text)
    }
    judge(task, { migration, name, text, mask: docker.mask })
  } catch (error) {
    throw await ended(error, name, tools)
  }
  try {
    await remove(undoDocker, clock, name, undefined)
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'state') throw error
    const hint = 'It has ended with 0: the migration is done. The next run removes its job.'
    tools.emit({ type: 'warning', message: error.message, hint })
  }
}

/** Removes a job that has failed, or that a signal has ended. A lost node may still be at work on it: then it stays. */
async function ended(error: unknown, name: string, { undoDocker, clock }: JobTools): Promise<unknown> {
  if (isLost(error)) return notEnded(error, name)
  const look = () => whileElecting(clock, () => lookAtOneOff(undoDocker, name))
  try {
    const task = await look()
    const id = task && isAtWork(task) ? task.id : undefined
    return (await remove(undoDocker, clock, name, id)) ? error : notEnded(error, name)
  } catch {
    return notEnded(error, name)
  }
}

function remove(docker: Docker, clock: Clock, name: string, task: string | undefined): Promise<boolean> {
  return whileElecting(clock, () => removeOneOff(docker, name, { task, sleep: (ms) => clock.sleep(ms) }))
}

/** @param latest when to stop waiting, by the clock @returns the task as it was last seen; undefined: it is gone */
async function untilEnded(
  name: string,
  latest: number,
  { docker, clock }: Pick<JobTools, 'docker' | 'clock'>,
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

const isLost = (error: unknown): boolean => error instanceof Object && LOST.has(error)

function lost(name: string, node: string): StagecraftError {
  const error = new StagecraftError('unreachable', `Cannot follow ${name}: its node ${node} is lost`, {
    hint: 'Look what the migration has done.',
  })
  LOST.add(error)
  return error
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
  const { state, error, exitCode, node } = task
  const lines = text === '' ? [] : text.split('\n').slice(-SHOWN)
  const detail = [
    `task of ${name}${node ? ` on ${node}` : ''}: ${state}`,
    ...(error ? [`Swarm: ${mask(error)}`] : []),
    lines.length === 0 ? 'it has logged nothing' : ['last log lines:', ...lines.map((line) => `  ${line}`)].join('\n'),
  ].join('\n')
  const what = nameOf(migration)
  if (isAtWork(task) && node === '')
    throw failure(migration, `no node runs ${what} after ${formatDuration(UNPLACED)}`, { detail })
  if (isAtWork(task))
    throw failure(migration, `${what} did not end within ${formatDuration(migration.timeout)}, and was ended`, {
      detail,
      hint: `A longer limit: databases.${migration.database}.migrations.timeout.`,
    })
  const how = exitCode ? `exited with ${exitCode}` : state === 'shutdown' ? 'was ended' : 'did not start'
  throw failure(migration, `${what} ${how}`, { detail })
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
    await remove(undoDocker, clock, name, task && isAtWork(task) ? task.id : undefined)
  }
}
