import { releaseJson } from '../../record/release-json.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import { command, environmentArgument } from '../command.ts'
import { interruptedAmong, openHistory, releaseLines, requireEnvironment } from './release-history.ts'

/** A longer list would scroll the newest releases out of sight. */
const DEFAULT_LIMIT = 100

const NONE = 'No releases yet. The first one: stagecraft deploy'

export default command({
  name: 'releases list',
  description:
    'List the releases, the newest first. * marks the current one: the newest that completed all its phases.',
  reads: true,
  args: {
    env: { ...environmentArgument, description: 'only the releases of this environment' },
    limit: { type: 'string', valueHint: 'n', description: 'only the newest n (default: 100; --json: all)' },
  },
  examples: [
    ['stagecraft releases list', 'the newest hundred'],
    ['stagecraft releases list --env prod --limit 10', 'the ten newest of prod'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [8, 'the host cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ env, limit }, context) {
    const json = context.report.mode === 'json'
    const most = limit === undefined ? (json ? undefined : DEFAULT_LIMIT) : parseLimit(limit)
    const { state, releases, currents, host } = await openHistory(context, env)
    if (env !== undefined) await requireEnvironment(env, releases, context.directory)
    const wanted = env === undefined ? releases : releases.filter(({ environment }) => environment === env)
    const listed = wanted.slice(0, most)
    const marks = { currents, interrupted: await interruptedAmong(listed, { state, host }) }
    const value = { releases: json ? listed.map((one) => releaseJson(one, marks)) : [] }
    context.report.result('releases', value, () => [
      ...(listed.length === 0 ? [NONE] : releaseLines(listed, marks)),
      ...olderLine(wanted.length - listed.length, wanted.length),
    ])
  },
})

function parseLimit(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new StagecraftError('usage', `Cannot list ${quote(text)} releases: --limit is a whole number above zero`, {
    hint: 'For example: stagecraft releases list --limit 10',
  })
}

function olderLine(older: number, all: number): string[] {
  return older === 0 ? [] : [`  ${older} older: stagecraft releases list --limit ${all}`]
}
