import { command } from '../cli.ts'
import { deploy, planDeploy } from '../deploy.ts'
import { StagecraftError } from '../errors.ts'
import { exclusively } from '../exclusive.ts'
import { formatPlan } from '../plan-format.ts'
import type { Settings } from '../project.ts'
import { openRelease, openWorld, parseWait, releaseArgs, waitArgument } from './release-arguments.ts'

export default command({
  name: 'deploy',
  description:
    'Make a release of what is here and take it through the six phases; on failure what served before serves.',
  args: {
    ...releaseArgs,
    wait: waitArgument,
    'dry-run': { type: 'boolean', description: 'show the plan, and write nothing, anywhere' },
  },
  examples: [
    ['stagecraft deploy', 'deploy to the only environment, as the git commit'],
    ['stagecraft deploy --env prod --version v1.4.2', 'deploy to prod, as v1.4.2'],
    ['stagecraft deploy --wait 10m', 'wait for a deploy that is under way, for at most ten minutes'],
    ['stagecraft deploy --dry-run', 'what would it do?'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid; nothing was changed'],
    [4, 'no such environment'],
    [5, 'a phase failed; what served before serves'],
    [6, 'a phase failed, and what served before could not be put back'],
    [7, 'another run is at it, or somebody holds the environment (stagecraft lock status)'],
    [8, 'the engine or a registry cannot be reached'],
    [9, 'the state cannot be read or written'],
    [10, 'a phase after the switch failed; the new release serves'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    const opened = await openRelease(args, context)
    const world = openWorld(context, opened.project)
    if (args['dry-run']) {
      for (const plan of await planDeploy(opened.project, opened.version, world))
        context.report.result('plan', { plan }, () => formatPlan(plan))
      return 0
    }
    const release = await exclusively(opened.project, { command: 'deploy', wait }, world, async (locked) => {
      // What was read before a long wait may be yesterday's.
      const { project, version } = locked.held.waited ? await openRelease(args, context, opened.project.hosts) : opened
      refuseOtherHosts(opened.project, project)
      return deploy(project, version, locked)
    })
    context.report.result('deployed', { release }, () => [
      `${release.version} serves in ${release.environment} (${release.id})`,
    ])
    return 0
  },
})

/** Those that are locked are those that it was begun with. */
function refuseOtherHosts({ hosts }: Settings, now: Settings): void {
  if (now.hosts.length === hosts.length && now.hosts.every((host, at) => host.key === hosts[at]?.key)) return
  throw new StagecraftError(
    'config',
    `Cannot deploy to ${now.environment.name}: its hosts were changed while this waited`,
    {
      hint: 'Nothing has been changed. Deploy again.',
    },
  )
}
