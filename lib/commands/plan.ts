import { command } from '../cli.ts'
import { planDeploy } from '../deploy.ts'
import { EXIT_CODES } from '../errors.ts'
import { isNothingToDo } from '../plan.ts'
import { formatPlan } from '../plan-format.ts'
import { openRelease, openWorld, releaseArgs } from './release-arguments.ts'

export default command({
  name: 'plan',
  description: 'Show what a deploy would do, phase by phase, and why. Writes nothing, anywhere.',
  reads: true,
  args: {
    ...releaseArgs,
    'exit-code': { type: 'boolean', description: 'exit with 11 if there is something to do' },
  },
  examples: [
    ['stagecraft plan', 'what `stagecraft deploy` would do now'],
    ['stagecraft plan --env prod --exit-code', 'exit 0: nothing to do, 11: something'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid'],
    [5, 'a deploy could not succeed: a port, name, network, volume or image'],
    [8, 'the engine cannot be reached'],
    [11, 'with --exit-code: there is something to do'],
  ],
  async run(args, context) {
    const { project, version } = await openRelease(args, context)
    const plans = await planDeploy(project, version, openWorld(context, project))
    for (const plan of plans) context.report.result('plan', { plan }, () => formatPlan(plan))
    return args['exit-code'] && !plans.every(isNothingToDo) ? EXIT_CODES['to-do'] : 0
  },
})
