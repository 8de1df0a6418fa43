import { realpathSync } from 'node:fs'
import { isEngineElsewhere } from '../../hosts/engine-place.ts'
import { sshAddress } from '../../hosts/ssh/address.ts'
import type { Check } from '../../status/doctor/check.ts'
import { LOOPBACK } from '../../status/doctor/exposed.ts'
import { doctor } from '../../status/doctor.ts'
import { exec } from '../../system/exec.ts'
import { network } from '../../system/network/reach.ts'
import { EXIT_CODES } from '../../util/errors.ts'
import { plainLine, table } from '../../util/format.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openProjectOf, openSettingsOf } from './release-arguments.ts'

/** The settings were opened before, and have reported the hosts that cannot be used. */
const SAID = { onUnusable: () => {}, onSwarm: true }

export default command({
  name: 'doctor',
  description:
    'Check everything that a deploy needs: programs, config, connection, engine, disk, permissions, clocks, proxy, state and lock; DNS, ports and certificates of exposed names.',
  reads: true,
  args: { env: environmentArgument },
  examples: [
    ['stagecraft doctor', 'could I deploy from here?'],
    ['stagecraft doctor --env prod --json', 'the same, for a script'],
  ],
  exits: [
    [0, 'all is well'],
    [5, 'there are problems; each is printed with its remedy'],
    [8, 'the connection to a host is lost'],
  ],
  async run(args, context) {
    return (await checkEnvironment(args, context)) ? 0 : EXIT_CODES.failed
  },
})

/** Checks everything that a deploy to an environment needs, and prints it. @param after lines below @returns whether all is well */
export async function checkEnvironment(
  args: { readonly env: string | undefined },
  context: Context,
  after: (ok: boolean) => readonly string[] = () => [],
): Promise<boolean> {
  const checks = await doctor({
    exec,
    directory: realpathSync(context.directory),
    clock: context.clock,
    network,
    addressOf: async (host) => {
      if (host !== undefined) return sshAddress(exec, host)
      return (await isEngineElsewhere(exec)) ? undefined : LOOPBACK
    },
    openSettings: (onUnusable) => openSettingsOf(args, context, { onUnusable, onSwarm: true }),
    openProject: ({ hosts }) => openProjectOf(args, context, hosts, SAID),
  })
  const ok = checks.every((check) => check.ok)
  context.report.result('doctor', { ok, checks }, () => [...doctorLines(checks), ...after(ok)])
  return ok
}

/** @returns a line for each check, and below it what else was found, and the remedy of a problem */
export function doctorLines(checks: readonly Check[]): string[] {
  const widest = Math.max(...checks.map(({ what }) => what.length))
  const found = checks.map((check) => {
    const [text = '', ...more] = check.found.split('\n').map(plainLine)
    const [first = '', ...rest] = wrapped(text, Math.max(80 - 'BAD  '.length - widest - 2, 30))
    return [first, rest.join(' '), ...more]
  })
  const lines = table(checks.map(({ ok, what }, at) => [ok ? 'ok' : 'BAD', what, found[at]?.[0] ?? '']))
  return lines.flatMap((line, at) => {
    const more = found[at]?.slice(1).filter((text) => text.trim() !== '') ?? []
    const below = [...more.slice(0, MOST_FOUND), ...(checks[at]?.remedy.split('\n') ?? [])]
    return [line, ...below.flatMap((text) => wrapped(text, 80 - INDENT.length)).map((text) => `${INDENT}${text}`)]
  })
}

const INDENT = '       '

/** Lines of what was found, besides the first: a program's usage would hide the rest. */
const MOST_FOUND = 3

function wrapped(text: string, width: number): string[] {
  return [...text.matchAll(new RegExp(`.{1,${width}}(?:\\s|$)|\\S+`, 'g'))].map(([line]) => line.trimEnd())
}
