import { dirname } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import type { Mirror } from './mirror.ts'
import type { Connection } from './ssh.ts'
import type { Usability } from './ssh-errors.ts'
import { answersOf, FETCH, KEEP } from './state-scripts.ts'

/** What a look at a host says. */
export interface Looked extends Usability {
  /** the environment's folder there, absolute */
  readonly folder: string
}

/** An environment's folder on a host, and the copy of it here. */
export interface Remote {
  readonly connection: Connection
  readonly looked: Looked
  readonly mirror: Mirror
  readonly environment: string
  /** a run was at it when it was last looked at */
  locked: boolean
  /** changes with every change of what the folder holds */
  generation: string
  /** of the lock that we hold */
  token: string
  /** told where somebody else has changed what it keeps since it was looked at */
  onChange: () => void
  /** what is being taken there: one after the other */
  keeping: Promise<unknown>
}

/** Makes the copy what the host has now. @throws state (9), unreachable (8) */
export async function fetch(remote: Remote): Promise<void> {
  const { connection, looked, environment } = remote
  await fill(remote, await connection.run(FETCH, [looked.folder, environment], { limit: MOST }))
}

/** @param fetched what FETCH printed. @throws state (9) */
export async function fill(remote: Remote, { code, stdout, stderr }: Pick<Result, 'code' | 'stdout' | 'stderr'>) {
  const { connection, looked, mirror } = remote
  if (code !== 0)
    throw new StagecraftError('state', `Cannot read ${looked.folder} on ${connection.host.written}`, {
      detail: stderr.trim(),
      hint: `${looked.user} must be able to read it there: it belongs to the group of the Docker socket.`,
    })
  const end = stdout.indexOf('\nfiles\n')
  const after = answersOf(stdout.slice(0, Math.max(0, end)))
  remote.locked = after('locked').length > 0
  remote.generation = after('generation')[0] ?? ''
  const archive = end < 0 ? Buffer.alloc(0) : Buffer.from(stdout.slice(end + '\nfiles\n'.length), 'base64')
  await mirror.fill(
    archive,
    after('content').filter((name) => /^[0-9a-f]+$/.test(name)),
  )
}

/** Bytes of what a host keeps of its releases. */
export const MOST = 256 * 1024 * 1024

/** Takes to the host what was written here since. @throws state (9) where it cannot be written, unreachable (8) */
export async function persist(remote: Remote): Promise<void> {
  const mine = remote.keeping.then(() => keep(remote))
  remote.keeping = mine.catch(() => {})
  await mine
}

async function keep(remote: Remote): Promise<void> {
  const { connection, looked, mirror, token } = remote
  const changes = await mirror.changes()
  if (changes === undefined) return
  const args = [looked.folder, token, looked.socket ?? '']
  const input = changes.archive.toString('base64')
  const { code, stdout, stderr } = await connection.run(KEEP, args, { input, timeout: PATIENCE })
  if (code === 0 && stdout.includes('kept')) return changes.kept()
  if (code === LOST) throw lockTaken(remote)
  throw new StagecraftError(
    'state',
    `Cannot write ${looked.folder} on ${connection.host.written}: ${reasonOf(stderr)}`,
    {
      detail: stderr.trim(),
      hint: `Make room there (df -h ${dirname(looked.folder)}), or let ${looked.user} write it, then try again.`,
    },
  )
}

/** Containers of any user read and write what is in them, as far as their modes say: they are not ours. */
export async function makeFolders({ connection, looked }: Remote, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return
  const { code, stderr } = await connection.run('umask 002; mkdir -p "$@"', paths, { timeout: PATIENCE })
  if (code === 0) return
  throw new StagecraftError(
    'state',
    `Cannot make ${paths.join(', ')} on ${connection.host.written}: ${reasonOf(stderr)}`,
    {
      detail: stderr.trim(),
      hint: `Let ${looked.user} write ${looked.folder} there.`,
    },
  )
}

/** Milliseconds that a host may take to write some files. */
const PATIENCE = 60_000

/** The exit code of KEEP for a lock that is another one's by now. */
const LOST = 75

/** @returns the error (9) for a lock that another run has by now */
export function lockTaken({ connection, environment }: Remote): StagecraftError {
  const where = `${environment} on ${connection.host.written}`
  return new StagecraftError('state', `Cannot go on with ${where}: its lock was lost, and another run has it`, {
    hint: 'Nothing more was changed. Look with "stagecraft status".',
  })
}

function reasonOf(said: string): string {
  if (/No space left/.test(said)) return 'no space left on the device'
  return /Permission denied/.test(said) ? 'permission denied' : 'a command there failed'
}
