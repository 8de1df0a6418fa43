import { type Docker, openDocker } from './docker.ts'
import type { Emit, TellOutput } from './events.ts'
import type { Exec } from './exec.ts'
import type { Clock } from './gate.ts'
import type { Host } from './host.ts'
import type { Held } from './lock.ts'
import { createSecrets, type SecretSet } from './mask.ts'
import type { Project } from './project.ts'
import { namesOfModel } from './secrets.ts'

/** The outside world, as a release needs it. */
export interface World {
  readonly exec: Exec
  readonly clock: Clock
  readonly emit: Emit
  readonly tell?: TellOutput | undefined
  /** who is doing this */
  readonly user: string
  /** asks to stop: its reason is the number of a signal */
  readonly signal: AbortSignal
  /** what is masked, on the screen too; absent: each docker knows its own */
  readonly secrets?: SecretSet
}

/** The same, for who holds the lock of the environment: only then anything is changed. */
export interface Locked extends World {
  /** the lock on the first host, or here: the state is under it */
  readonly held: Held
  /** those on the other hosts */
  readonly locks?: ReadonlyMap<Host, Held>
}

/** @returns what runs docker for a host. Tests have an engine of their own. */
export function execOn(host: Host, world: Pick<World, 'exec'>): Exec {
  return host.name === undefined ? world.exec : host.exec
}

/** Docker, as the work of a release uses it: a signal ends its commands, and what changes something has the lock too. */
export function openReleaseDocker(
  { secrets, host, model }: Pick<Project, 'secrets' | 'host'> & Partial<Pick<Project, 'model'>>,
  world: World | Locked,
  signal = world.signal,
): Docker {
  const lock = 'held' in world ? lockOn(host, world) : undefined
  const known = world.secrets ?? createSecrets()
  known.add(secrets)
  if (model) known.addNames(namesOfModel(model))
  return openDocker(execOn(host, world), known.mask, { signal, lock })
}

/** The lock, as commands have it that change something. */
type DockerLock = Pick<Held, 'fd' | 'check' | 'persist'>

/** @returns the lock of one host alone */
export function ownLockOn(host: Host, { held, locks }: Locked): Held {
  return locks?.get(host) ?? held
}

/** @returns the lock as a command on a host needs it: its own, and that of the first, which has the state */
export function lockOn(host: Host, world: Locked): DockerLock {
  const { held } = world
  const own = ownLockOn(host, world)
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

/** Docker for undoing and finishing: by what was kept before it began, and on a host of several also without the first. */
export function openLastingDocker(host: Host, mask: Docker['mask'], world: Locked): Docker {
  const { fd, check } = ownLockOn(host, world)
  return openDocker(execOn(host, world), mask, { lock: { fd, check } })
}
