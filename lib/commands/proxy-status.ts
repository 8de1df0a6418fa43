import { command } from '../cli.ts'
import { EXIT_CODES } from '../errors.ts'
import { formatProxyStatus, proxyStatus } from '../proxy-status.ts'
import { openReleaseDocker } from '../release.ts'
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
    const status = await proxyStatus(openReleaseDocker({ secrets: [] }, openWorld(context, settings)))
    context.report.result('proxy', status, () => formatProxyStatus(status))
    return status.state === 'running' ? 0 : EXIT_CODES.unreachable
  },
})
