import { usage } from '../arguments.ts'
import { command } from '../cli.ts'
import { childError, openDocker } from '../docker.ts'
import type { Host } from '../host.ts'
import { type HostProxy, requireProxies } from '../proxy-life.ts'
import { PROXY } from '../routes.ts'
import { untilSignal } from '../signals.ts'
import { environmentArgument, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'proxy logs',
  description: "Show what the host's proxy says: certificates, errors, containers that do not answer.",
  args: {
    env: environmentArgument,
    lines: { type: 'string', valueHint: 'number', description: 'how many of the last lines (default: 100)' },
    follow: { type: 'boolean', alias: 'f', description: 'go on with what it says next, until Ctrl-C' },
  },
  examples: [
    ['stagecraft proxy logs', 'the last 100 lines'],
    ['stagecraft proxy logs --follow --lines 0', 'what it says from now on'],
  ],
  exits: [
    [4, 'no such environment; the host has no proxy'],
    [8, 'the engine cannot be reached'],
  ],
  async run({ env, lines = '100', follow }, context) {
    if (!/^\d{1,6}$/.test(lines)) throw usage('proxy logs', `"--lines ${lines}" is not a number`)
    const { hosts } = await openSettingsOf({ env }, context)
    const { report } = context
    const signal = untilSignal()
    const dockerOf = ({ exec }: Host) => openDocker(exec, (line) => line, { signal })
    const proxies = await requireProxies(hosts, dockerOf)
    const show = async ({ docker, host: { name } }: HostProxy) => {
      const onLine = (line: string) =>
        hosts.length === 1
          ? report.result('log', { line }, () => [line])
          : report.result('log', { host: name, line }, () => [`${name} | ${line}`])
      const result = await docker.try(['logs', ...(follow ? ['--follow'] : []), '--tail', lines, PROXY], { onLine })
      if (result.code !== 0 && !signal.aborted) throw childError('read what the proxy says', result)
    }
    // Whoever follows follows all of them at once.
    if (follow) await Promise.all(proxies.map(show))
    else for (const one of proxies) await show(one)
    return signal.aborted ? 128 + Number(signal.reason) : 0
  },
})
