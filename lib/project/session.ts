import { type Docker, type DockerOptions, openDocker } from '../docker/client.ts'
import type { Host } from '../hosts/host.ts'
import { engineOfNode } from '../hosts/node-engine.ts'
import type { EnvironmentLock } from '../lock/environment-lock.ts'
import type { Emit } from '../output/events.ts'
import { namesOfModel } from '../secrets/find.ts'
import { createSecrets, type SecretSet } from '../secrets/mask.ts'
import type { Clock } from '../system/clock.ts'
import type { Exec } from '../system/exec.ts'
import type { Project } from './settings.ts'

/** What a release works with besides its project. */
export interface Session {
  readonly exec: Exec
  readonly clock: Clock
  readonly emit: Emit
  readonly user: string
  /** aborted by a signal; its reason is the signal's number */
  readonly signal: AbortSignal
  /** values to mask everywhere, on the screen too; absent: each docker client masks its own */
  readonly secrets?: SecretSet
}

/** A session that holds the lock of the environment, and may change it. */
export interface LockedSession extends Session {
  /** the lock on the first host, or on this machine, which protects the state */
  readonly held: EnvironmentLock
  /** the locks on the other hosts */
  readonly locks?: ReadonlyMap<Host, EnvironmentLock>
}

/** @returns the function that runs docker for a host. Tests pass their own for this machine. */
export function execOn(host: Host, session: Pick<Session, 'exec'>): Exec {
  return host.isLocal ? session.exec : host.exec
}

/** @returns on a Swarm: finds the engines of its nodes */
export function nodesOf(host: Host, session: Pick<Session, 'exec'>): DockerOptions['execOnNode'] {
  if (host.marks !== 'configs') return undefined
  return async (node, what) => (await engineOfNode(host, execOn(host, session), node, what)).exec
}

/** @returns the docker client of a release: a signal ends its commands, and commands that change something inherit the lock */
export function openReleaseDocker(
  { secrets, host, model }: Pick<Project, 'secrets' | 'host'> & Partial<Pick<Project, 'model'>>,
  session: Session | LockedSession,
  signal = session.signal,
): Docker {
  const lock = 'held' in session ? lockOn(host, session) : undefined
  const known = session.secrets ?? createSecrets()
  known.add(secrets)
  if (model) known.addNames(namesOfModel(model))
  return openDocker(execOn(host, session), known.mask, { signal, lock, execOnNode: nodesOf(host, session) })
}

/** The part of a lock that docker commands need. */
type DockerLock = Pick<EnvironmentLock, 'fd' | 'check' | 'persist'>

/** @returns the lock of one host alone */
export function ownLockOn(host: Host, { held, locks }: LockedSession): EnvironmentLock {
  return locks?.get(host) ?? held
}

/** @returns the lock for a command on a host: that of the host together with that of the first, which has the state */
export function lockOn(host: Host, session: LockedSession): DockerLock {
  const { held } = session
  const own = ownLockOn(host, session)
  if (own === held) return held
  return {
    fd: own.fd,
    check() {
      held.check()
      own.check()
    },
    persist: async () => void (await Promise.all([held.persist?.(), own.persist?.()])),
  }
}

/** @returns the docker client for undoing and finishing: no signal ends it, and it does not need the first host's lock */
export function openUndoDocker(host: Host, mask: Docker['mask'], session: LockedSession): Docker {
  const { fd, check, sure } = ownLockOn(host, session)
  const lock = { fd, check, ...(sure ? { persist: sure } : {}) }
  return openDocker(execOn(host, session), mask, { lock, execOnNode: nodesOf(host, session) })
}
