import type { Docker } from '../docker/client.ts'
import { startOneOff } from '../docker/compose/run.ts'
import type { ModelFile } from '../docker/compose/up.ts'
import { listLabelled } from '../docker/containers.ts'
import { type Container, isUp } from '../docker/inspect.ts'
import { logs, removeContainers, stop } from '../docker/lifecycle.ts'
import { lastWords } from '../docker/readiness/last-words.ts'
import type { Emit } from '../output/events.ts'
import { type Clock, listen } from '../system/clock.ts'
import { StagecraftError } from '../util/errors.ts'
import { formatDuration } from '../util/format.ts'
import { hasStopped, look, untilEnded } from './until-ended.ts'

/** What a one-off migration works with on its host. */
export interface OneOffTools {
  /** cancelled by a signal */
  readonly docker: Docker
  /** of all hosts: the service may have been on another one */
  readonly engines: readonly Docker[]
  /** never cancelled: it ends the container after a signal */
  readonly undoDocker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** gets each line that the container prints, masked */
  readonly onLine: (line: string) => void
  /** gets the last of what it printed, masked, when it has ended, in any way */
  readonly onEnd: (output: string) => void
}

/** A migration in a container of its own. */
export interface OneOffMigration {
  readonly database: string
  readonly service: string
  readonly command?: string | readonly string[]
  /** milliseconds */
  readonly timeout: number
  /** the id of the release */
  readonly release: string
}

/** Milliseconds from TERM to KILL. */
const GRACE = 10_000
/** Bytes of a container's output that are kept: the last ones. */
const KEPT_OUTPUT = 256 * 1024
/** Milliseconds without a line after which what a container that has ended printed is not waited for any more. */
const SILENCE = 10_000
/** Milliseconds that it may take at most to print it. */
const PRINTING = 600_000

/** @returns what a migration is called, for people */
export function nameOf({ service, command }: Pick<OneOffMigration, 'service' | 'command'>): string {
  return command === undefined ? service : [command].flat().join(' ')
}

/** @returns how the names of a release's containers end */
export function endOf(release: string): string {
  return `-${release.replace(/^rel-/, '')}`
}

/** The name of its container. */
export function containerOf(
  project: string,
  { database, release }: Pick<OneOffMigration, 'database' | 'release'>,
): string {
  return `${project}-migrate-${database}${endOf(release)}`
}

/**
 * Runs a migration in a one-off container and waits for its end. Waits first for one that an earlier run has left running.
 * @throws failed (5) if it does not end with 0 in time: its container is kept; unreachable (8)
 */
export async function runOneOff(
  migration: OneOffMigration,
  stage: Omit<ModelFile, 'modelFile'>,
  tools: OneOffTools,
): Promise<void> {
  const { docker, undoDocker, engines } = tools
  const { name: project } = stage.model
  const name = containerOf(project, migration)
  for (const engine of engines) await clearEarlier(engine, project, migration, tools)
  const labels = [`${DATABASE}=${migration.database}`, `${RELEASE}=${migration.release}`]
  const { service, command } = migration
  const own = async (by: Docker) => (await listOf(by, project, migration)).filter((one) => one.name === name)
  try {
    await startOneOff(docker, `migrate ${migration.database}`, stage, { service, command, name, labels })
    const [container] = await own(docker)
    if (container === undefined) throw failure(migration, `the container ${name} disappeared`)
    await follow(container, migration, tools)
  } catch (error) {
    // A signal may have ended docker's command and not what it started.
    const look = () => own(undoDocker).catch(() => undefined)
    for (const { id } of ((await look()) ?? []).filter(isUp)) await end(undoDocker, id)
    const left = await look()
    throw left?.every((one) => !isUp(one)) ? error : notEnded(error, name)
  }
  try {
    await removeContainers(undoDocker, await own(undoDocker))
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'state') throw error
    const hint = 'It has ended with 0: the migration is done. The next run removes its container.'
    tools.emit({ type: 'warning', message: error.message, hint })
  }
}

const AT_WORK = new WeakSet<object>()

/** @returns whether a migration that failed with this error may still be at work */
export function mayBeAtWork(error: unknown): boolean {
  return error instanceof Object && AT_WORK.has(error)
}

export function notEnded(error: unknown, name: string): unknown {
  if (!(error instanceof StagecraftError)) return error
  const hint = `${name} may still be at work: the next run waits until it has ended.`
  const told = error.with({ hint: [error.hint, hint].filter(Boolean).join('\n') })
  AT_WORK.add(told)
  return told
}

