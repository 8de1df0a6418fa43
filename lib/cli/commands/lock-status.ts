import { lockLines } from '../../lock/messages.ts'
import { EXIT_CODES } from '../../util/errors.ts'
import { command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'lock status',
  description: 'Show which run is under way in an environment, and who holds it. Never waits, and changes nothing.',
  reads: true,
  args: { env: environmentArgument },
  examples: [['stagecraft lock status --env prod', 'could I deploy now?']],
  exits: [
    [0, 'it is free'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [7, 'a run is under way, or somebody holds it'],
    [8, 'the host cannot be reached'],
    [9, 'the lock cannot be read'],
  ],
  async run(args, context) {
    const { environment, host } = await openSettingsOf(args, context, { firstOnly: true })
    const lock = host.readLock(environment.name)
    const { name } = environment
    context.report.result('lock', { environment: name, ...lock }, () => lockLines(name, lock, context.clock()))
    return lock.locked || lock.hold ? EXIT_CODES.locked : 0
  },
})
