import { dirname } from 'node:path'
import type { Docker } from '../docker/client.ts'
import { stagePlace } from '../docker/compose/up.ts'
import { listContainers } from '../docker/containers.ts'
import { enginePlatform } from '../docker/engine/facts.ts'
import type { Container } from '../docker/inspect.ts'
import type { Host } from '../hosts/host.ts'
import { retire } from '../phases/rollout/retire.ts'
import { undoRollout } from '../phases/rollout/undo/host.ts'
import type { UndoRequest } from '../phases/rollout/undo/request.ts'
import { reschedule } from '../phases/schedules.ts'
import { retireStack } from '../phases/swarm/rollout.ts'
import { releaseOf } from '../phases/swarm/stage.ts'
import { type StackUndo, undoStack } from '../phases/swarm/undo.ts'
import { releaseId } from '../plan/release-id.ts'
import { PHASES, type PhaseName } from '../plan/six-phases.ts'
import { refuseForeign } from '../project/ownership.ts'
import { learnSecrets, namesOfSettings } from '../project/secrets/known.ts'
import { type LockedSession, openUndoDocker } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { logKeeper } from '../record/bundle/logs.ts'
import { bundleFolder, modelFile, modelRef, partRefs } from '../record/bundle/ref.ts'
import {
  appendEvent,
  type Bundle,
  contentFolder,
  findLive,
  type LiveRelease,
  liveBundle,
  readBundle,
  readModel,
  withModel,
  writeBundle,
} from '../record/bundle.ts'
import { bundleOn, hasJournal, partOn, placeOf } from '../record/bundle-parts.ts'
import type { Journal } from '../record/journal.ts'
import { openState, type State } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import type { PhaseChanges } from '../record/releases-file/print.ts'
import { findUnsettled, type Unsettled } from '../record/unsettled.ts'
import { createSecrets } from '../secrets/mask.ts'
import { removeTree } from '../system/remove-tree.ts'
import { deadTemporaries } from '../system/temporaries.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { finishHistory } from './by-hand/history.ts'
import { type Notify, openNotify } from './notify.ts'
import { begun, FINISHED, introduce, type Settled, tellUndone, together, WENT_BACK } from './recovery-text.ts'

/**
 * Recovers releases of this environment whose run died: undoes those before their commit point, finishes the others,
 * marks and reports them. The caller holds the environment's lock, so nobody else works on them.
 * @returns the versions that could not be undone completely: a deploy repairs what is left
 * @throws unreachable (8) if the engine does not answer (the next command tries again), state (9)
 */
export async function recover(settings: Settings, session: LockedSession): Promise<string[]> {
  const { stateFile, environment } = settings
  if (await finishHistory(settings, session)) return []
  const state = openState(stateFile, { clock: () => session.clock.now() })
  const releases = state.listReleases({ environment: environment.name })
  const unsettled = findUnsettled(stateFile, releases, () => true) // who holds the lock is alone: no run is under way
  const live = liveBundle(stateFile, releases)
  if (!unsettled.some(({ release }) => release.id === live?.id)) sayMigrating(live, session)
  const [newest] = releases
  if (newest && !unsettled.some(({ release }) => release === newest)) sayHook(newest, settings, session)
  if (unsettled.length === 0) return []
  const serving = findLive(stateFile, releases)
  const open = unsettled.find(({ bundle }) => bundle !== undefined && hasJournal(stateFile, bundle))
  if (open?.bundle) await refuseForeign(settings, open.bundle.project, session) // another checkout may own it by now
  const notify = await openNotify(settings, session)
  const left: string[] = []
  for (const each of unsettled)
    if ((await recoverOne(each, { settings, session, state, serving, notify })) === 'not-undone')
      left.push(each.release.version)
  for (const folder of foldersOf(stateFile, unsettled)) for (const path of deadTemporaries(folder)) removeTree(path)
  return left
}

interface Scene {
  readonly settings: Settings
  readonly session: LockedSession
  readonly state: State
  readonly serving: LiveRelease | undefined
  readonly notify: Notify
}

