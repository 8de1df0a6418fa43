import { command } from '../cli.ts'
import { releaseHold } from '../hold.ts'
import { heldBy, onlyRun } from '../lock-text.ts'
import { environmentArgument, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'lock release',
  description: 'End the hold of an environment, whoever put it there. A run that is under way is not ended.',
  args: { env: environmentArgument },
  examples: [['stagecraft lock release --env prod', 'deploys may go on']],
  exits: [
    [0, 'it is released, or nobody held it'],
    [4, 'no such environment'],
    [7, 'nobody holds it, but a run is under way'],
    [9, 'the hold cannot be removed'],
  ],
  async run(args, context) {
    const { environment, host } = await openSettingsOf(args, context, { firstOnly: true })
    const { name } = environment
    const hold = releaseHold(host.stateFile, name)
    await host.persist()
    const now = context.clock()
    const lock = host.readLock(name)
    if (!hold && lock.locked) throw onlyRun(name, lock, now)
    context.report.result('lock-released', { environment: name, ...(hold && { hold }) }, () => [
      hold ? `${name} is released. It was held by ${heldBy(hold, now)}` : `${name} was not held.`,
    ])
    return 0
  },
})
