import type { Docker } from '../../docker/client.ts'
import { stagePlace } from '../../docker/compose/up.ts'
import { listContainers } from '../../docker/containers.ts'
import { enginePlatform } from '../../docker/engine/facts.ts'
import type { Container } from '../../docker/inspect.ts'
import type { Host } from '../../hosts/host.ts'
import { retire } from '../../phases/rollout/retire.ts'
import { undoRollout } from '../../phases/rollout/undo/host.ts'
import type { UndoRequest } from '../../phases/rollout/undo/request.ts'
import { reschedule } from '../../phases/schedules.ts'
import { retireStack } from '../../phases/swarm/rollout.ts'
import { releaseOf } from '../../phases/swarm/stage.ts'
import { type StackUndo, undoStack } from '../../phases/swarm/undo.ts'
import { releaseId } from '../../plan/release-id.ts'
import { learnSecrets, namesOfSettings } from '../../project/secrets/known.ts'
import { type LockedSession, openUndoDocker } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { logKeeper } from '../../record/bundle/logs.ts'
import { modelFile } from '../../record/bundle/ref.ts'
import { type Bundle, type LiveRelease, readBundle, readModel, withModel } from '../../record/bundle.ts'
import type { Journal } from '../../record/journal.ts'
import type { Unsettled } from '../../record/unsettled.ts'
import { createSecrets } from '../../secrets/mask.ts'
import { StagecraftError } from '../../util/errors.ts'
import { FINISHED, type Settled, undoneText, WENT_BACK } from './text.ts'

/** Where releases are recovered, and by whom. */
export interface Scene {
  readonly settings: Settings
  readonly session: LockedSession
}

/** A release on one host, as a run that died left it. */
interface Remains {
  readonly host: Host
  readonly serving: LiveRelease | undefined
  readonly bundle: Bundle | undefined
}

/** Undoes or finishes a release on one host, as its journal says. @returns what was done, in a sentence */
export async function settle(unsettled: Unsettled, remains: Remains, scene: Scene): Promise<Settled> {
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
    return { outcome: 'undone', did: undoneText(undone) }
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
