import type { ExecOptions, Result } from './exec.ts'
import { MOST } from './manifest.ts'
import type { Changes, Mirror } from './mirror.ts'
import {
  cannotMake,
  cannotWrite,
  changedMeanwhile,
  lockTaken,
  type StatePlace,
  silentHost,
  stuckWriter,
  unusableState,
} from './remote-errors.ts'
import { STUCK } from './short-lock.ts'
import type { Connection } from './ssh.ts'
import type { Usability } from './ssh-errors.ts'
import { EXITS, READ, WRITE } from './state-objects.ts'
import { type HostState, parseHostState } from './state-on-host.ts'
import { answersOf } from './state-scripts.ts'

/** What a look at a host says. */
export interface Looked extends Usability {
  /** the environment's folder there, absolute */
  readonly folder: string
  /** a process of its sshd carries our connection alone: with its end, all that goes through ends */
  readonly hasSession: boolean
}

/** An environment's folder on a host, and the copy of it here. */
export interface Remote {
  readonly connection: Connection
  readonly looked: Looked
  readonly mirror: Mirror
  readonly environment: string
  /** a run was at it when it was last looked at */
  locked: boolean
  /** what `head` was then: another one with every change of what the folder holds */
  head: string
  /** an earlier version has written what is there */
  legacy: boolean
  /** of the lock that we hold */
  token: string
  /** told where somebody else has changed what it keeps since it was looked at */
  onChange: () => void
  /** told once what an earlier version has written is kept as this one keeps it */
  onTakenOver: () => void
  /** what is being taken there: one after the other */
  keeping: Promise<unknown>
  /** was sent, and the answer did not come: the host may have it */
  unanswered?: Changes | undefined
}

/** Milliseconds that a host may say nothing while it reads. */
const SILENCE = 30_000

/** Tries to read a state while somebody writes one after the other. */
const TRIES = 10

/** Bytes of what a host says: base64 of what can hardly be packed, and a line for each file. */
const MOST_SAID = MOST.bytes * 2

/** Makes the copy what the host has now. @throws state (9), unreachable (8) */
export async function fetch(remote: Remote): Promise<void> {
  const { connection, looked, environment } = remote
  await fill(remote, await askState(connection, READ, [looked.folder, environment]))
}

/** Runs a script that ends with READ. @returns what it said. @throws state (9) for a host that falls silent, unreachable (8) */
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

/** @param said by READ. @throws state (9) */
export async function fill(remote: Remote, said: Pick<Result, 'stdout'>): Promise<void> {
  const { connection, looked, environment } = remote
  let found = parseHostState(said.stdout, environment)
  for (let tries = 1; 'why' in found; tries++) {
    if (found.why === 'unreadable' || tries === TRIES) throw unusableState(statePlaceOf(remote), found)
    // What is gone or is another one by now was written by somebody: then there is another head.
    const before = found.head
    await Bun.sleep(50 * tries)
    found = parseHostState((await askState(connection, READ, [looked.folder, environment])).stdout, environment)
    if ('why' in found && found.head === before && tries > 1) throw unusableState(statePlaceOf(remote), found)
  }
  use(remote, found)
}

function use(remote: Remote, state: HostState): void {
  remote.mirror.fill(state)
  Object.assign(remote, { locked: state.locked, head: state.head, legacy: state.legacy, unanswered: undefined })
}

/** Takes to the host what was written here since. @throws state (9) where it cannot be written, unreachable (8) */
export async function persist(remote: Remote): Promise<void> {
  const mine = remote.keeping.then(() => keep(remote))
  remote.keeping = mine.catch(() => {})
  await mine
}

async function keep(remote: Remote): Promise<void> {
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

function kept(remote: Remote, changes: Changes): void {
  changes.kept()
  remote.unanswered = undefined
  if (changes.next === '') return
  remote.head = changes.next
  if (remote.legacy) remote.onTakenOver()
  remote.legacy = false
}

/** Containers of any user read and write what is in them, as far as their modes say: they are not ours. */
export async function makeFolders(remote: Remote, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return
  const { code, stderr } = await remote.connection.run('umask 002; mkdir -p "$@"', paths, { timeout: PATIENCE })
  if (code === 0) return
  throw cannotMake({ ...statePlaceOf(remote), stderr }, paths)
}

/** Milliseconds that a host may take to write some files, and the bytes that the slowest line takes in one. */
const [PATIENCE, SLOWEST] = [60_000, 16]

/** @returns where it is, as errors name it */
export function statePlaceOf({ connection, looked, environment }: Remote): StatePlace {
  return { host: connection.host.written, folder: looked.folder, user: looked.user, environment }
}
