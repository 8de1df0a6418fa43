import { servingBundle } from '../bundle.ts'
import { type Context, command } from '../cli.ts'
import { exclusively } from '../exclusive.ts'
import { table } from '../format.ts'
import type { Settings } from '../project.ts'
import { type PrunePlan, planPrune, presentOnly, prune } from '../prune.ts'
import { openReleaseDocker } from '../release.ts'
import { openState, type State } from '../state.ts'
import { environmentArgument, openSettingsOf, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'prune',
  description:
    'Remove the bundles and images of old releases: all but the serving and the current one and the last `keep` completed.',
  args: {
    env: environmentArgument,
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'say what would go, and remove nothing' },
  },
  examples: [
    ['stagecraft prune --dry-run', 'what would go?'],
    ['stagecraft prune --env prod', 'as every deploy to prod does at its end'],
  ],
  exits: [
    [4, 'no such environment'],
    [7, 'another run is at it, or somebody holds the environment (stagecraft lock status)'],
    [8, 'the engine cannot be reached'],
    [9, 'the state cannot be read, or a bundle cannot be removed'],
  ],
  async run(args, context) {
    const { report } = context
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context)
    const world = openWorld(context, settings)
    if (args['dry-run']) {
      const present = await presentOnly(openReleaseDocker({ secrets: [] }, world), openPlan(settings, context).plan)
      report.result('prune-plan', present, () => lines('would remove', present))
      return 0
    }
    const [plan, pruned] = await exclusively(settings, { command: 'prune', wait }, world, async (locked) => {
      const { state, plan } = openPlan(settings, context)
      return [plan, await prune(openReleaseDocker({ secrets: [] }, locked), state, plan)] as const
    })
    report.result('pruned', pruned, () =>
      lines('removed', { ...plan, tags: pruned.tags.map((tag) => ({ tag, id: '' })) }),
    )
    return 0
  },
})

function openPlan({ environment, stateFile }: Settings, { clock }: Context): { state: State; plan: PrunePlan } {
  const state = openState(stateFile, { clock })
  const serving = servingBundle(stateFile, state.listReleases({ environment: environment.name }))
  return { state, plan: planPrune(state, environment.name, environment.keep, serving?.id) }
}

/** History in releases.json is never pruned: what goes is what a rollback would need. */
function lines(done: string, { bundles, tags }: PrunePlan): string[] {
  if (bundles.length === 0 && tags.length === 0) return ['Nothing to prune.']
  return table([...bundles.map((id) => [done, 'release', id]), ...tags.map(({ tag }) => [done, 'image', tag])])
}
