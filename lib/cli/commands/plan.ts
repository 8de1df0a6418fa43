import { hasPending, isNothingToDo } from '../../plan/stages.ts'
import { planDeploy } from '../../release/deploy.ts'
import { EXIT_CODES } from '../../util/errors.ts'
import { command } from '../command.ts'
import { findExisting, imageArgs, refuseUnfit } from './image-arguments.ts'
import { printPlans } from './plan-output.ts'
import { openRelease, openSession, releaseArgs } from './release-arguments.ts'

export default command({
  name: 'plan',
  description: 'Show what a deploy would do, phase by phase, and why. Writes nothing.',
  reads: true,
  args: {
    ...releaseArgs,
    ...imageArgs,
    'exit-code': { type: 'boolean', description: 'exit with 11 if there is something to do' },
    build: { type: 'boolean', description: 'build the images first, to know which of them differ' },
    'no-hooks': { type: 'boolean', description: 'the plan of `deploy --no-hooks`' },
    token: { type: 'boolean', description: 'also print a token for `deploy --plan` (--json always has it)' },
  },
  examples: [
    ['stagecraft plan', 'what `stagecraft deploy` would do now'],
    ['stagecraft plan --env prod --build --exit-code', 'exit 0: nothing to do, 11: something'],
    ['stagecraft plan --env prod --token', 'the last line is for: stagecraft deploy --env prod --plan <token>'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid'],
    [4, 'no such environment'],
    [5, 'a deploy could not succeed: a port or name is taken, an external network or volume or an image is missing'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
    [11, 'with --exit-code: there is something to do'],
  ],
  async run(args, context) {
    const opened = await openRelease(args, context)
    refuseUnfit(args, opened.project.environment.name, context)
    const session = openSession(context, opened.project)
    const wanted = await findExisting(args, opened, session, context)
    const { project, version, existing } = wanted
    const plans = await planDeploy(project, version, session, { build: args.build, existing })
    await printPlans(plans, wanted, session, context, args)
    const isDone = plans.every(({ plan }) => isNothingToDo(plan) && !hasPending(plan))
    return args['exit-code'] && !isDone ? EXIT_CODES['to-do'] : 0
  },
})
