import { errorLines, phaseLine } from '../../output/lines.ts'
import { PHASES } from '../../plan/six-phases.ts'
import { type Bundle, liveBundle, readBundle } from '../../record/bundle.ts'
import { detailsJson, releaseJson } from '../../record/release-json.ts'
import { type ReleaseStatus, statusAmong, statusText } from '../../record/release-status.ts'
import type { Release } from '../../record/releases-file/format.ts'
import { whyNoTarget } from '../../record/rollback-target.ts'
import { createMask } from '../../secrets/mask.ts'
import { compare, formatDuration, formatTime, plainLine, table } from '../../util/format.ts'
import { command, environmentArgument } from '../command.ts'
import { interruptedAmong, openHistory, requireEnvironment, requireOneEnvironment } from './release-history.ts'

export default command({
  name: 'releases show',
  description: 'Show one release: its phases, images and error.',
  reads: true,
  args: {
    id: { type: 'positional', required: true, description: 'an id or its beginning, a version, latest, or current' },
    env: { ...environmentArgument, description: 'the environment to look in' },
  },
  examples: [
    ['stagecraft releases show latest --env prod', 'what became of the last deploy to prod?'],
    ['stagecraft releases show rel-20261122-0802', 'the only release of that minute'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such release, or several ids begin with this; no such environment'],
    [8, 'the host cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ id, env }, context) {
    const { state, releases, currents, host } = await openHistory(context, env)
    if (env !== undefined) await requireEnvironment(env, releases, context.directory)
    else if (id === 'latest' || id === 'current') requireOneEnvironment(id, releases)
    const release = state.findRelease(id, env)
    const bundle = readBundle(state.file, release.id)
    const details = bundle === undefined ? {} : { details: detailsJson(bundle) }
    const { environment } = release
    const serving = liveBundle(state.file, state.listReleases({ environment }))
    const marks = { currents, interrupted: await interruptedAmong([release], { state, host }) }
    const status = statusAmong(release, marks.interrupted)
    const obstacle = whyNot(status, whyNoTarget({ state, environment, serving }, release), serving?.id === release.id)
    const rollback = { rollback: obstacle === undefined ? { possible: true } : { possible: false, why: obstacle } }
    context.report.result('release', { release: releaseJson(release, marks), ...rollback, ...details }, () => [
      ...recordLines({ release, status, current: currents.has(release.id), bundle, obstacle }),
      '',
      ...PHASES.map((phase) => historyLine(release, phase, bundle)),
      ...migrationLines(bundle),
      ...changeLines(bundle),
      ...imageLines(bundle),
      ...(bundle?.error === undefined
        ? []
        : ['', ...errorLines({ kind: 'failed', ...bundle.error }, { mask: createMask([]) })]),
    ])
  },
})

/** @returns why it cannot be restored. By its record alone an interrupted release would be running. */
function whyNot(status: ReleaseStatus, obstacle: string | undefined, isLive: boolean): string | undefined {
  return status.status === 'interrupted' && !isLive ? `it did not complete (${statusText(status)})` : obstacle
}

interface Shown {
  readonly release: Release
  readonly status: ReleaseStatus
  readonly current: boolean
  readonly bundle: Bundle | undefined
  /** why it cannot be restored */
  readonly obstacle: string | undefined
}

function recordLines({ release, status, current, bundle, obstacle }: Shown): string[] {
  const actor = bundle?.actor
  return table([
    ['release', release.id],
    ['environment', plainLine(release.environment)],
    ['version', plainLine(release.version)],
    ...(release.commit_sha === '' ? [] : [['commit', plainLine(release.commit_sha)]]),
    ['status', statusText(status) + (current ? ', current' : '')],
    ['started', formatTime(release.timestamp)],
    ...(bundle === undefined && !isPending(release)
      ? [['details', 'gone: its bundle was pruned, or removed by hand']]
      : []),
    ...(actor === undefined ? [] : [['by', plainLine(`${actor.user}@${actor.machine}, from ${actor.directory}`)]]),
    ...(release.previous_id === undefined ? [] : [['previous', release.previous_id]]),
    ...promotedFrom(bundle),
    ...(bundle?.rollback_to === undefined ? [] : [['restores', bundle.rollback_to]]),
    [
      'rollback',
      obstacle === undefined
        ? `stagecraft rollback --env ${release.environment} --to-release ${release.id} (if its images are still there)`
        : `not to this one: ${obstacle}`,
    ],
  ])
}

/** Whose images it took in place of building them. */
function promotedFrom({ promoted_from: from }: Partial<Bundle> = {}): string[][] {
  return from === undefined
    ? []
    : [['images', plainLine(`of ${from.version}, live in ${from.environment} then (${from.id})`)]]
}

function historyLine(release: Release, phase: (typeof PHASES)[number], bundle: Bundle | undefined): string {
  const record = bundle?.phases[phase]
  const duration = record === undefined ? {} : { duration_ms: record.duration_ms }
  return phaseLine({ phase, status: plainLine(release.phases[phase]), ...duration }, plainLine(record?.note ?? ''))
}

/** What it did to each database. */
function migrationLines({ migrations = [], migrating }: Partial<Bundle> = {}): string[] {
  const rows = [
    ...migrations.map(({ database, name, duration_ms }) => [database, formatDuration(duration_ms), name]),
    ...(migrating ? [[migrating.database, 'begun', `${migrating.name}: it is not known whether it ended`]] : []),
  ]
  return rows.length === 0 ? [] : ['', ...table(rows.map((row) => ['migration', ...row.map(plainLine)]))]
}

/** What it did to each service that it changed. */
function changeLines(bundle: Bundle | undefined): string[] {
  const changed = bundle?.plan?.services.filter(({ action }) => action !== 'unchanged') ?? []
  return changed.length === 0 ? [] : ['', ...table(changed.map(({ service, action, why }) => [service, action, why]))]
}

function imageLines(bundle: Bundle | undefined): string[] {
  const images = Object.entries(bundle?.images ?? {}).toSorted(([a], [b]) => compare(a, b))
  if (images.length === 0) return []
  return ['', ...table(images.map(([service, { reference, id }]) => [service, reference, id.slice(0, SHORT_ID)]))]
}

const SHORT_ID = 'sha256:'.length + 12

/** No phase has begun. The first one makes the bundle. */
function isPending({ phases }: Release): boolean {
  return PHASES.every((phase) => phases[phase] === 'pending')
}
