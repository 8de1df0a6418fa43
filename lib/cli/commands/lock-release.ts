import { heldBy, onlyRun } from '../../lock/messages.ts'
import { releaseHold } from '../../project/freeze.ts'
import { command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'lock release',
  description: 'End the hold of an environment, also that of another user. A run that is under way goes on.',
  args: { env: environmentArgument },
  examples: [['stagecraft lock release --env prod', 'deploys may go on']],
  exits: [
    [0, 'it is released, or nobody held it'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [7, 'nobody holds it, but a run is under way'],
    [8, 'the host cannot be reached'],
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