/** Its container's output and its end. @throws failed (5) unless it ends with 0 in time */
async function follow(
  { id, name }: Pick<Container, 'id' | 'name'>,
  migration: OneOffMigration,
  { docker, undoDocker, clock, onLine, onEnd }: OneOffTools,
): Promise<void> {
  const { timeout } = migration
  const listening = listen(clock, SILENCE)
  const read = { flags: { follow: true }, merge: true, limit: KEPT_OUTPUT, timeout: timeout + PRINTING }
  const hear = (line: string) => {
    listening.heard()
    onLine(line)
  }
  const output = logs(docker, [id], { ...read, onLine: hear }).catch(() => undefined)
  const now = await untilEnded({ docker, undoDocker, clock }, id, clock.now() + timeout)
  const isOverdue = now !== undefined && isUp(now)
  if (isOverdue) await end(undoDocker, id)
  const printed = await listening.untilSilent(output)
  onEnd(docker.mask(printed?.stdout ?? '').trimEnd())
  const kept = `Its container is kept until the next release: docker logs ${name}`
  if (now === undefined) throw failure(migration, `the container ${name} disappeared`)
  if (isOverdue) {
    const detail = await lastWords(undoDocker, (await look(undoDocker, id)) ?? now)
    const limit = formatDuration(timeout)
    throw failure(migration, `${nameOf(migration)} did not end within ${limit}, and was ended`, {
      detail,
      hint: `A longer limit: databases.${migration.database}.migrations.timeout. ${kept}`,
    })
  }
  if (now.exitCode === 0 && now.error === '') return
  if (ENDED_BY_ENGINE.includes(now.exitCode) && (await hasStopped({ docker: undoDocker, clock }, id)))
    throw new StagecraftError('unreachable', `Cannot migrate ${migration.database}: the engine stopped meanwhile`, {
      hint: `It ended ${name} when it stopped (exit ${now.exitCode}). Start it again, and check what the migration has done.`,
    })
  const how = now.oomKilled ? 'ran out of memory' : `exited with ${now.exitCode}`
  throw failure(migration, `${nameOf(migration)} ${how}`, { detail: await lastWords(docker, now), hint: kept })
}

/** The exit codes of a container that the engine ends: by TERM, by KILL. */
const ENDED_BY_ENGINE = [143, 137]

/**
 * A container of an earlier run that died may still be at work in the database: there are never two at once. Ended ones were
 * kept for a look.
 */
async function clearEarlier(
  docker: Docker,
  project: string,
  migration: OneOffMigration,
  { undoDocker, clock, emit }: Pick<OneOffTools, 'undoDocker' | 'clock' | 'emit'>,
): Promise<void> {
  const { database, timeout } = migration
  const earlier = await listOf(docker, project, migration)
  const latest = clock.now() + timeout
  for (const container of earlier.filter(isUp)) {
    const message = `${container.name} is still migrating ${database}, from an earlier run: waiting until it has ended`
    emit({ type: 'warning', message, hint: `At most ${formatDuration(timeout)}; then it is ended.` })
    const now = await untilEnded({ docker, undoDocker, clock }, container.id, latest)
    if (now !== undefined && isUp(now)) await end(docker, container.id)
  }
  await removeContainers(docker, earlier)
}

/** Removes containers that failed migrations of earlier releases have left. */
export async function removeEnded(docker: Docker, { id, project }: { id: string; project: string }): Promise<void> {
  const ended = (await listLabelled(docker, project, DATABASE)).filter((container) => !isUp(container))
  const own = endOf(id)
  await removeContainers(
    docker,
    ended.filter(({ name }) => !name.endsWith(own)),
  )
}

const DATABASE = 'stagecraft.migration'
const RELEASE = 'stagecraft.release'

function listOf(docker: Docker, project: string, { database }: Pick<OneOffMigration, 'database'>) {
  return listLabelled(docker, project, `${DATABASE}=${database}`)
}

/** TERM, then KILL. What it cannot end, the next run waits for. */
async function end(docker: Docker, id: string): Promise<void> {
  await stop(docker, [id], { flags: { time: String(GRACE / 1000) } }).catch(() => undefined)
}

export function failure(
  { database }: Pick<OneOffMigration, 'database'>,
  why: string,
  more: { readonly detail?: string; readonly hint?: string } = {},
): StagecraftError {
  return new StagecraftError('failed', `Cannot migrate ${database}: ${why}`, more)
}
