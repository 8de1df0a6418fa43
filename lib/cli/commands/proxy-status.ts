import { openReleaseDocker } from '../../project/session.ts'
import { requireProxies } from '../../proxy/container.ts'
import { formatProxyStatus, proxyStatus } from '../../proxy/status.ts'
import { EXIT_CODES } from '../../util/errors.ts'
import { command, environmentArgument } from '../command.ts'

import { NO_PROXY, openSession, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'proxy status',
  description: "Show the host's proxy and the routes of all projects: which slot is live, and the open requests.",
  args: { env: environmentArgument },
  examples: [['stagecraft proxy status', 'which routes are there, and which containers answer them?']],
  exits: [
    [0, 'it runs'],
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment; the host has no proxy'],
    [5, 'the routes cannot be read'],
    [8, 'it is not running; a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run(args, context) {
    const settings = await openSettingsOf(args, context, NO_PROXY)
    const session = openSession(context, settings)
    const several = settings.hosts.length > 1
    let ok = true
    const proxies = await requireProxies(settings.hosts, (host) => openReleaseDocker({ secrets: [], host }, session))
    for (const found of proxies) {
      const { name } = found.host
      const status = await proxyStatus(found)
      const lines = several ? [`On ${name}:`, ...formatProxyStatus(status), ''] : formatProxyStatus(status)
      context.report.result('proxy', { ...(several ? { host: name } : {}), ...status }, () => lines)
      ok &&= status.state === 'running'
    }
    return ok ? 0 : EXIT_CODES.unreachable
  },
})
