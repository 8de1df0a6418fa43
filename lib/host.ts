import { join } from 'node:path'
import { contentFolder } from './bundle.ts'
import type { ContentStore } from './content.ts'
import { type Docker, enginePlatform } from './docker.ts'
import type { Exec, Result } from './exec.ts'
import { type Held, type LockRequest, type LockState, type LockWorld, readLock, withLock } from './lock.ts'
import type { Owner } from './owner.ts'

/** Where an environment runs: this machine's engine, or one that is reached over SSH (design 7). */
export interface Host {
  /** what people call it; undefined: this machine */
  readonly name: string | undefined
  /** what its part of a release is called in the bundle (lib/host-name.ts, hostKey) */
  readonly key: string
  /** runs a program of this machine; docker reaches the host's engine */
  readonly exec: Exec
  /** runs a program of this machine; docker reaches this machine's engine, which builds */
  readonly local: Exec
  /** `os/arch` of its engine, which was asked when it was connected to; absent: ask it. @throws unreachable (8) */
  readonly platform?: Promise<string>
  /**
   * whose what it runs is (lib/owner.ts): asked once, and again where somebody else has changed something; absent: ask
   * it each time. @throws unreachable (8)
   */
  owners?(): Promise<ReadonlyMap<string, Owner>>
  /** the environment's releases: its own file, or a copy of the host's for the length of a command */
  readonly stateFile: string
  /** where the host's engine finds what is kept in the content folder, and the data of relative paths; undefined: where it is */
  readonly folder: string | undefined
  /** Does work while nobody else changes the environment. As `withLock` (lib/lock.ts) */
  withLock<T>(request: Omit<LockRequest, 'stateFile'>, world: LockWorld, work: (held: Held) => Promise<T>): Promise<T>
  /** as it was when the host was connected to */
  readLock(environment: string): LockState
  /** as it is now. @throws unreachable (8), state (9) */
  lookAtLock(environment: string): Promise<LockState>
  /** Runs a script in its /bin/sh. @throws unreachable (8) */
  run(script: string, args?: readonly string[]): Promise<Result>
  /** Makes folders for data on the host, where they are not there. @throws state (9), unreachable (8) */
  makeFolders(paths: readonly string[]): Promise<void>
  /** What was written to the state and beside it so far is where the next command will find it. @throws state (9), unreachable (8) */
  persist(): Promise<void>
  /** reads again what is kept there; absent: it is this machine's own */
  refresh?(): Promise<void>
  close(): Promise<void>
}

/** @returns this machine, with its own engine */
export function localHost(exec: Exec, stateFile: string): Host {
  return {
    name: undefined,
    key: 'local',
    exec,
    local: exec,
    stateFile,
    folder: undefined,
    withLock: (request, world, work) => withLock({ ...request, stateFile }, world, work),
    readLock: (environment) => readLock(stateFile, environment),
    lookAtLock: async (environment) => readLock(stateFile, environment),
    run: (script, args = []) => exec(['sh', '-c', script, 'stagecraft', ...args]),
    makeFolders: async () => {}, // they are there: a missing one is refused
    persist: async () => {},
    close: async () => {},
  }
}

/** @returns `os/arch` of a host's engine. @throws unreachable (8) where it does not answer */
export function platformOf({ platform }: Pick<Host, 'platform'>, docker: Docker): Promise<string> {
  return platform ?? enginePlatform(docker)
}

/** @returns where content is kept here, and where the host's engine finds it. @param write false: it is only hashed */
export function contentStore({ folder, stateFile }: Pick<Host, 'folder' | 'stateFile'>, write: boolean): ContentStore {
  return { folder: contentFolder(stateFile), write, ...(folder === undefined ? {} : { at: join(folder, 'content') }) }
}
