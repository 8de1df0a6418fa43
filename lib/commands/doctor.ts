import { realpathSync } from 'node:fs'
import { command } from '../cli.ts'
import { type Check, doctor } from '../doctor.ts'
import { EXIT_CODES } from '../errors.ts'
import { exec } from '../exec.ts'
import { plainLine, table } from '../format.ts'
import { environmentArgument, openRelease, openSettingsOf } from './release-arguments.ts'

/** Hosts that cannot be used have been told of by then. */
const SAID = { onUnusable: () => {} }

export default command({
  name: 'doctor',
  description:
    'Check everything that a deploy needs: programs, config, connection, engine, disk, permissions, clocks, proxy, state and lock.',
  reads: true,
  args: { env: environmentArgument },
  examples: [
    ['stagecraft doctor', 'could I deploy from here?'],
    ['stagecraft doctor --env prod --json', 'the same, for a script'],
  ],
  exits: [
    [0, 'all is well'],
    [5, 'something is not; each problem is told with its remedy'],
  ],
  async run(args, context) {
    const checks = await doctor({
      exec,
      directory: realpathSync(context.directory),
      clock: context.clock,
      openSettings: (onUnusable) => openSettingsOf(args, context, { onUnusable }),
      openProject: async ({ hosts }) =>
        (await openRelease({ ...args, version: 'doctor' }, context, hosts, SAID)).project,
    })
    const ok = checks.every((check) => check.ok)
    context.report.result('doctor', { ok, checks }, () => doctorLines(checks))
    return ok ? 0 : EXIT_CODES.failed
  },
})

/** Each problem with what to do below it. */
export function doctorLines(checks: readonly Check[]): string[] {
  const lines = table(
    checks.map(({ ok, what, found }) => [ok ? 'ok' : 'BAD', what, plainLine(found.split('\n')[0] ?? '')]),
  )
  return lines.flatMap((line, index) => {
    const { found = '', remedy = '' } = checks[index] ?? {}
    const more = found
      .split('\n')
      .slice(1)
      .map((text) => `       ${plainLine(text)}`)
    return [line, ...more, ...(remedy === '' ? [] : [`       ${remedy}`])]
  })
}
