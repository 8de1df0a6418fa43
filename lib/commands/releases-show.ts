import { type Bundle, readBundle } from '../bundle.ts'
import { command } from '../cli.ts'
import { formatTime, plainLine, table } from '../format.ts'
import { statusOf, statusText } from '../release-status.ts'
import { errorLines, phaseLine } from '../report-lines.ts'
import { PHASES, type Release } from '../state.ts'
import {
  environmentArg,
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
    const { state, releases, currents } = openHistory(context)
    if (env !== undefined) await requireEnvironment(env, releases, context.directory)
    else if (id === 'latest' || id === 'current') requireOneEnvironment(id, releases)
    const release = state.findRelease(id, env)
    const bundle = readBundle(state.file, release.id)
    const details = bundle === undefined ? {} : { details: detailsJson(bundle) }
    context.report.result('release', { release: releaseJson(release, currents), ...details }, () => [
      ...recordLines(release, currents.has(release.id)),
      '',
      ...PHASES.map((phase) => historyLine(release, phase, bundle)),
      ...imageLines(bundle),
      ...(bundle?.error === undefined
        ? []
        : ['', ...errorLines({ kind: 'failed', ...bundle.error }, { mask: (text) => text })]),
    ])
  },
})

/** The part of a bundle that others may rely on. */
function detailsJson({ project, phases, images, switched_at, error }: Bundle): object {
  return { project, phases, images, ...(switched_at ? { switched_at } : {}), ...(error ? { error } : {}) }
}

function recordLines(release: Release, current: boolean): string[] {
  return table([
    ['release', release.id],
    ['environment', plainLine(release.environment)],
    ['version', plainLine(release.version)],
    ...(release.commit_sha === '' ? [] : [['commit', plainLine(release.commit_sha)]]),
    ['status', statusText(statusOf(release)) + (current ? ', current' : '')],
    ['started', formatTime(release.timestamp)],
    ...(release.previous_id === undefined ? [] : [['previous', release.previous_id]]),
  ])
}

function historyLine(release: Release, phase: (typeof PHASES)[number], bundle: Bundle | undefined): string {
  const record = bundle?.phases[phase]
  const duration = record === undefined ? {} : { duration_ms: record.duration_ms }
  return phaseLine({ phase, status: plainLine(release.phases[phase]), ...duration }, plainLine(record?.note ?? ''))
}

function imageLines(bundle: Bundle | undefined): string[] {
  const images = Object.entries(bundle?.images ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  if (images.length === 0) return []
  return ['', ...table(images.map(([service, { reference, id }]) => [service, reference, id.slice(0, SHORT_ID)]))]
}

const SHORT_ID = 'sha256:'.length + 12
