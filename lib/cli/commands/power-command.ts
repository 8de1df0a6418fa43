import { power } from '../../release/by-hand/power.ts'
import type { PowerWish } from '../../release/by-hand/power-wish.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { table } from '../../util/format.ts'
import { command, environmentArgument } from '../command.ts'
import { openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

const DONE = { start: 'started', stop: 'stopped', restart: 'restarted' } as const

/** @returns the command `start`, `stop` or `restart` */
export function powerCommand(
  verb: PowerWish['verb'],
  description: string,
  examples: readonly (readonly [string, string])[],
) {
  return command({
    name: verb,
    description,
    args: {
      services: { type: 'words', valueHint: 'service', description: 'of the live release (default: all but jobs)' },
      env: environmentArgument,
      host: { type: 'string', valueHint: 'host', description: 'only there, as in stagecraft.yml' },
      wait: waitArgument,
    },
    examples,
    exits: [
      [3, 'stagecraft.yml is invalid'],
      [4, 'no such environment, service or host; no release is live'],
      [5, 'a container does not stop, or does not become ready'],
      [6, 'an earlier run died, and its changes could not be undone completely'],
      [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
      [8, 'a host or the engine cannot be reached'],
      [9, 'the state cannot be read or written'],
    ],
    async run({ services, env, host, wait }, context) {
      const settings = await openSettingsOf({ env }, context, { onSwarm: true })
      const { name: environment } = settings.environment
      const turn = { command: verb, wait: parseWait(wait) }
      const session = openSession(context, settings)
      const done = await withEnvironmentLocked(settings, turn, session, (locked) =>
        power(settings, { verb, services, host }, locked),
      )
      context.report.result(DONE[verb], { environment, services: done }, () =>
        table(
          done.map((one) => [
            ...(settings.hosts.length > 1 ? [one.host] : []),
            one.service,
            verb === 'start' && one.containers === 0
              ? 'running already'
              : `${one.containers === 1 ? '1 container' : `${one.containers} containers`} ${DONE[verb]}`,
          ]),
        ),
      )
      return 0
    },
  })
}
