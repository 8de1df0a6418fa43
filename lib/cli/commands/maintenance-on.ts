import { openReleaseDocker } from '../../project/session.ts'
import { maintenanceLines, publicRoutes, startMaintenance } from '../../proxy/maintenance.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'

import { NO_PROXY, openSession, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'maintenance on',
  description:
    'Answer all public routes of an environment with a page and status 503, until `stagecraft maintenance off`. Deploys do not end it.',
  args: {
    env: environmentArgument,
    message: { type: 'string', valueHint: 'text', description: 'what the page says (default: to try again later)' },
  },
  examples: [
    ['stagecraft maintenance on', 'before work that no request may disturb'],
    ['stagecraft maintenance on --env prod --message "Back at 10:00"', 'say until when'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, or it exposes no service'],
    [5, 'the proxy refuses the change'],
    [8, 'a host, the engine or the proxy cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run({ env, message = 'Please try again in a few minutes.' }, context) {
    if (message.trim() === '') throw usage('maintenance on', 'the message is empty')
    const settings = await openSettingsOf({ env }, context, NO_PROXY)
    const { project, routes, hosts } = publicRoutes(settings)
    const session = openSession(context, settings)
    for (const host of hosts)
      await startMaintenance(openReleaseDocker({ secrets: [], host }, session), project, message.trim())
    const environment = settings.environment.name
    context.report.result('maintenance', { environment, maintenance: true }, () =>
      maintenanceLines(environment, routes, true),
    )
    return 0
  },
})
