import { dirname, join } from 'node:path'
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
  withModel,
  writeBundle,
} from './bundle.ts'
import { bundleOn, hasJournal, partIds, partOn, placeOf } from './bundle-parts.ts'
import { stagePlace } from './compose-up.ts'
import { type Container, type Docker, enginePlatform, listContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import type { Journal } from './journal.ts'
import { learnSecrets, namesOfSettings } from './known-secrets.ts'
import { createSecrets } from './mask.ts'
import { onEach } from './on-each.ts'
import { refuseForeign } from './ownership.ts'
import type { Settings } from './project.ts'
import { putBack, type Undo } from './put-back.ts'
import { type Settled, tellUndone, together, WENT_BACK } from './recovery-text.ts'
import { releaseId } from './release-id.ts'
import { statusOf } from './release-status.ts'
import { removeTree } from './remove-tree.ts'
import { retire } from './retire.ts'
import { openState, PHASES, type PhaseChanges, type PhaseName, type Release, type State } from './state.ts'
import { deadTemporaries } from './temporaries.ts'
import { type Locked, openLastingDocker } from './world.ts'

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
 * @returns the versions of those that could not be undone whole: a deploy repairs what is left
 * @throws unreachable (8) where the engine does not answer: the next command tries again; state (9)
 */
export async function recover(settings: Settings, world: Locked): Promise<string[]> {
  const { stateFile, environment } = settings
  const state = openState(stateFile, { clock: () => world.clock.now() })
  const dead = findDeadRuns(state, environment.name)
  if (dead.length === 0) return []
  const serving = findServing(stateFile, state.listReleases({ environment: environment.name }))
  const open = dead.find(({ bundle }) => bundle !== undefined && hasJournal(stateFile, bundle))
  if (open?.bundle) await refuseForeign(settings, open.bundle.project, world) // what runs may be another one's by now
  const left: string[] = []
  for (const each of dead)
    if ((await mend(each, { settings, world, state, serving })) === 'not-undone') left.push(each.release.version)
  for (const folder of foldersOf(stateFile, dead)) for (const path of deadTemporaries(folder)) removeTree(path)
  return left
}

/** Newest first: what was done last is undone first. Nothing older than what serves has anything left to undo. */
function findDeadRuns(state: State, environment: string): DeadRun[] {
  const found: DeadRun[] = []
  let overtaken = false
  for (const release of state.listReleases({ environment })) {
    const phase = unfinishedPhase(release)
    const bundle: Bundle | undefined = overtaken && phase === undefined ? undefined : readBundle(state.file, release.id)
    const served = bundle?.switched_at !== undefined
    const isOpen = bundle !== undefined && !overtaken && hasJournal(state.file, bundle)
    if (phase || isOpen) found.push({ release, phase, bundle, served, overtaken })
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
async function mend(dead: DeadRun, scene: Scene): Promise<Settled['outcome']> {
  const { release, phase, bundle } = dead
  const { settings, world, state } = scene
  const { hosts, stateFile } = settings
  const parts = hosts.map((host) => {
    const place = placeOf(host, hosts)
    const serving = scene.serving && partOn(stateFile, scene.serving, place)
    return { host, serving, bundle: bundle && bundleOn(stateFile, bundle, place) }
  })
  const settled = await onEach(parts, (part) => settle(dead, part, scene))
  const { outcome, did } = together(settled, hosts)
  const message = [introduce(dead), did, ...(outcome === 'not-undone' ? [] : [nowServes(dead, scene)])].join(' ')
  for (const [at, part] of parts.toReversed().entries()) {
    if (part.bundle === undefined) continue
    const { journal, retiring: _, ...rest } = part.bundle
    const own = settled.at(-1 - at)
    const kept = own?.outcome === 'not-undone' ? { ...part.bundle, journal } : { ...rest, ...own?.routed }
    const error = phase && kept.error === undefined ? { error: { message: `Its run died in ${phase}. ${did}` } } : {}
    writeBundle(stateFile, { ...kept, ...error })
  }
  if (phase) state.updatePhases(release.id, endedIn(phase))
  const event = { type: 'recovery', release: release.id, version: release.version, outcome, message } as const
  world.emit(event)
  if (bundle) appendEvent(stateFile, release.id, world.clock.now(), event)
  return outcome
}

/** A release on one host, as a run that died left it. */
interface Remains {
  readonly host: Host
  readonly serving: ServingRelease | undefined
  readonly bundle: Bundle | undefined
}

/** Does what the journal asks for. @returns what that was, in a sentence */
async function settle(dead: DeadRun, remains: Remains, scene: Scene): Promise<Settled> {
  const { served } = dead
  const { bundle, host } = remains
  const { emit, clock } = scene.world
  const docker = bundle?.journal && (await openMending(bundle, remains, scene))
  const { stateFile } = scene.settings
  if (docker && bundle?.journal && served) {
    const { project: name, services = {}, id } = bundle
    if (host !== scene.settings.host && !(await hasSwitched(docker, bundle.journal, name)))
      return { ...WENT_BACK, routed: bundle.journal.routing }
    const keepLog = logKeeper(stateFile, releaseId(id), clock)
    await retire({ docker, emit, clock, name, services, keepLog }, bundle)
  }
  if (served)
    return { outcome: 'finished', did: 'It had switched, so it stays, and what it had left to remove is gone.' }
  if (bundle?.journal === undefined || docker === undefined || dead.overtaken)
    return { outcome: 'nothing', did: 'It had changed nothing that runs.' }
  try {
    const undo = openUndo({ ...bundle, journal: bundle.journal }, docker, remains, scene)
    return { outcome: 'undone', did: tellUndone(await putBack(undo, new Error('The run of this release died.'))) }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'not-restored') throw error
    await enginePlatform(docker) // where the engine is gone, the next command tries again
    const where = host.name !== undefined && scene.settings.hosts.length > 1 ? { host: host.name } : {}
    emit({ type: 'warning', message: error.message, ...(error.detail ? { hint: error.detail } : {}), ...where })
    return {
      outcome: 'not-undone',
      did: 'It could not be undone whole, as said above; the next deploy mends what is left.',
    }
  }
}

/**
 * A host of several goes back where the first, with the state, was lost: also where the commit point had been written there,
 * and only the answer was lost. Then the old containers are the ones that serve.
 */
async function hasSwitched(docker: Docker, { rolling = [], before }: Journal, project: string): Promise<boolean> {
  if (rolling.length === 0) return true
  const now = await listContainers(docker, project)
  const isNew = ({ id }: Container) => !before.some((one) => one.id === id)
  return rolling.every((service) => now.some((one) => one.service === service && isNew(one)))
}

/** The engine as one that hides what the models of both releases hold. No signal ends it: undoing is not left half-done. */
async function openMending(bundle: Bundle, { serving, host }: Remains, { settings, world }: Scene): Promise<Docker> {
  const { stateFile } = settings
  const secrets = world.secrets ?? createSecrets()
  const before = [bundle.served_before, bundle.journal?.served].flatMap((id) => (id && readBundle(stateFile, id)) || [])
  const releases = [bundle, ...before].flatMap((each) => withModel(stateFile, each) ?? [])
  secrets.addNames([...namesOfSettings(settings), bundle.version])
  await learnSecrets(secrets, host, [serving, ...releases])
  const docker = openLastingDocker(host, secrets.mask, world)
  await enginePlatform(docker)
  return docker
}

function openUndo(
  bundle: Bundle & { journal: Journal },
  docker: Docker,
  { serving }: Remains,
  { settings, world }: Scene,
): Undo {
  const { stateFile } = settings
  const { journal, project: name, services = {} } = bundle
  const model = journal.served === undefined ? undefined : readModel(stateFile, journal.served)
  return {
    ...{ name, journal, docker, clock: world.clock, emit: world.emit },
    modelFile: modelFile(stateFile, bundle.id),
    served: model && { model, modelFile: modelFile(stateFile, journal.served ?? ''), ...stagePlace(settings) },
    project: { environment: { services }, topology: serving?.bundle.topology ?? bundle.topology },
    settings: serving?.bundle.services ?? {},
    proxyImage: settings.environment.proxy?.image,
  }
}

function introduce({ release, phase, bundle }: DeadRun): string {
  const what = `${release.version} (${release.id})`
  const who = bundle?.actor ? ` by ${bundle.actor.user} on ${bundle.actor.machine}` : ''
  const kind = bundle?.rollback_to === undefined ? 'deploy' : 'rollback'
  if (phase === undefined) return `the ${kind} of ${what} failed, and left something behind.`
  return `${what} was interrupted in ${phase}: the ${kind}${who} died.`
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
  const ids = dead.flatMap(({ release, bundle }) => (bundle ? partIds(bundle) : [release.id]))
  const bundles = ids.map((id) => bundleFolder(stateFile, id))
  const models = bundles.flatMap((folder) => [folder, join(folder, 'adopted'), join(folder, 'served')])
  return [dirname(stateFile), contentFolder(stateFile), ...models]
}
