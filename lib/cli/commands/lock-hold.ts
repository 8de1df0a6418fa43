import { lockLines } from '../../lock/messages.ts'
import { holdAlone } from '../../project/freeze.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'
import { openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

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
      description: 'why; printed when a run is refused',
    },
    wait: {
      ...waitArgument,
      description: 'how long to wait for a run that is under way to end (30s, 10m; default: not at all)',
    },
  },
  examples: [
    ['stagecraft lock hold --env prod --message "moving the database"', 'no new deploy begins'],
    ['stagecraft lock hold --env prod --message "moving the database" --wait 10m', 'and none is under way any more'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [7, 'somebody else holds it, or it is held and a run is still under way'],
    [8, 'the host cannot be reached'],
    [9, 'the hold cannot be written'],
  ],
  async run(args, context) {
    const message = args.message.trim()
    if (message === '') throw usage('lock hold', 'the message is empty')
    const settings = await openSettingsOf(args, context, { firstOnly: true })
    const { environment, host } = settings
    const { name } = environment
    const session = openSession(context, settings)
    const wait = parseWait(args.wait)
    const lock = await holdAlone(host, { environment: name, message, wait }, session)
    context.report.result('lock', { environment: name, ...lock }, () => [
      ...lockLines(name, lock, context.clock()),
      `To end the hold: stagecraft lock release --env ${name}`,
    ])
    return 0
  },
})
