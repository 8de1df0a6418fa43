import { command } from '../cli.ts'
import { StagecraftError } from '../errors.ts'
import { formatTime, plainLine, quote, table } from '../format.ts'
import { statusOf, statusText } from '../release-status.ts'
import type { Release } from '../state.ts'
import { environmentArg, openHistory, releaseJson, requireEnvironment } from './release-history.ts'

const NONE = 'No releases yet. The first one: stagecraft deploy'

export default command({
  name: 'releases list',
  description:
    'List the releases, the newest first. * marks what is current: the newest that completed all its phases.',
  reads: true,
  args: {
    env: environmentArg,
    limit: { type: 'string', valueHint: 'n', description: 'only that many, the newest' },
  },
  examples: [
    ['stagecraft releases list', 'all of them'],
    ['stagecraft releases list --env prod --limit 10', 'the ten newest of prod'],
  ],
  exits: [
    [4, 'no such environment'],
    [9, 'the state cannot be read'],
  ],
  async run({ env, limit }, context) {
    const most = limit === undefined ? undefined : parseLimit(limit)
    const { releases, currents } = openHistory(context)
    if (env !== undefined) await requireEnvironment(env, releases, context.directory)
    const wanted = env === undefined ? releases : releases.filter(({ environment }) => environment === env)
    const listed = wanted.slice(0, most)
    const value = { releases: context.report.mode === 'json' ? listed.map((one) => releaseJson(one, currents)) : [] }
    context.report.result('releases', value, () => listLines(listed, currents))
  },
})

function parseLimit(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new StagecraftError('usage', `Cannot list ${quote(text)} releases: --limit is a whole number above zero`, {
    hint: 'For example: stagecraft releases list --limit 10',
  })
}

function listLines(releases: readonly Release[], currents: ReadonlySet<string>): string[] {
  if (releases.length === 0) return [NONE]
  const rows = releases.map((release) => [
    `${currents.has(release.id) ? '*' : ' '} ${release.id}`,
    plainLine(release.environment),
    plainLine(release.version),
    statusText(statusOf(release)),
    formatTime(release.timestamp),
  ])
  return table([['  ID', 'ENVIRONMENT', 'VERSION', 'STATUS', 'STARTED'], ...rows])
}
