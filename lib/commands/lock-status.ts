import { command } from '../cli.ts'
import { EXIT_CODES } from '../errors.ts'
import { lockLines } from '../lock-text.ts'
import { environmentArgument, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'lock status',
  description: 'Say who is at work on an environment now, and who holds it. It never waits, and changes nothing.',
  reads: true,
  args: { env: environmentArgument },
  examples: [['stagecraft lock status --env prod', 'could I deploy now?']],
  exits: [
    [0, 'it is free'],
    [4, 'no such environment'],
    [7, 'a run is at work on it, or somebody holds it'],
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
