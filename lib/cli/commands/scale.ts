import { refuseScale, type Scaled, type ScaleWish, scale } from '../../release/by-hand/scale.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { quote, table } from '../../util/format.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'
import { openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'scale',
  description:
    'Set the number of tasks of services on a Swarm. The next release keeps it, until the number in the Compose file changes.',
  args: {
    counts: {
      type: 'words',
      valueHint: 'service=n',
      description: 'services of the live release, and how many tasks of each',
    },
    env: environmentArgument,
    wait: waitArgument,
  },
  examples: [
    ['stagecraft scale web=5 --env prod', 'five tasks of web'],
    ['stagecraft scale web=5 worker=3', 'both, or neither'],
  ],
  exits: [
    [2, 'wrong usage; not on a Swarm; a job, a global service, or 0'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment or service; no release is live'],
    [5, 'a task does not become ready; all services have their former numbers again'],
    [
      6,
      'the same, and the former numbers could not be restored; or an earlier run died, and its changes could not be undone completely',
    ],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'no manager can be reached'],
    [9, 'the state cannot be read or written'],
  ],
  async run({ counts, env, wait }, context) {
    const wishes = parseCounts(counts)
    const turn = { command: 'scale', wait: parseWait(wait) }
    const settings = await openSettingsOf({ env }, context, { onSwarm: true })
    refuseScale(settings, wishes)
    const session = openSession(context, settings)
    const services = await withEnvironmentLocked(settings, turn, session, (locked) => scale(settings, wishes, locked))
    const result = { environment: settings.environment.name, services }
    context.report.result('scaled', result, () => scaledLines(services))
    return 0
  },
})

/** @throws usage (2) */
function parseCounts(words: readonly string[]): ScaleWish[] {
  const how = { hint: 'For example: stagecraft scale web=3' }
  if (words.length === 0) throw usage('scale', 'which service, and how many', how)
  const wishes = words.map((word) => {
    const [, service, count] = /^([^=]+)=(\d{1,5})$/.exec(word) ?? []
    if (service === undefined) throw usage('scale', `${quote(word)} is not of the form service=number`, how)
    return { service, replicas: Number(count) }
  })
  const twice = wishes.find(({ service }, at) => wishes.findIndex((one) => one.service === service) !== at)
  if (twice) throw usage('scale', `${twice.service} is named twice`)
  return wishes
}

/** @returns a line for each service: what it had, and has */
export function scaledLines(services: readonly Scaled[]): string[] {
  const said = ({ from, to }: Scaled) => (from === to ? `${to} replicas already` : `${from} → ${to} replicas`)
  return table(services.map((one) => [one.service, said(one)]))
}
