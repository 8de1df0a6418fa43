import { join } from 'node:path'
import type { ContentStore } from '../compose/content-store.ts'
import type { Docker } from '../docker/client.ts'
import { enginePlatform } from '../docker/engine/facts.ts'
import type { Attached } from '../docker/streams/attached.ts'
import { type EnvironmentLock, type LockWorld, readLock, withLock } from '../lock/environment-lock.ts'
import type { LockRequest, LockState } from '../lock/holder.ts'
import { contentFolder } from '../record/bundle.ts'
import { attach } from '../system/attach.ts'
import type { Exec, Result } from '../system/exec.ts'
import type { StagecraftError } from '../util/errors.ts'
import type { HistoryOwner } from './owners.ts'

/** Where an environment runs: on this machine's engine, or on a host over SSH (spec/core/hosts.md). */
export interface Host {
  /** this machine, with the engine that docker uses by default */
  readonly isLocal: boolean
  /** as it is written in stagecraft.yml; empty for this machine */
  readonly name: string
  /** the name of its part of a release in the bundle (lib/config/host-address.ts, hostKey) */
  readonly key: string
  /** runs a program of this machine; docker uses the host's engine */
  readonly exec: Exec
  /** runs a program of this machine; docker uses this machine's engine, which builds */
  readonly local: Exec
  /** runs docker for the host's engine with this process's own stdin, stdout and stderr. @returns its exit code */
  readonly attach: (attached: Attached) => Promise<number>
  /** `os/arch` of its engine, known since the connection; absent: ask the engine. @throws unreachable (8) */
  readonly platform?: Promise<string>
  /**
   * the owners of the projects that it runs (lib/hosts/owners.ts): read once, and again after somebody else's change; absent:
   * read them each time. @throws unreachable (8)
   */
  owners?(): Promise<ReadonlyMap<string, HistoryOwner>>
  /** the hosts of a Swarm, managers or not; absent: it is no Swarm, or has no hosts. The first call connects to them */
  nodes?(): Promise<NodeHosts>
  /** where the owner of a project is recorded; default: in volumes. A Swarm's managers have only configs in common */
  readonly marks?: 'configs'
  /** the Swarm keeps the releases under this name, and the contents of configs and secrets too */
  readonly kept?: string
  /** the environment's releases: its own file, or the command's copy of the host's file */
  readonly stateFile: string
  /** the environment's folder on the host, with content and the data of relative paths; undefined: next to the state file */
  readonly folder: string | undefined
  /** Runs `work` while nobody else changes the environment. Like `withLock` (lib/lock/environment-lock.ts). */
  withLock<T>(
    request: Omit<LockRequest, 'stateFile'>,
    world: LockWorld,
    work: (held: EnvironmentLock) => Promise<T>,
  ): Promise<T>
  /** the lock when the connection was made */
  readLock(environment: string): LockState
  /** the lock now. @throws unreachable (8), state (9) */
  lookAtLock(environment: string): Promise<LockState>
  /** Runs a script in its /bin/sh. @throws unreachable (8) */
  run(script: string, args?: readonly string[]): Promise<Result>
  /** Makes missing folders for data on the host. @throws state (9), unreachable (8) */
  makeFolders(paths: readonly string[]): Promise<void>
  /** Saves on the host what was written to the state and next to it. @throws state (9), unreachable (8) */
  persist(): Promise<void>
  /** reads the state from the host again; absent: it is on this machine */
  refresh?(): Promise<void>
  /** reads state and lock from the host again if somebody has changed them; absent: they are on this machine */
  refreshIfChanged?(): Promise<void>
  close(): Promise<void>
}

/** The hosts of a Swarm, managers or not. */
export interface NodeHosts {
  readonly reached: readonly NodeHost[]
  /** why others cannot be used */
  readonly failed: readonly StagecraftError[]
}

/** A host whose engine is a node of a Swarm. */
export interface NodeHost {
  /** as it is written in stagecraft.yml */
  readonly name: string
  /** Swarm's id of the node; empty: it is in none */
  readonly node: string
  /** runs a program of this machine; docker uses the host's engine */
  readonly exec: Exec
  /** as that of a host */
  readonly attach: Host['attach']
}

/** @returns whether images are built by this machine's engine, and brought to where they run */
export function buildsElsewhere({ isLocal, nodes }: Pick<Host, 'isLocal' | 'nodes'>): boolean {
  return !isLocal || nodes !== undefined
}

/** @returns this machine, with its own engine */
export function localHost(exec: Exec, stateFile: string): Host {
  return {
    isLocal: true,
    name: '',
    key: 'local',
    exec,
    local: exec,
    attach: ({ argv, env }) => attach(argv, env),
    stateFile,
    folder: undefined,
    withLock: (request, world, work) => withLock({ ...request, stateFile }, world, work),
    readLock: (environment) => readLock(stateFile, environment),
    lookAtLock: async (environment) => readLock(stateFile, environment),
    run: (script, args = []) => exec(['sh', '-c', script, 'stagecraft', ...args]),
    makeFolders: async () => {}, // nothing to make: a release with a missing folder was refused before
    persist: async () => {},
    close: async () => {},
  }
}

/** @returns `os/arch` of a host's engine. @throws unreachable (8) if it does not answer */
export function platformOf({ platform }: Pick<Host, 'platform'>, docker: Docker): Promise<string> {
  return platform ?? enginePlatform(docker)
}

/** @returns the folder of content here, and its path for the host's engine. @param write false: files are only hashed */
export function contentStore(
  { folder, stateFile, kept }: Pick<Host, 'folder' | 'stateFile' | 'kept'>,
  write: boolean,
): ContentStore {
  const at = kept === undefined ? folder && join(folder, 'content') : CONTENT_IN_SWARM
  return { folder: contentFolder(stateFile), write, ...(at === undefined ? {} : { at }) }
}

/** Where a model on a Swarm names its content: the same for all machines. Nothing is there. */
export const CONTENT_IN_SWARM = '/stagecraft/content'
