import { usage } from '../arguments.ts'
import { command } from '../cli.ts'
import { holdAlone } from '../hold.ts'
import { lockLines } from '../lock-text.ts'
import { environmentArgument, openSettingsOf, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'lock hold',
  description:
    'Freeze an environment: deploy, rollback and prune are refused with your message, until `stagecraft lock release`.',
  args: {
    env: environmentArgument,
    message: {
      type: 'string',
      valueHint: 'text',
      required: true,
      description: 'why: everyone who is refused is shown it',
    },
    wait: {
      ...waitArgument,
      description: 'wait that long for a run that is under way to end (30s, 10m; default: not at all)',
    },
  },
  examples: [
    ['stagecraft lock hold --env prod --message "moving the database"', 'nobody deploys meanwhile'],
    ['stagecraft lock hold --env prod --message "moving the database" --wait 10m', 'and nobody is at it any more'],
  ],
  exits: [
    [4, 'no such environment'],
    [7, 'somebody else holds it; it is held, but a run that is under way has not ended'],
    [9, 'the hold cannot be written'],
  ],
  async run(args, context) {
    const message = args.message.trim()
    if (message === '') throw usage('lock hold', 'the message is empty')
    const settings = await openSettingsOf(args, context, { firstOnly: true })
    const { environment, host } = settings
    const { name } = environment
    const world = openWorld(context, settings)
    const wait = parseWait(args.wait)
    const lock = await holdAlone(host, { environment: name, message, wait }, world)
    context.report.result('lock', { environment: name, ...lock }, () => [
      ...lockLines(name, lock, context.clock()),
      `To end the hold: stagecraft lock release --env ${name}`,
    ])
    return 0
  },
})
