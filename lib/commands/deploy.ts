import { command } from '../cli.ts'
import { deploy, planDeploy } from '../deploy.ts'
import { formatPlan } from '../plan-format.ts'
import { openRelease, releaseArgs } from './release-arguments.ts'

export default command({
  name: 'deploy',
  description:
    'Make a release of what is here and take it through the six phases; on failure what served before serves.',
  args: {
    ...releaseArgs,
    'dry-run': { type: 'boolean', description: 'show the plan, and write nothing, anywhere' },
  },
  examples: [
    ['stagecraft deploy', 'deploy to the only environment, as the git commit'],
    ['stagecraft deploy --env prod --version v1.4.2', 'deploy to prod, as v1.4.2'],
    ['stagecraft deploy --dry-run', 'what would it do?'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid; nothing was changed'],
    [4, 'no such environment'],
    [5, 'a phase failed; what served before serves'],
    [6, 'a phase failed, and what served before could not be put back'],
    [8, 'the engine or a registry cannot be reached'],
    [9, 'the state cannot be read or written'],
    [10, 'a phase after the switch failed; the new release serves'],
  ],
  async run(args, context) {
    const { project, version, world } = await openRelease(args, context)
    if (args['dry-run']) {
      const plan = await planDeploy(project, version, world)
      context.report.result('plan', { plan }, () => formatPlan(plan))
      return 0
    }
    const release = await deploy(project, version, world)
    context.report.result('deployed', { release }, () => [
      `${release.version} serves in ${release.environment} (${release.id})`,
    ])
    return 0
  },
})
