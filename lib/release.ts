import { hostname } from 'node:os'
import { appendEvent, type Bundle, type ServingRelease, writeBundle } from './bundle.ts'
import { type Docker, enginePlatform, listContainers, openDocker } from './docker.ts'
import { StagecraftError, withHint } from './errors.ts'
import type { Emit, TellOutput } from './events.ts'
import type { Exec } from './exec.ts'
import type { Clock } from './gate.ts'
import type { BuildTarget } from './images.ts'
import type { Held } from './lock.ts'
import { createMask, maskJson } from './mask.ts'
import { SIX_PHASES } from './phases/index.ts'
import { runPhases, whatServes } from './phases/loop.ts'
import type { Project } from './project.ts'
import type { Rendering } from './render.ts'
import type { Run } from './run.ts'
import type { Release, State } from './state.ts'
import type { Version } from './version.ts'

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
}

/** The same, for who holds the lock of the environment: only then anything is changed. */
export interface Locked extends World {
  readonly held: Held
}

/** What is to be released, whether it was just read from the Compose file or put together long ago. */
export interface Order {
  readonly project: Project
  readonly version: Version
  readonly state: State
  readonly serving: ServingRelease | undefined
  readonly rendering: Rendering
  /** keeps the content files as they are now */
  readonly keepContent: () => Rendering
  readonly targets: readonly BuildTarget[]
  /** a rollback: the release to put back */
  readonly target?: ServingRelease
}

/** Docker, as the work of a release uses it: a signal ends its commands, and what changes something has the lock too. */
export function openReleaseDocker(project: Pick<Project, 'secrets'>, world: World | Locked): Docker {
  const lock = 'held' in world ? world.held : undefined
  return openDocker(world.exec, createMask(project.secrets), { signal: world.signal, lock })
}

/** What is asked of the engine before there is a release. @throws what it throws, or that a signal ended it */
export async function beforeRelease<T>(work: Promise<T>, world: World): Promise<T> {
  return work.catch((error: unknown) => {
    const signal = signalOf(world)
    throw signal === undefined ? error : endedBeforeRelease(signal)
  })
}

/**
 * Makes a release and takes it through its six phases.
 * @throws what the first phase that failed threw; the release is recorded either way
 */
export async function carryOut(order: Order, docker: Docker, world: Locked): Promise<Release> {
  const { project, state, serving } = order
  const adopting = serving === undefined && (await listContainers(docker, project.model.name)).length > 0
  const builder = await beforeRelease(openBuilder(order, docker, world), world)
  const release = begin(order, adopting, world)
  const history = openHistory(order, release, docker, world)
  await world.held.persist?.() // others see it from its first phase on
  const { emit } = history
  const { id, version, environment } = release
  const run: Run = {
    ...order,
    kind: order.target ? 'rollback' : 'deploy',
    released: order.target?.bundle.images,
    adopting,
    exec: world.exec,
    docker,
    builder,
    restoring: openDocker(world.exec, docker.mask, { lock: world.held }),
    clock: world.clock,
    emit,
    tell: world.tell,
    images: new Map(),
    digests: {},
    bundle: newBundle(order, release, world.user),
    checkLock: () => world.held.check(),
    persist: world.held.persist,
    save(changes) {
      const next = { ...run.bundle, ...changes }
      writeBundle(project.stateFile, next)
      run.bundle = next // what could not be written is not so: the commit point above all
      history.write()
    },
  }
  emit({ type: 'release', id, version, environment, project: project.model.name })
  await runPhases(SIX_PHASES, run, release, state, () => signalOf(world))
  return state.getRelease(id) ?? release
}

/** Images of a host are built here: the lock of an environment on a host is not this engine's matter. */
async function openBuilder({ project, targets }: Order, docker: Docker, { signal }: World): Promise<Docker> {
  const { host } = project
  if (host.name === undefined) return docker
  const builder = openDocker(host.local, docker.mask, { signal })
  if (targets.length === 0) return builder
  const [here, there] = await Promise.all([enginePlatform(builder).catch(noBuilder), enginePlatform(docker)])
  const forThem: Exec = (argv, options = {}) =>
    host.local(argv, { ...options, env: { ...options.env, DOCKER_DEFAULT_PLATFORM: there } })
  return here === there ? builder : openDocker(forThem, docker.mask, { signal })
}

function noBuilder(error: unknown): never {
  if (!(error instanceof StagecraftError)) throw error
  throw new StagecraftError('unreachable', 'Cannot build here: the Docker engine of this machine does not answer', {
    detail: error.detail,
    hint: `What a host runs is built here and sent there. ${error.hint ?? ''}`.trim(),
  })
}

/** @throws state (9), saying what serves: what was made of the release is marked by the next command */
function begin({ project, state, serving, version }: Order, adopting: boolean, { held }: Locked): Release {
  try {
    const release = state.createRelease({ environment: project.environment.name, ...version })
    held.nameRelease(release)
    return release
  } catch (error) {
    throw error instanceof StagecraftError ? withHint(error, whatServes(serving?.bundle, adopting)) : error
  }
}

function signalOf({ signal }: World): number | undefined {
  return signal.aborted ? Number(signal.reason) : undefined
}

/** Events are told, and written to the release's history: when they come, if that can be, and at the latest with the bundle. */
function openHistory(order: Order, { id }: Release, { mask }: Docker, world: World) {
  const early: { at: number; event: unknown }[] = []
  const write = () => {
    for (let first = early[0]; first; first = early[0]) {
      appendEvent(order.project.stateFile, id, first.at, first.event)
      early.shift()
    }
  }
  const emit: Emit = (event) => {
    world.emit(event)
    early.push({ at: world.clock.now(), event: maskJson(event, mask) })
    try {
      write()
    } catch {
      // There is no folder yet, or no room: that stops the release where it is next written, not in the midst of a change.
    }
  }
  return { emit, write }
}

function endedBeforeRelease(signal: number): StagecraftError {
  const hint = 'Nothing has been done, and no release was made.'
  return new StagecraftError('failed', `Cannot start the release: ended by signal ${signal}`, { signal, hint })
}

function newBundle({ project, serving, target }: Order, release: Release, user: string): Bundle {
  const { id, environment, version, commit_sha } = release
  const { topology, model } = project
  return {
    ...{ v: 1, id, environment, version, commit_sha, project: model.name, topology },
    ...{ phases: {}, images: {}, content: [], config_hashes: {} },
    actor: { user, machine: hostname(), directory: project.directory },
    services: project.environment.services,
    ...(serving ? { served_before: serving.bundle.id } : {}),
    ...(target ? { rollback_to: target.bundle.id } : {}),
  }
}
