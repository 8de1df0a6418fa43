import { type LiveRelease, readBundle, withModel } from '../../record/bundle.ts'
import { diffReleases, type ReleaseDiff } from '../../record/release-diff.ts'
import type { State } from '../../record/releases.ts'
import { StagecraftError } from '../../util/errors.ts'
import { plainLine, table } from '../../util/format.ts'
import { command, environmentArgument } from '../command.ts'
import { openHistory, requireEnvironment, requireOneEnvironment } from './release-history.ts'

export default command({
  name: 'releases diff',
  description: 'Compare two releases: services, images, names of env variables (never values), files.',
  reads: true,
  args: {
    before: {
      type: 'positional',
      required: true,
      description: 'an id or its beginning, a version, latest, or current',
    },
    after: { type: 'positional', required: true, description: 'the other one' },
    env: { ...environmentArgument, description: 'the environment to look in' },
  },
  examples: [['stagecraft releases diff rel-20261122-0802 current', 'what changed since this morning?']],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such release, or several ids begin with this; one of the releases has no bundle; no such environment'],
    [8, 'the host cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ before, after, env }, context) {
    const { state, releases } = await openHistory(context, env)
    if (env !== undefined) await requireEnvironment(env, releases, context.directory)
    for (const id of [before, after])
      if (env === undefined && (id === 'latest' || id === 'current')) requireOneEnvironment(id, releases)
    const [was, is] = [openBundle(state, before, env), openBundle(state, after, env)]
    const diff = diffReleases(was, is)
    const ends = { before: was.bundle.id, after: is.bundle.id }
    context.report.result('diff', { ...ends, ...diff }, () => diffLines(was, is, diff))
  },
})

function openBundle(state: State, reference: string, env: string | undefined): LiveRelease {
  const { id, version } = state.findRelease(reference, env)
  const bundle = readBundle(state.file, id)
  const whole = bundle && withModel(state.file, bundle)
  if (whole) return whole
  throw new StagecraftError('not-found', `Cannot compare ${id} (${version}): its bundle is incomplete`, {
    hint: 'It was pruned, or failed before its rollout. "stagecraft releases list" shows the others.',
  })
}

function diffLines(was: LiveRelease, is: LiveRelease, { services, content }: ReleaseDiff): string[] {
  const name = ({ bundle }: LiveRelease) => `${bundle.version} (${bundle.id})`
  if (services.length + content.length === 0) return [`${name(was)} and ${name(is)} are the same.`]
  return [
    `${name(was)} → ${name(is)}`,
    ...table([
      ...services.map(({ service, change, what }) => [service, change, what.join('; ')]),
      ...content.map(({ name: file, change }) => [plainLine(file), change, 'file']),
    ]).map((line) => `  ${line}`),
  ]
}
