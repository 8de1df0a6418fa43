import { servingBundle } from '../bundle.ts'
import { command } from '../cli.ts'
import { openDocker } from '../docker.ts'
import { exec } from '../exec.ts'
import { table } from '../format.ts'
import { openSettings } from '../project.ts'
import { type PrunePlan, planPrune, presentOnly, prune } from '../prune.ts'
import { openState } from '../state.ts'
import { environmentArgument } from './release-arguments.ts'

export default command({
  name: 'prune',
  description:
    'Remove the bundles and images of old releases: all but the serving and the current one and the last `keep` completed.',
  args: {
    env: environmentArgument,
    'dry-run': { type: 'boolean', description: 'say what would go, and remove nothing' },
  },
  examples: [
    ['stagecraft prune --dry-run', 'what would go?'],
    ['stagecraft prune --env prod', 'as every deploy to prod does at its end'],
  ],
  exits: [
    [4, 'no such environment'],
    [8, 'the engine cannot be reached'],
    [9, 'the state cannot be read, or a bundle cannot be removed'],
  ],
  async run(args, context) {
    const { directory, stateOverride, report } = context
    const { environment, stateFile } = await openSettings({ directory, stateOverride, environment: args.env })
    const state = openState(stateFile, { clock: context.clock })
    const serving = servingBundle(stateFile, state.listReleases({ environment: environment.name }))
    const plan = planPrune(state, environment.name, environment.keep, serving?.id)
    const docker = openDocker(exec, (text) => text)
    if (args['dry-run']) {
      const present = await presentOnly(docker, plan)
      report.result('prune-plan', present, () => lines('would remove', present))
      return 0
    }
    const pruned = await prune(docker, state, plan)
    report.result('pruned', pruned, () =>
      lines('removed', { ...plan, tags: pruned.tags.map((tag) => ({ tag, id: '' })) }),
    )
    return 0
  },
})

/** History in releases.json is never pruned: what goes is what a rollback would need. */
function lines(done: string, { bundles, tags }: PrunePlan): string[] {
  if (bundles.length === 0 && tags.length === 0) return ['Nothing to prune.']
  return table([...bundles.map((id) => [done, 'release', id]), ...tags.map(({ tag }) => [done, 'image', tag])])
}
