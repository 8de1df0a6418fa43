import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import { askEngine, type EnginePlace } from '../docker/engine/facts.ts'
import { sayEngine } from '../hosts/engine-place.ts'
import type { Emit } from '../output/events.ts'
import { openHooks } from '../phases/hooks.ts'
import type { HostRequest, ReleaseRun } from '../phases/host-run.ts'
import { liveNow, runPhases } from '../phases/loop.ts'
import { onEngine } from '../phases/on-engine.ts'
import { type Engines, openBuilder } from '../project/built-here.ts'
import { learnSecrets } from '../project/secrets/known.ts'
import { type LockedSession, openReleaseDocker, type Session } from '../project/session.ts'
import { appendEvent } from '../record/bundle.ts'
import type { Release } from '../record/releases-file/format.ts'
import { createSecrets, maskJson } from '../secrets/mask.ts'
import { StagecraftError, withHint } from '../util/errors.ts'
import { nonEmpty } from '../util/map-concurrently.ts'
import { lookAtSwarm, refuseOtherEngine, refuseOtherTarget } from './engine/swarm.ts'
import { openNotify } from './notify.ts'
import { newBundle, onHost, openBundle, openHostRun, openTools } from './open-host-run.ts'
import type { ReleaseRequest } from './request.ts'

/** Reports which engine the environment uses, before anything is done. @returns it; undefined if there are hosts */
export async function lookAtEngine(request: ReleaseRequest, session: Session): Promise<EnginePlace | undefined> {
  const { project, serving, parts } = request
  refuseOtherEngine(project)
  refuseOtherTarget(request)
  if (project.environment.engine === 'swarm') return lookAtSwarm(request, session)
  if (!project.host.isLocal) return undefined
  const now = await askEngine(openReleaseDocker(project, session))
  const hasFiles = parts.some(({ rendering }) => rendering.content.length > 0)
  const { name: environment } = project.environment
  if (now) sayEngine({ environment, now, before: serving?.bundle.engine, hasFiles }, session.emit)
  return now
}

/** Waits for work that comes before the release is made. @throws what it throws, or failed (5) if a signal ended it */
export async function beforeRelease<T>(work: Promise<T>, session: Session): Promise<T> {
  return work.catch((error: unknown) => {
    const signal = signalOf(session)
    throw signal === undefined ? error : endedBeforeRelease(signal)
  })
}

/**
 * Makes a release and takes it through its six phases.
 * @throws what the phase that failed threw; the release is recorded in any case
 */