/** Undoes or finishes a release and records that last: if this run dies in between, the next one finds it as it was. */
async function recoverOne(unsettled: Unsettled, scene: Scene): Promise<Settled['outcome']> {
  const { release, phase, bundle } = unsettled
  const { settings, session, state } = scene
  const { hosts, stateFile } = settings
  const parts = hosts.map((host) => {
    const place = placeOf(host, hosts)
    const serving = scene.serving && partOn(stateFile, scene.serving, place)
    return { host, serving, bundle: bundle && bundleOn(stateFile, bundle, place) }
  })
  const settled = await mapConcurrently(parts, (part) => settle(unsettled, part, scene))
  const { outcome, did } = together(settled, hosts)
  const live = outcome === 'not-undone' ? [] : [nowLive(unsettled, scene)]
  const message = [introduce(unsettled), did, ...begun(bundle), ...live].join(' ')
  for (const [at, part] of parts.toReversed().entries()) {
    if (part.bundle === undefined) continue
    const { journal, retiring: _, hook: __, ...rest } = part.bundle
    const own = settled.at(-1 - at)
    const kept =
      own?.outcome === 'not-undone' ? { ...part.bundle, journal, hook: undefined } : { ...rest, ...own?.routed }
    const error = phase && kept.error === undefined ? { error: { message: `Its run died in ${phase}. ${did}` } } : {}
    writeBundle(stateFile, { ...kept, ...error })
  }
  if (phase) state.updatePhases(release.id, endedIn(phase))
  const event = { type: 'recovery', release: release.id, version: release.version, outcome, message } as const
  session.emit(event)
  if (bundle) appendEvent(stateFile, release.id, session.clock.now(), event)
  if (phase) await scene.notify(state, release, 'interrupted', { outcome, message })
  return outcome
}

/** A release on one host, as a run that died left it. */
interface Remains {
  readonly host: Host
  readonly serving: LiveRelease | undefined
  readonly bundle: Bundle | undefined
}

/** Undoes or finishes a release on one host, as its journal says. @returns what was done, in a sentence */
async function settle(unsettled: Unsettled, remains: Remains, scene: Scene): Promise<Settled> {
  const { bundle, host } = remains
  const { emit, clock } = scene.session
  const docker = bundle?.journal && (await openMasked(bundle, remains, scene))
  const { stateFile, environment } = scene.settings
  const isSwarm = environment.engine === 'swarm'
  if (docker && bundle?.journal && unsettled.switched) {
    const { project: name, services = {}, id } = bundle
    if (host !== scene.settings.host && !(await hasSwitched(docker, bundle.journal, name)))
      return { ...WENT_BACK, routed: bundle.journal.routing }
    if (isSwarm) return retireStack(docker, bundle, emit).then(() => FINISHED)
    const keepLog = logKeeper(stateFile, releaseId(id), clock)
    await retire({ docker, emit, clock, name, services, keepLog }, bundle)
    return { ...FINISHED, routed: await reschedule({ host, docker, emit }, bundle) }
  }
  if (unsettled.switched) return FINISHED
  if (bundle?.journal === undefined || docker === undefined || unsettled.overtaken)
    return { outcome: 'nothing', did: 'It had changed nothing that runs.' }
  try {
    const open = { ...bundle, journal: bundle.journal }
    const cause = new Error('The run of this release died.')
    const undone = isSwarm
      ? await undoStack(openStackUndo(open, docker, remains, scene), cause)
      : await undoRollout(openUndo(open, docker, remains, scene), cause)
    return { outcome: 'undone', did: tellUndone(undone) }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'not-restored') throw error
    await enginePlatform(docker) // throws if the engine is gone: then the next command tries again
    const where = !host.isLocal && scene.settings.hosts.length > 1 ? { host: host.name } : {}
    emit({ type: 'warning', message: error.message, ...(error.detail ? { hint: error.detail } : {}), ...where })
    return {
      outcome: 'not-undone',
      did: 'It could not be undone completely (see above); the next deploy repairs what is left.',
    }
  }
}

/**
 * A host goes back to the previous release if the first host, which has the state, was lost, even if the commit point
 * was written there and only the answer was lost. Then the old containers of this host are the live ones.
 */
