import { readBundle, type ServingRelease, withModel } from '../bundle.ts'
import { command } from '../cli.ts'
import { StagecraftError } from '../errors.ts'
import { plainLine, table } from '../format.ts'
import { diffReleases, type ReleaseDiff } from '../release-diff.ts'
import type { State } from '../state.ts'
import { environmentArg, openHistory, requireEnvironment, requireOneEnvironment } from './release-history.ts'

export default command({
  name: 'releases diff',
  description: 'Compare two releases: services, images, names of env variables (values never), files.',
  reads: true,
  args: {
    before: { type: 'positional', required: true, description: 'an id, the beginning of one, latest, or current' },
    after: { type: 'positional', required: true, description: 'the other one' },
    env: { ...environmentArg, description: 'the environment to look in' },
  },
  examples: [['stagecraft releases diff rel-20261122-0802 current', 'what changed since this morning?']],
  exits: [
    [4, 'no such release or environment, or a release has no bundle (any more)'],
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

function openBundle(state: State, reference: string, env: string | undefined): ServingRelease {
  const { id, version } = state.findRelease(reference, env)
  const bundle = readBundle(state.file, id)
  const whole = bundle && withModel(state.file, bundle)
  if (whole) return whole
  throw new StagecraftError('not-found', `Cannot compare ${id} (${version}): it has no whole bundle`, {
    hint: 'It was pruned, or failed before its rollout. "stagecraft releases list" shows the others.',
  })
}

function diffLines(was: ServingRelease, is: ServingRelease, { services, content }: ReleaseDiff): string[] {
  const name = ({ bundle }: ServingRelease) => `${bundle.version} (${bundle.id})`
  if (services.length + content.length === 0) return [`${name(was)} and ${name(is)} are the same.`]
  return [
    `${name(was)} → ${name(is)}`,
    ...table([
      ...services.map(({ service, change, what }) => [service, change, what.join('; ')]),
      ...content.map(({ name: file, change }) => [plainLine(file), change, 'file']),
    ]).map((line) => `  ${line}`),
  ]
}
