import { type Bundle, readBundle, servingBundle } from '../bundle.ts'
import { command } from '../cli.ts'
import { formatTime, plainLine, table } from '../format.ts'
import { createMask } from '../mask.ts'
import { type ReleaseStatus, statusAmong, statusText } from '../release-status.ts'
import { errorLines, phaseLine } from '../report-lines.ts'
import { whyNoTarget } from '../rollback-target.ts'
import { PHASES, type Release } from '../state.ts'
import {
  environmentArg,
  interruptedAmong,
  openHistory,
  releaseJson,
  requireEnvironment,
  requireOneEnvironment,
} from './release-history.ts'

export default command({
  name: 'releases show',
  description: 'Show one release: its phases, images and error.',
  reads: true,
  args: {
    id: { type: 'positional', required: true, description: 'an id, the beginning of one, latest, or current' },
    env: { ...environmentArg, description: 'the environment to look in' },
  },
  examples: [
    ['stagecraft releases show latest --env prod', 'what became of the last deploy to prod?'],
    ['stagecraft releases show rel-20261122-0802', 'the only release of that minute'],
  ],
  exits: [
    [4, 'no such release or environment, or several ids begin so'],
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
    const serving = servingBundle(state.file, state.listReleases({ environment }))
    const marks = { currents, interrupted: await interruptedAmong([release], { state, host }) }
    const status = statusAmong(release, marks.interrupted)
    const obstacle = whyNot(status, whyNoTarget({ state, environment, serving }, release), serving?.id === release.id)
    const rollback = { rollback: obstacle === undefined ? { possible: true } : { possible: false, why: obstacle } }
    context.report.result('release', { release: releaseJson(release, marks), ...rollback, ...details }, () => [
      ...recordLines({ release, status, current: currents.has(release.id), bundle, obstacle }),
      '',
      ...PHASES.map((phase) => historyLine(release, phase, bundle)),
      ...changeLines(bundle),
      ...imageLines(bundle),
      ...(bundle?.error === undefined
        ? []
        : ['', ...errorLines({ kind: 'failed', ...bundle.error }, { mask: createMask([]) })]),
    ])
  },
})

/** The part of a bundle that others may rely on. */
function detailsJson(bundle: Bundle): object {
  const { project, phases, images, switched_at, error, actor, plan, rollback_to } = bundle
  const optional = { switched_at, error, actor, rollback_to, changes: plan?.services }
  return { project, phases, images, ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value)) }
}

/** Of an interrupted release the records alone would say that it is running. */
function whyNot(status: ReleaseStatus, obstacle: string | undefined, serves: boolean): string | undefined {
  return status.status === 'interrupted' && !serves ? `it did not complete (${statusText(status)})` : obstacle
}

interface Shown {
  readonly release: Release
  readonly status: ReleaseStatus
  readonly current: boolean
  readonly bundle: Bundle | undefined
  /** why it cannot be put back */
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
    ...(bundle?.rollback_to === undefined ? [] : [['puts back', bundle.rollback_to]]),
    [
      'rollback',
      obstacle === undefined
        ? `stagecraft rollback --env ${release.environment} --to-release ${release.id} (if its images are still there)`
        : `not to this one: ${obstacle}`,
    ],
  ])
}

function historyLine(release: Release, phase: (typeof PHASES)[number], bundle: Bundle | undefined): string {
  const record = bundle?.phases[phase]
  const duration = record === undefined ? {} : { duration_ms: record.duration_ms }
  return phaseLine({ phase, status: plainLine(release.phases[phase]), ...duration }, plainLine(record?.note ?? ''))
}

/** What it did to each service, against what served before. */
function changeLines(bundle: Bundle | undefined): string[] {
  const changed = bundle?.plan?.services.filter(({ action }) => action !== 'unchanged') ?? []
  return changed.length === 0 ? [] : ['', ...table(changed.map(({ service, action, why }) => [service, action, why]))]
}

function imageLines(bundle: Bundle | undefined): string[] {
  const images = Object.entries(bundle?.images ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  if (images.length === 0) return []
  return ['', ...table(images.map(([service, { reference, id }]) => [service, reference, id.slice(0, SHORT_ID)]))]
}

const SHORT_ID = 'sha256:'.length + 12

/** It has a bundle from its first phase on. */
function isPending({ phases }: Release): boolean {
  return PHASES.every((phase) => phases[phase] === 'pending')
}
