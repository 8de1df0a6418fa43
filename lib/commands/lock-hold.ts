import { usage } from '../arguments.ts'
import { command } from '../cli.ts'
import { holdLock } from '../hold.ts'
import { lockLines } from '../lock-text.ts'
import { environmentArgument, openSettingsOf, openWorld } from './release-arguments.ts'

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
  },
  examples: [['stagecraft lock hold --env prod --message "moving the database"', 'nobody deploys meanwhile']],
  exits: [
    [4, 'no such environment'],
    [7, 'somebody else holds it'],
    [9, 'the hold cannot be written'],
  ],
  async run(args, context) {
    const message = args.message.trim()
    if (message === '') throw usage('lock hold', 'the message is empty')
    const settings = await openSettingsOf(args, context, { firstOnly: true })
    const { environment, host } = settings
    const { name } = environment
    holdLock({ stateFile: host.stateFile, environment: name, message }, openWorld(context, settings))
    await host.persist()
    // Only now: a run that has not seen the hold has the lock already.
    const lock = host.readLock(name)
    context.report.result('lock', { environment: name, ...lock }, () => [
      ...lockLines(name, lock, context.clock()),
      ...(lock.locked ? ['That run goes on; the next one is refused.'] : []),
      `To end the hold: stagecraft lock release --env ${name}`,
    ])
    return 0
  },
})
