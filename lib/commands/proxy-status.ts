import { command } from '../cli.ts'
import { EXIT_CODES } from '../errors.ts'
import { requireProxies } from '../proxy-life.ts'
import { formatProxyStatus, proxyStatus } from '../proxy-status.ts'
import { openReleaseDocker } from '../world.ts'

import { environmentArgument, openSettingsOf, openWorld } from './release-arguments.ts'

export default command({
  name: 'proxy status',
  description: "Show the host's proxy and its routes, of all projects: which slot is live, and what is on its way.",
  args: { env: environmentArgument },
  examples: [['stagecraft proxy status', 'which routes are there, and who answers them?']],
  exits: [
    [0, 'it runs'],
    [4, 'no such environment; the host has no proxy'],
    [8, 'it does not run, or the engine cannot be reached'],
  ],
  async run(args, context) {
    const settings = await openSettingsOf(args, context)
    const world = openWorld(context, settings)
    const several = settings.hosts.length > 1
    let ok = true
    const proxies = await requireProxies(settings.hosts, (host) => openReleaseDocker({ secrets: [], host }, world))
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
