import { realpathSync } from 'node:fs'
import { bootstrap } from '../bootstrap.ts'
import { command } from '../cli.ts'
import { loadConfig, selectEnvironment } from '../config.ts'
import { StagecraftError } from '../errors.ts'
import { exec } from '../exec.ts'
import { parseHostName } from '../host-name.ts'
import { CONNECT_TIMEOUT } from '../project.ts'
import { untilSignal } from '../signals.ts'
import { environmentArgument } from './release-arguments.ts'

const ROOT = '/var/lib/stagecraft'

export default command({
  name: 'bootstrap',
  description:
    'Make the hosts of an environment ready: Docker engine, group, root folder. Says each step before it is done, and changes ' +
    'nothing where nothing is missing. Debian and Ubuntu; firewall and sshd are never touched.',
  args: {
    env: environmentArgument,
    'dry-run': { type: 'boolean', description: 'say what is missing, and change nothing' },
  },
  examples: [
    ['stagecraft bootstrap --env prod', 'once, before the first deploy'],
    ['stagecraft bootstrap --env prod --dry-run', 'what is missing there?'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid, or its root folder is in use there'],
    [4, 'no such environment, or it has no hosts'],
    [5, 'a step failed'],
    [8, 'a host cannot be reached, or its user may not become root'],
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
        hint: 'It runs on the engine of this machine. Give it `hosts:` in stagecraft.yml, or name another environment.',
      })
    const signal = untilSignal()
    for (const written of hosts) {
      const host = parseHostName(written) ?? { written, name: written } // as stagecraft.yml was checked
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
