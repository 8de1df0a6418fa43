import { appendEvent, type ServingRelease } from './bundle.ts'
import { type Docker, enginePlatform, listContainers, openDocker } from './docker.ts'
import { askEngine, type EnginePlace, sayEngine } from './engine-place.ts'
import { StagecraftError, withHint } from './errors.ts'
import type { Emit } from './events.ts'
import type { Exec } from './exec.ts'
import { platformOf } from './host.ts'
import type { BuildTarget } from './images.ts'
import { learnSecrets } from './known-secrets.ts'
import { createSecrets, maskJson } from './mask.ts'
import { atLeastOne } from './on-each.ts'
import { SIX_PHASES } from './phases/index.ts'
import { runPhases, whatServes } from './phases/loop.ts'
import type { Placed } from './placement.ts'
import type { Project } from './project.ts'
import type { Rendering } from './render.ts'
import type { Run, Site } from './run.ts'
import { newBundle, onHost, openSite } from './site.ts'
import type { Release, State } from './state.ts'
import type { Version } from './version.ts'
import { type Locked, openReleaseDocker, type World } from './world.ts'

/** What is to be released, whether it was just read from the Compose file or put together long ago. */
export interface Order {
  readonly project: Project
  readonly version: Version
  readonly state: State
  readonly serving: ServingRelease | undefined
  readonly targets: readonly BuildTarget[]
  /** a rollback: the release to put back */
  readonly target?: ServingRelease
  /** where no hosts are named */
  readonly engine?: EnginePlace | undefined
  /** the hosts, the first first */
  readonly parts: readonly [Part, ...Part[]]
}

/** The same, of one host. */
export interface Part extends Placed {
  /** what serves there; undefined: nothing of ours does */
  readonly serving: ServingRelease | undefined
  readonly rendering: Rendering
  /** keeps the content files as they are now */
  readonly keepContent: () => Rendering
  /** a rollback: what its target was there */
  readonly target?: ServingRelease
}

/** Says where the environment is, before anything is done. @returns its engine, where no hosts are named */
export async function lookAtEngine({ project, serving, parts }: Order, world: World): Promise<EnginePlace | undefined> {
  if (project.host.name !== undefined) return undefined // its name says it
  const now = await askEngine(openReleaseDocker(project, world))
  const hasFiles = parts.some(({ rendering }) => rendering.content.length > 0)
  const { name: environment } = project.environment
  if (now) sayEngine({ environment, now, before: serving?.bundle.engine, hasFiles }, world.emit)
  return now
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
export async function carryOut(order: Order, world: Locked): Promise<Release> {
  const { project, state, parts } = order
  const failed = new AbortController()
  const signal = parts.length === 1 ? world.signal : AbortSignal.any([world.signal, failed.signal])
  const secrets = world.secrets ?? createSecrets()
  for (const part of parts)
    secrets.addNames([project.environment.name, order.version.version, part.project.host.name ?? ''])
  const open = async (part: Part): Promise<Ground> => {
    const read = new Set(part.target ? [] : part.rendering.content.map(({ hash }) => hash))
    await learnSecrets(secrets, part.project.host, [part.serving, part.target], read)
    const docker = openReleaseDocker(part.project, { ...world, secrets }, signal)
    return { part, docker, adopting: await isAdopting(part, docker) }
  }
  const grounds = atLeastOne(await Promise.all(parts.map(open)))
  const adopting = grounds.some((ground) => ground.adopting)
  const builder = await beforeRelease(openBuilder(order, grounds, world), world)
  const release = begin(order, adopting, world)
  const history = openHistory(order, release, grounds[0].docker, world)
  void world.held.persist?.().catch(() => {}) // others see it from its first phase on; what fails is told by the next
  const { emit } = history
  const { id, version, environment } = release
  const sites = atLeastOne(
    grounds.map((ground) =>
      openSite({
        ...ground,
        bundle: newBundle(order, ground.part, release, world.user),
        emit: parts.length === 1 ? emit : onHost(emit, ground.part.project.host),
        written: history.write,
        world,
      }),
    ),
  )
  const [main] = sites
  const run: Run = {
    ...{ kind: order.target ? 'rollback' : 'deploy', project, state, emit, builder, targets: order.targets },
    ...{ serving: order.serving, clock: world.clock, tell: world.tell },
    ...{ sites, adopting },
    get bundle() {
      return main.bundle
    },
    checkLock: () => {
      for (const site of sites) site.checkLock()
    },
    persist: main.persist,
    save: main.save,
    stop: () => failed.abort(),
  }
  emit({ type: 'release', id, version, environment, project: project.model.name })
  await runPhases(SIX_PHASES, run, release, state, () => signalOf(world))
  await run.persist?.().catch((error: unknown) => {
    if (!(error instanceof StagecraftError)) throw error
    throw withHint(
      error,
      `${version} serves: only the record of its last phases is missing, and the next command completes it.`,
    )
  })
  return state.getRelease(id) ?? release
}

/** A host before the release, and its engine. */
interface Ground extends Pick<Site, 'docker' | 'adopting'> {
  readonly part: Part
}

async function isAdopting({ serving, project }: Part, docker: Docker): Promise<boolean> {
  if (serving !== undefined) return false
  return (await listContainers(docker, project.model.name)).length > 0
}

/**
 * Images of hosts are built here: the lock of an environment on a host is not this engine's matter.
 * @throws config (3) for hosts of different platforms
 */
async function openBuilder(
  { project, targets }: Order,
  grounds: readonly [Ground, ...Ground[]],
  { signal }: World,
): Promise<Docker> {
  const [{ docker }] = grounds
  const { host } = project
  if (host.name === undefined) return docker
  const builder = openDocker(host.local, docker.mask, { signal })
  if (targets.length === 0) return builder
  const [here, ...platforms] = await Promise.all([
    enginePlatform(builder).catch(noBuilder),
    ...grounds.map((ground) => platformOf(ground.part.project.host, ground.docker)),
  ])
  const [there = ''] = platforms
  const other = platforms.findIndex((platform) => platform !== there)
  if (other > 0)
    throw new StagecraftError(
      'config',
      `Cannot build for ${host.name} and ${grounds[other]?.part.project.host.name}: ${there} and ${platforms[other]}`,
      {
        hint: 'One image runs on all hosts of an environment. Make an environment for each platform.',
      },
    )
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
