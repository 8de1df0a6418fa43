import type { ExecOptions, Result } from '../../system/exec.ts'
import { EXITS, READ, SIGN, WRITE } from '../scripts/objects.ts'
import { STUCK } from '../scripts/short-lock.ts'
import { answersOf } from '../scripts/state.ts'
import type { Connection } from '../ssh/connection.ts'
import type { Usability } from '../ssh/errors.ts'
import { type HostState, parseHostState } from './answer.ts'
import type { Changes, StateCopy } from './copy.ts'
import {
  cannotMake,
  cannotWrite,
  changedMeanwhile,
  lockTaken,
  type StatePlace,
  silentHost,
  stuckWriter,
  unusableState,
} from './errors.ts'
import { MOST } from './manifest.ts'

/** What is known about a host once it is connected. */
export interface Looked extends Usability {
  /** the environment's folder there, absolute */
  readonly folder: string
  /** a process of its sshd carries this connection alone: ending it ends everything that goes through */
  readonly hasSession: boolean
}

/** An environment's folder on a host, and the copy of it here. */
export interface StateExchange {
  readonly connection: Connection
  readonly looked: Looked
  readonly mirror: StateCopy
  readonly environment: string
  /** a run was under way when the state was last read */
  locked: boolean
  /** what `head` was then; every write changes it */
  head: string
  /** an earlier version has written the state there */
  legacy: boolean
  /** of the lock that this run holds */
  token: string
  /** called if somebody else has changed the state since it was read */
  onChange: () => void
  /** called once the files of an earlier version have been converted */
  onTakenOver: () => void
  /** the writes to the host, one after the other */
  keeping: Promise<unknown>
  /** changes that were sent without an answer: the host may have written them */
  unanswered?: Changes | undefined
}

/** Milliseconds that a host may send nothing while its state is read. */
const SILENCE = 30_000

/** Attempts to read a state while somebody else keeps writing. */
const TRIES = 10

/** The most bytes of a host's answer: base64 of files that hardly compress, and a line for each file. */
const MOST_SAID = MOST.bytes * 2

/** Copies the host's state as it is now. @throws state (9), unreachable (8) */
export async function fetch(remote: StateExchange): Promise<void> {
  const { connection, looked, environment } = remote
  await fill(remote, await askState(connection, READ, [looked.folder, environment]))
}

/** @returns a text that is another one after a change of the state or the lock. @throws unreachable (8) */
export async function signOf({ connection, looked, environment }: StateExchange): Promise<string> {
  return (await connection.run(SIGN, [looked.folder, environment], { timeout: PATIENCE })).stdout
}

/** Runs a script that ends with READ. @returns its output. @throws state (9) for a host that falls silent, unreachable (8) */
export async function askState(connection: Connection, script: string, args: readonly string[]): Promise<Result> {
  const silent = new AbortController()
  let timer = setTimeout(() => silent.abort(), SILENCE)
  const options: ExecOptions = {
    limit: MOST_SAID,
    signal: silent.signal,
    onLine() {
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), SILENCE)
    },
  }
  const result = await connection.run(script, args, options).finally(() => clearTimeout(timer))
  if (!silent.signal.aborted) return result
  throw silentHost(connection.host.written, SILENCE)
}

/** Fills the copy, and reads again if somebody writes meanwhile. @param said the output of READ @throws state (9) */
export async function fill(remote: StateExchange, said: Pick<Result, 'stdout'>): Promise<void> {
  const { connection, looked, environment } = remote
  let found = parseHostState(said.stdout, environment)
  for (let tries = 1; 'why' in found; tries++) {
    if (found.why === 'unreadable' || tries === TRIES) throw unusableState(statePlaceOf(remote), found)
    // A missing or changed object is normal if somebody has written meanwhile: then `head` has changed too.
    const before = found.head
    await Bun.sleep(50 * tries)
    found = parseHostState((await askState(connection, READ, [looked.folder, environment])).stdout, environment)
    if ('why' in found && found.head === before && tries > 1) throw unusableState(statePlaceOf(remote), found)
  }
  use(remote, found)
}

function use(remote: StateExchange, state: HostState): void {
  remote.mirror.fill(state)
  Object.assign(remote, { locked: state.locked, head: state.head, legacy: state.legacy, unanswered: undefined })
}

/** Sends the changes in the copy to the host. @throws state (9) if they cannot be written, unreachable (8) */
export async function persist(remote: StateExchange): Promise<void> {
  const mine = remote.keeping.then(() => keep(remote))
  remote.keeping = mine.catch(() => {})
  await mine
}

async function keep(remote: StateExchange): Promise<void> {
  const { connection, looked, mirror, token, unanswered } = remote
  const changes = await mirror.changes()
  if (changes === undefined) return
  const { archive, sums, before, next } = changes
  const args = [looked.folder, token, looked.socket ?? '', sums, before, next]
  remote.unanswered = next === '' ? unanswered : changes
  const { code, stdout, stderr, timedOut } = await connection.run(WRITE, args, {
    input: archive.toString('base64'),
    timeout: PATIENCE + archive.length / SLOWEST,
  })
  const said = stdout.split('\n')
  if (said.includes('kept')) return kept(remote, changes)
  if (code === EXITS.lost) throw lockTaken(statePlaceOf(remote))
  if (code === EXITS.changed && unanswered && answersOf(stdout)('head')[0] === unanswered.next) {
    kept(remote, unanswered)
    return keep(remote)
  }
  if (code === EXITS.changed) throw changedMeanwhile(statePlaceOf(remote))
  if (code === STUCK) throw stuckWriter(statePlaceOf(remote), answersOf(stdout)('stuck')[0])
  throw cannotWrite(statePlaceOf(remote), stderr, timedOut)
}

function kept(remote: StateExchange, changes: Changes): void {
  changes.kept()
  remote.unanswered = undefined
  if (changes.next === '') return
  remote.head = changes.next
  if (remote.legacy) remote.onTakenOver()
  remote.legacy = false
}

/** Makes folders for data. Containers of any user may use them, so they get the usual modes. @throws state (9) */
export async function makeFolders(remote: StateExchange, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return
  const { code, stderr } = await remote.connection.run('umask 002; mkdir -p "$@"', paths, { timeout: PATIENCE })
  if (code === 0) return
  throw cannotMake({ ...statePlaceOf(remote), stderr }, paths)
}

/** Milliseconds that a host may take to write some files, and bytes per millisecond on the slowest line. */
const [PATIENCE, SLOWEST] = [60_000, 16]

/** @returns the place of the state, for error messages */
export function statePlaceOf({ connection, looked, environment }: StateExchange): StatePlace {
  return { host: connection.host.written, folder: looked.folder, user: looked.user, environment }
}
