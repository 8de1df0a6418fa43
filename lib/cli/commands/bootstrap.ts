import { realpathSync } from 'node:fs'
import { loadConfig, selectEnvironment } from '../../config/parse.ts'
import { bootstrap } from '../../hosts/bootstrap/run.ts'
import { CONNECT_TIMEOUT } from '../../project/open.ts'
import { exec } from '../../system/exec.ts'
import { untilSignal } from '../../system/signals.ts'
import { StagecraftError } from '../../util/errors.ts'
import { command, environmentArgument } from '../command.ts'

const ROOT = '/var/lib/stagecraft'

export default command({
  name: 'bootstrap',
  description:
    'Prepare the hosts of an environment: Docker engine, group, root folder. Prints each step before it is done, and changes ' +
    'nothing on a host that is ready. Debian and Ubuntu; firewall and sshd are never touched.',
  args: {
    env: environmentArgument,
    'dry-run': { type: 'boolean', description: 'print what is missing, and change nothing' },
  },
  examples: [
    ['stagecraft bootstrap --env prod', 'once, before the first deploy'],
    ['stagecraft bootstrap --env prod --dry-run', 'what is missing there?'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid, or something else is in the root folder of a host'],
    [4, 'no such environment, or it has no hosts'],
    [5, 'a step failed'],
    [8, 'a host cannot be reached; its user may not become root; Docker cannot be installed on this system'],
  ],
  async run(args, context) {
    const config = await loadConfig(realpathSync(context.directory))
    const {
      name,
      hosts = [],
      root = ROOT,
      connect_timeout: timeout = CONNECT_TIMEOUT,
    } = selectEnvironment(config, args.env)
    if (hosts.length === 0)
      throw new StagecraftError('not-found', `Cannot make the hosts of ${name} ready: it has none`, {
        hint: "It runs on this machine's engine. Give it `hosts:` in stagecraft.yml, or name another environment.",
      })
    const signal = untilSignal()
    for (const host of hosts) {
      const { written } = host
      const steps = await bootstrap({
        ...{ exec, host, root, timeout, signal, dryRun: args['dry-run'] },
        onStep: ({ what }) => context.report.result('step', { host: written, what }, () => [stepLine(written, what)]),
      })
      const missing = steps.map(({ what }) => what)
      context.report.result(
        'ready',
        { host: written, missing, changed: !args['dry-run'] && missing.length > 0 },
        () => [readyLine(written, missing.length, args['dry-run'])],
      )
    }
    return 0
  },
})

export function stepLine(host: string, what: string): string {
  return `${host}: ${what}`
}

export function readyLine(host: string, missing: number, dryRun: boolean): string {
  if (missing === 0) return `${host} is ready: nothing is missing`
  return dryRun ? `${host} is not ready yet: nothing was changed` : `${host} is ready`
}
