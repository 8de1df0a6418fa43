import { childError, openDocker } from '../../docker/client.ts'
import { logs } from '../../docker/lifecycle.ts'
import type { Host } from '../../hosts/host.ts'
import { PROXY } from '../../plan/routes/table.ts'
import { type HostProxy, requireProxies } from '../../proxy/container.ts'
import { untilSignal } from '../../system/signals.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'
import { NO_PROXY, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'proxy logs',
  description: "Show the log of the host's proxy: certificates, errors, containers that do not answer.",
  args: {
    env: environmentArgument,
    lines: { type: 'string', valueHint: 'number', description: 'how many of the last lines (default: 100)' },
    follow: { type: 'boolean', alias: 'f', description: 'keep printing new lines, until Ctrl-C' },
  },
  examples: [
    ['stagecraft proxy logs', 'the last 100 lines'],
    ['stagecraft proxy logs --follow --lines 0', 'only new lines'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment; the host has no proxy'],
    [5, 'the log cannot be read'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ env, lines = '100', follow }, context) {
    if (!/^\d{1,6}$/.test(lines)) throw usage('proxy logs', `"--lines ${lines}" is not a number`)
    const { hosts } = await openSettingsOf({ env }, context, NO_PROXY)
    const { report } = context
    const signal = untilSignal()
    const dockerOf = ({ exec }: Host) => openDocker(exec, (line) => line, { signal })
    const proxies = await requireProxies(hosts, dockerOf)
    const show = async ({ docker, host: { name } }: HostProxy) => {
      const onLine = (line: string) =>
        hosts.length === 1
          ? report.result('log', { line }, () => [line])
          : report.result('log', { host: name, line }, () => [`${name} | ${line}`])
      const result = await logs(docker, [PROXY], { flags: { follow, tail: lines }, onLine })
      if (result.code !== 0 && !signal.aborted) throw childError('read the log of the proxy', result)
    }
    // The logs of several proxies are followed at once, but shown one after the other.
    if (follow) await Promise.all(proxies.map(show))
    else for (const one of proxies) await show(one)
    return signal.aborted ? 128 + Number(signal.reason) : 0
  },
})
