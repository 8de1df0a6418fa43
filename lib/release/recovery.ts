import { dirname } from 'node:path'
import { PHASES, type PhaseName } from '../plan/six-phases.ts'
import { refuseForeign } from '../project/ownership.ts'
import type { LockedSession } from '../project/session.ts'
import type { Settings } from '../project/settings.ts'
import { bundleFolder, modelRef, partRefs } from '../record/bundle/ref.ts'
import {
  appendEvent,
  type Bundle,
  contentFolder,
  findLive,
  type LiveRelease,
  liveBundle,
  readBundle,
  writeBundle,
} from '../record/bundle.ts'
import { bundleOn, hasJournal, partOn, placeOf } from '../record/bundle-parts.ts'
import { openState, type State } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import type { PhaseChanges } from '../record/releases-file/print.ts'
import { findUnsettled, type Unsettled } from '../record/unsettled.ts'
import { removeTree } from '../system/remove-tree.ts'
import { deadTemporaries } from '../system/temporaries.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { finishHistory } from './by-hand/history.ts'
import { type Notify, openNotify } from './notify.ts'
import { type Scene, settle } from './recovery/settle.ts'
import { begun, introduce, type Settled, together } from './recovery/text.ts'

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

interface Recovery extends Scene {
  readonly state: State
  readonly serving: LiveRelease | undefined
  readonly notify: Notify
}

/** Undoes or finishes a release and records that last: if this run dies in between, the next one finds it as it was. */
async function recoverOne(unsettled: Unsettled, recovery: Recovery): Promise<Settled['outcome']> {
  const { release, phase, bundle } = unsettled
  const { settings, session, state } = recovery
  const { hosts, stateFile } = settings
  const parts = hosts.map((host) => {
    const place = placeOf(host, hosts)
    const serving = recovery.serving && partOn(stateFile, recovery.serving, place)
    return { host, serving, bundle: bundle && bundleOn(stateFile, bundle, place) }
  })
  const settled = await mapConcurrently(parts, (part) => settle(unsettled, part, recovery))
  const { outcome, did } = together(settled, hosts)
  const live = outcome === 'not-undone' ? [] : [nowLive(unsettled, recovery)]
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
  if (phase) await recovery.notify(state, release, 'interrupted', { outcome, message })
  return outcome
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

function nowLive({ release }: Unsettled, { serving }: Recovery): string {
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
