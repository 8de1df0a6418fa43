import { dirname, join } from 'node:path'
import { deadTemporaries } from './atomic-write.ts'
import {
  appendEvent,
  type Bundle,
  bundleFolder,
  contentFolder,
  findServing,
  logKeeper,
  modelFile,
  readBundle,
  readModel,
  type ServingRelease,
  writeBundle,
} from './bundle.ts'
import { type Docker, enginePlatform, openDocker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { RecoveryOutcome } from './events.ts'
import type { Journal } from './journal.ts'
import { createMask } from './mask.ts'
import type { Settings } from './project.ts'
import { type PutBack, putBack, type Undo } from './put-back.ts'
import type { Locked } from './release.ts'
import { statusOf } from './release-status.ts'
import { removeTree } from './remove-tree.ts'
import { secretValues } from './render.ts'
import { retire } from './retire.ts'
import { openState, PHASES, type PhaseChanges, type PhaseName, type Release, type State } from './state.ts'

/** A release that nobody works on any more, and that is not ended, or has something left to undo or to finish. */
interface DeadRun {
  readonly release: Release
  /** the phase that its run was in; undefined: it failed, and something could not be undone or finished then */
  readonly phase: PhaseName | undefined
  /** undefined: its run died before it had written one */
  readonly bundle: Bundle | undefined
  /** it came to its commit point */
  readonly served: boolean
  /** a later release did */
  readonly overtaken: boolean
}

/**
 * Finds what runs of this environment left that died: undoes what had not come to its commit point, finishes what had,
 * marks the releases, and tells it. Only for who holds the environment's lock: then nobody works on any of them.
 * @throws unreachable (8) where the engine does not answer: the next command tries again; state (9)
 */
export async function recover(settings: Settings, world: Locked): Promise<void> {
  const { stateFile, environment } = settings
  const state = openState(stateFile, { clock: () => world.clock.now() })
  const dead = findDeadRuns(state, environment.name)
  if (dead.length === 0) return
  const serving = findServing(stateFile, state.listReleases({ environment: environment.name }))
  for (const each of dead) await mend(each, { settings, world, state, serving })
  for (const folder of foldersOf(stateFile, dead)) for (const path of deadTemporaries(folder)) removeTree(path)
}

/** Newest first: what was done last is undone first. Nothing older than what serves has anything left to undo. */
function findDeadRuns(state: State, environment: string): DeadRun[] {
  const found: DeadRun[] = []
  let overtaken = false
  for (const release of state.listReleases({ environment })) {
    const phase = unfinishedPhase(release)
    const bundle: Bundle | undefined = overtaken && phase === undefined ? undefined : readBundle(state.file, release.id)
    const served = bundle?.switched_at !== undefined
    if (phase || (bundle?.journal && !overtaken)) found.push({ release, phase, bundle, served, overtaken })
    if (served) overtaken = true
  }
  return found
}

/** @returns the phase that its run was in, or was about to begin; undefined: the release has ended. */
function unfinishedPhase(release: Release): PhaseName | undefined {
  const { status, phase } = statusOf(release)
  if (status !== 'running' && status !== 'pending') return undefined
  return phase ?? PHASES.find((name) => release.phases[name] === 'pending')
}

interface Scene {
  readonly settings: Settings
  readonly world: Locked
  readonly state: State
  readonly serving: ServingRelease | undefined
}

/** Undoes or finishes first and writes it down last: a run that dies in between is found once more, as it was. */
async function mend(dead: DeadRun, scene: Scene): Promise<void> {
  const { release, phase, bundle } = dead
  const { settings, world, state } = scene
  const { outcome, did } = await settle(dead, scene)
  const message = [introduce(dead), did, ...(outcome === 'not-undone' ? [] : [nowServes(dead, scene)])].join(' ')
  if (bundle) {
    const { journal, retiring: _, ...rest } = bundle
    const kept = outcome === 'not-undone' ? { ...bundle, journal } : rest
    const error = phase && bundle.error === undefined ? { error: { message: `Its run died in ${phase}. ${did}` } } : {}
    writeBundle(settings.stateFile, { ...kept, ...error })
  }
  if (phase) state.updatePhases(release.id, endedIn(phase))
  const event = { type: 'recovery', release: release.id, version: release.version, outcome, message } as const
  world.emit(event)
  if (bundle) appendEvent(settings.stateFile, release.id, world.clock.now(), event)
}

/** Does what the journal asks for. @returns what that was, in a sentence */
async function settle(dead: DeadRun, scene: Scene): Promise<{ outcome: RecoveryOutcome; did: string }> {
  const { bundle, served } = dead
  const { emit, clock } = scene.world
  const docker = bundle?.journal && (await openMending(bundle, scene))
  const { stateFile } = scene.settings
  if (docker && bundle && served) {
    const { project: name, services = {}, id } = bundle
    await retire({ docker, emit, clock, name, services, keepLog: logKeeper(stateFile, id, clock) }, bundle)
  }
  if (served)
    return { outcome: 'finished', did: 'It had switched, so it stays, and what it had left to remove is gone.' }
  if (bundle?.journal === undefined || docker === undefined || dead.overtaken)
    return { outcome: 'nothing', did: 'It had changed nothing that runs.' }
  try {
    const undo = openUndo({ ...bundle, journal: bundle.journal }, docker, scene)
    return { outcome: 'undone', did: tellUndone(await putBack(undo, new Error('The run of this release died.'))) }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'not-restored') throw error
    await enginePlatform(docker) // where the engine is gone, the next command tries again
    emit({ type: 'warning', message: error.message, ...(error.detail ? { hint: error.detail } : {}) })
    return {
      outcome: 'not-undone',
      did: 'It could not be undone whole, as said above; the next deploy mends what is left.',
    }
  }
}

