import type { Result } from '../../output/contract/results.ts'
import { newestProject } from '../../record/bundle/own.ts'
import { planDown, recorded, takeDown } from '../../release/by-hand/down.ts'
import type { DownPlan, DownWish } from '../../release/by-hand/down-plan.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote, table } from '../../util/format.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'down',
  description:
    'Take an environment down: remove its containers, networks and routes. Data stays without --volumes, history without --history.',
  args: {
    env: environmentArgument,
    volumes: { type: 'boolean', description: 'remove its volumes too, with the data in them' },
    history: { type: 'boolean', description: 'remove its releases too: records, bundles and images' },
    yes: { type: 'boolean', alias: 'y', description: 'do not ask' },
    confirm: {
      type: 'string',
      valueHint: 'name',
      description: 'with --volumes: the name of the environment, instead of typing it',
    },
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'print what would be removed, and remove nothing' },
  },
  examples: [
    ['stagecraft down --env staging --dry-run', 'what would be removed?'],
    ['stagecraft down --env staging --yes', 'without being asked'],
    ['stagecraft down --env staging --yes --volumes --confirm staging', 'with its data'],
    ['stagecraft down --env review-7 --yes --history', 'with its releases: nothing is left to roll back to'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment; nothing was deployed to it'],
    [5, 'something cannot be removed'],
    [6, 'an earlier run died, and its changes could not be undone completely'],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read or written; another folder keeps the releases'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context, { onSwarm: true })
    const session = openSession(context, settings)
    const { name: environment } = settings.environment
    const { volumes, history } = args
    const wish = { volumes, history }
    const releases = () => (history ? recorded(settings) : 0)
    if (args['dry-run']) {
      const plans = await planDown(settings, wish, session)
      context.report.result('down-plan', downJson(environment, plans, releases()), () =>
        planLines(plans, 'would remove', releases()),
      )
      return 0
    }
    const wasDeployed = newestProject(settings.stateFile, environment) !== undefined
    await withEnvironmentLocked(settings, { command: 'down', wait }, session, async (locked) => {
      const isGone = newestProject(settings.stateFile, environment) === undefined
      // The recovery has removed the rest of a history: there is nothing else to do.
      const plans = wasDeployed && isGone && history ? [] : await planDown(settings, wish, locked)
      const count = releases()
      await confirm(environment, { plans, count }, args, context)
      await takeDown(settings, plans, wish, locked)
      context.report.result('down', downJson(environment, plans, count), () => [
        ...planLines(plans, 'removed', count),
        `${environment} is down${volumes ? '' : '; its volumes stay'}. ${comeBack(wish)}`,
      ])
    })
    return 0
  },
})

function comeBack({ history }: DownWish): string {
  return `To bring it back: stagecraft deploy${history ? '' : ', or stagecraft rollback'}`
}

interface Confirmation {
  readonly volumes: boolean
  readonly yes: boolean
  readonly confirm: string | undefined
}

/** Data is removed only for who names the environment. @throws usage (2) */
async function confirm(
  environment: string,
  { plans, count }: { readonly plans: readonly DownPlan[]; readonly count: number },
  { volumes, yes, confirm: named }: Confirmation,
  { interactive }: Context,
): Promise<void> {
  const hasData = volumes && plans.some((plan) => plan.volumes.length > 0)
  if (yes && (named ?? (hasData ? '' : environment)) === environment) return
  const detail = planLines(plans, 'would remove', count).join('\n')
  const hint = hasData
    ? `The volumes hold data. To remove them without being asked: --yes --confirm ${environment}`
    : 'To remove all of this without being asked: --yes'
  const missing = yes ? '--confirm' : '--yes'
  const why = named === undefined || named === environment ? ` without ${missing}` : `: --confirm names ${quote(named)}`
  const refused = new StagecraftError('usage', `Cannot take ${environment} down${why}`, { detail, hint })
  if (!interactive || named !== undefined) throw refused
  const { ask } = await import('../../output/terminal.ts')
  const question = hasData
    ? `${detail}\nAll data in these volumes is lost. Type the name of the environment to go on`
    : `${detail}\nTake ${quote(environment)} down? yes or no`
  const answer = await ask(question, 'no')
  if (answer !== (hasData ? environment : 'yes')) throw refused
}

function downJson(environment: string, plans: readonly DownPlan[], releases: number): Result<'down'> {
  return { environment, hosts: plans.map(planJson), ...(releases > 0 ? { releases } : {}) }
}

function planJson({
  host,
  containers,
  networks,
  routes,
  maintenance,
  proxy,
  volumes,
  images,
}: DownPlan): Result<'down'>['hosts'][number] {
  const names = containers.map(({ name }) => name)
  const more = { ...(maintenance ? { maintenance } : {}), ...(images.length > 0 ? { images } : {}) }
  return { ...(host.isLocal ? {} : { host: host.name }), containers: names, networks, routes, proxy, volumes, ...more }
}

/** @param releases how many are removed from the history */
function planLines(plans: readonly DownPlan[], verb: string, releases: number): string[] {
  const lines = plans.flatMap(({ host, containers, networks, routes, maintenance, proxy, volumes, images }) => {
    const rows = [
      ['containers', containers.map(({ name }) => name).join(', ')],
      ['networks', networks.join(', ')],
      ['routes', routes.join(', ')],
      ['maintenance', maintenance ? 'its page, which would answer for the next release' : ''],
      ['proxy', proxy ? 'no other project needs it; certificates stay' : ''],
      ['volumes', volumes.join(', ')],
      ['images', images.join(', ')],
    ].filter(([, names]) => names !== '')
    const where = host.isLocal ? '' : ` on ${host.name}`
    if (rows.length === 0) return [`nothing is there${where}`]
    return [`${verb}${where}:`, ...table(rows).map((line) => `  ${line}`)]
  })
  if (releases === 0) return lines
  return [
    ...lines,
    `${verb}: the history of ${releases === 1 ? '1 release' : `${releases} releases`}, with what a rollback needs`,
  ]
}