export async function carryOut(request: ReleaseRequest, session: LockedSession): Promise<Release> {
  const { project, state, parts } = request
  const failed = new AbortController()
  const signal = parts.length === 1 ? session.signal : AbortSignal.any([session.signal, failed.signal])
  const secrets = session.secrets ?? createSecrets()
  for (const part of parts) secrets.addNames([project.environment.name, request.version.name, part.project.host.name])
  const open = async (part: HostRequest): Promise<OpenedHost> => {
    const read = new Set(part.target ? [] : part.rendering.content.map(({ hash }) => hash))
    await learnSecrets(secrets, part.project.host, [part.serving, part.target], read)
    const docker = openReleaseDocker(part.project, { ...session, secrets }, signal)
    return { part, docker, adopting: await isAdopting(part, docker) }
  }
  const opened = nonEmpty(await Promise.all(parts.map(open)))
  const adopting = opened.some((one) => one.adopting)
  const builder = await beforeRelease(openBuilder(project, request.targets, session, enginesOf(opened)), session)
  const notify = await openNotify(project, session)
  const release = begin(request, adopting, session)
  const history = openHistory(request, release, opened[0].docker, session)
  void session.held.persist?.().catch(() => {}) // shows the release to others from its first phase on; a later one throws
  const { emit } = history
  const { id, version, environment } = release
  const hostRuns = nonEmpty(
    opened.map(({ part, docker }) => {
      const { host, stateFile } = part.project
      const tools = openTools(host, docker, parts.length === 1 ? emit : onHost(emit, host), session)
      return openHostRun(
        part,
        tools,
        openBundle(stateFile, newBundle(request, part, release, session.user), history.write),
      )
    }),
  )
  const [{ bundle, tools }] = hostRuns
  const checkLock = () => {
    for (const each of hostRuns) each.tools.checkLock()
  }
  const run: ReleaseRun = {
    kind: request.target ? 'rollback' : 'deploy',
    project,
    state,
    serving: request.serving,
    adopting,
    targets: request.targets,
    hostRuns,
    bundle,
    builder,
    tools: {
      ...{ clock: session.clock, emit, checkLock, persist: tools.persist },
      signal,
    },
    stop: () => failed.abort(),
  }
  emit({ type: 'release', id, version, environment, project: project.model.name })
  const here = project.host.isLocal ? session.exec : project.host.local
  const hooks = openHooks(run, release, { exec: here, lock: session.held.fd })
  const { phases, undoBegun } = onEngine(project.environment)
  const around = { signalled: () => signalOf(session), undoBegun, hooks }
  await runPhases(phases, run, release, state, around).catch(async (error: unknown) => {
    const isSignal = error instanceof StagecraftError && error.signal !== undefined
    await notify(state, release, isSignal ? 'interrupted' : 'failed')
    throw error
  })
  await tools.persist?.().catch((error: unknown) => {
    if (!(error instanceof StagecraftError)) throw error
    throw withHint(
      error,
      `${version} is live: only the record of its last phases is missing, and the next command completes it.`,
    )
  })
  await notify(state, release, 'completed')
  return state.getRelease(id) ?? release
}

/** A host and its engine, before the release. */
interface OpenedHost {
  readonly part: HostRequest
  readonly docker: Docker
  /** nothing has been released yet, but containers of the project run */
  readonly adopting: boolean
}

function enginesOf(opened: readonly [OpenedHost, ...OpenedHost[]]): Engines {
  return nonEmpty(opened.map(({ part, docker }) => ({ host: part.project.host, docker })))
}

async function isAdopting({ serving, project }: HostRequest, docker: Docker): Promise<boolean> {
  if (serving !== undefined) return false
  return (await listContainers(docker, project.model.name)).length > 0
}

/** Creates the release. @throws state (9), with which release is live; the next command marks a half-made release */
function begin(
  { project, state, serving, version }: ReleaseRequest,
  adopting: boolean,
  { held }: LockedSession,
): Release {
  try {
    const release = state.createRelease({
      environment: project.environment.name,
      version: version.name,
      commit_sha: version.commit,
    })
    held.nameRelease(release)
    return release
  } catch (error) {
    throw error instanceof StagecraftError ? withHint(error, liveNow(serving?.bundle, adopting)) : error
  }
}

function signalOf({ signal }: Session): number | undefined {
  return signal.aborted ? Number(signal.reason) : undefined
}

/** Emits events and appends them to the release's history: at once if possible, otherwise with the next bundle. */
function openHistory(request: ReleaseRequest, { id }: Release, { mask }: Docker, session: Session) {
  const early: { at: number; event: unknown }[] = []
  const write = () => {
    for (let first = early[0]; first; first = early[0]) {
      appendEvent(request.project.stateFile, id, first.at, first.event)
      early.shift()
    }
  }
  const emit: Emit = (event) => {
    session.emit(event)
    if (event.type === 'output' || event.type === 'progress') return // too much for the history
    early.push({ at: session.clock.now(), event: maskJson(event, mask) })
    try {
      write()
    } catch {
      // There is no folder yet, or no room: the next write of the bundle stops the release, not an event amid a change.
    }
  }
  return { emit, write }
}

function endedBeforeRelease(signal: number): StagecraftError {
  const hint = 'Nothing has been done, and no release was made.'
  return new StagecraftError('failed', `Cannot start the release: ended by signal ${signal}`, { signal, hint })
}