/** The engine as one that hides what the models of both releases hold. No signal ends it: undoing is not left half-done. */
async function openMending(bundle: Bundle, { serving, settings, world }: Scene): Promise<Docker> {
  const models = [serving?.model, readModel(settings.stateFile, bundle.id)]
  const mask = createMask(models.flatMap((model) => (model ? secretValues(model, {}) : [])))
  const docker = openDocker(world.exec, mask, { lock: world.held })
  await enginePlatform(docker)
  return docker
}

function openUndo(bundle: Bundle & { journal: Journal }, docker: Docker, { serving, settings, world }: Scene): Undo {
  const { stateFile, directory } = settings
  const { journal, project: name, services = {} } = bundle
  const model = journal.served === undefined ? undefined : readModel(stateFile, journal.served)
  return {
    ...{ name, journal, docker, clock: world.clock, emit: world.emit },
    modelFile: modelFile(stateFile, bundle.id),
    served: model && { model, modelFile: modelFile(stateFile, journal.served ?? ''), directory },
    project: { environment: { services }, topology: serving?.bundle.topology ?? bundle.topology },
  }
}

function introduce({ release, phase, bundle }: DeadRun): string {
  const what = `${release.version} (${release.id})`
  const who = bundle?.actor ? ` by ${bundle.actor.user} on ${bundle.actor.machine}` : ''
  const kind = bundle?.rollback_to === undefined ? 'deploy' : 'rollback'
  if (phase === undefined) return `the ${kind} of ${what} failed, and left something behind.`
  return `${what} was interrupted in ${phase}: the ${kind}${who} died.`
}

function tellUndone({ removed, restored }: PutBack): string {
  const count = `${removed} new ${removed === 1 ? 'container' : 'containers'}`
  const did = [
    ...(restored.length > 0 ? [`${restored.join(', ')} put back`] : []),
    ...(removed > 0 ? [`${count} removed`] : []),
  ]
  return did.length === 0 ? 'There was nothing to undo.' : `Undone: ${did.join(', ')}.`
}

function nowServes({ release }: DeadRun, { serving }: Scene): string {
  if (serving === undefined) return 'Nothing that Stagecraft deployed serves.'
  const { id, version } = serving.bundle
  return id === release.id ? `${version} serves.` : `${version} (${id}) serves.`
}

/** As a phase that fails is written (design 2). */
function endedIn(phase: PhaseName): PhaseChanges {
  const later = PHASES.slice(PHASES.indexOf(phase) + 1)
  return { [phase]: 'failed', ...Object.fromEntries(later.map((name) => [name, 'skipped'] as const)) }
}

/** Where a run that died may have left half a file. */
function foldersOf(stateFile: string, dead: readonly DeadRun[]): string[] {
  const bundles = dead.map(({ release }) => bundleFolder(stateFile, release.id))
  const models = bundles.flatMap((folder) => [folder, join(folder, 'adopted'), join(folder, 'served')])
  return [dirname(stateFile), contentFolder(stateFile), ...models]
}