async function hasSwitched(docker: Docker, { rolling = [], before }: Journal, project: string): Promise<boolean> {
  if (rolling.length === 0) return true
  const now = await listContainers(docker, project)
  const isNew = ({ id }: Container) => !before.some((one) => one.id === id)
  return rolling.every((service) => now.some((one) => one.service === service && isNew(one)))
}

/** Opens the engine with the secrets of both releases masked. No signal cancels it: no undo is left half-done. */
async function openMasked(bundle: Bundle, { serving, host }: Remains, { settings, session }: Scene): Promise<Docker> {
  const { stateFile } = settings
  const secrets = session.secrets ?? createSecrets()
  const before = [bundle.served_before, bundle.journal?.served].flatMap((id) => (id && readBundle(stateFile, id)) || [])
  const releases = [bundle, ...before].flatMap((each) => withModel(stateFile, each) ?? [])
  secrets.addNames([...namesOfSettings(settings), bundle.version])
  await learnSecrets(secrets, host, [serving, ...releases])
  const docker = openUndoDocker(host, secrets.mask, session)
  await enginePlatform(docker)
  return docker
}

function openStackUndo(
  { journal, project: stack }: Bundle & { journal: Journal },
  docker: Docker,
  { serving }: Remains,
  { settings, session: { clock, emit } }: Scene,
): StackUndo {
  return { docker, clock, emit, stack, journal, served: serving && releaseOf(serving, settings.environment) }
}

function openUndo(
  bundle: Bundle & { journal: Journal },
  docker: Docker,
  { serving }: Remains,
  { settings, session }: Scene,
): UndoRequest {
  const { stateFile } = settings
  const { journal, project: name, services = {} } = bundle
  const model = journal.served === undefined ? undefined : readModel(stateFile, journal.served)
  return {
    ...{ name, journal, docker, clock: session.clock, emit: session.emit },
    modelFile: modelFile(stateFile, bundle.id),
    served: model && { model, modelFile: modelFile(stateFile, journal.served ?? ''), ...stagePlace(settings) },
    project: { environment: { services }, topology: serving?.bundle.topology ?? bundle.topology },
    settings: serving?.bundle.services ?? {},
    proxy: settings.environment.proxy,
  }
}

/** Warns of a migration of the live release, by `migrate run`, whose run died. */
function sayMigrating(live: Bundle | undefined, { emit }: LockedSession): void {
  if (live?.migrating === undefined) return
  const { database, name } = live.migrating
  const message = `a migration of ${database} began with ${live.version} (${live.id}), and it is not known whether it ended: ${name}`
  emit({ type: 'warning', message, hint: 'It may still be at work: the next migration of that database waits for it.' })
}

/** Warns, once, of a hook whose run died when all else was done: after the last phase, or after the failure. */
function sayHook({ id }: Release, { stateFile }: Settings, { emit }: LockedSession): void {
  const bundle = readBundle(stateFile, id)
  if (bundle?.hook === undefined) return
  const { name, command } = bundle.hook
  const message = `the hook ${name} of ${bundle.version} (${id}) was running when its run died: ${command}`
  emit({ type: 'warning', message, hint: 'It was ended, and did not finish its work.' })
  writeBundle(stateFile, { ...bundle, hook: undefined })
}

function nowLive({ release }: Unsettled, { serving }: Scene): string {
  if (serving === undefined) return 'No release is live.'
  const { id, version } = serving.bundle
  return id === release.id ? `${version} is live.` : `${version} (${id}) is live.`
}

/** @returns the changes that record a failed phase (spec/core/phases.md). */
function endedIn(phase: PhaseName): PhaseChanges {
  const later = PHASES.slice(PHASES.indexOf(phase) + 1)
  return { [phase]: 'failed', ...Object.fromEntries(later.map((name) => [name, 'skipped'] as const)) }
}

/** @returns folders in which a run that died may have left temporary files. */
function foldersOf(stateFile: string, unsettled: readonly Unsettled[]): string[] {
  const refs = unsettled.flatMap(({ release, bundle }) => (bundle ? partRefs(bundle) : [release.id]))
  const models = refs.flatMap((ref) => [ref, modelRef(ref, 'adopted'), modelRef(ref, 'served')])
  return [dirname(stateFile), contentFolder(stateFile), ...models.map((ref) => bundleFolder(stateFile, ref))]
}
