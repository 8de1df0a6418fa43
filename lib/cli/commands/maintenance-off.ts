import { openReleaseDocker } from '../../project/session.ts'
import { endMaintenance, maintenanceLines, publicRoutes } from '../../proxy/maintenance.ts'
import { command, environmentArgument } from '../command.ts'

import { NO_PROXY, openSession, openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'maintenance off',
  description: 'End the maintenance page: the public routes of an environment lead to its services again.',
  args: { env: environmentArgument },
  examples: [['stagecraft maintenance off --env prod', 'the work is done']],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, or it exposes no service'],
    [5, 'the proxy refuses the change'],
    [8, 'a host, the engine or the proxy cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run(args, context) {
    const settings = await openSettingsOf(args, context, NO_PROXY)
    const { project, routes, hosts } = publicRoutes(settings)
    const session = openSession(context, settings)
    for (const host of hosts) await endMaintenance(openReleaseDocker({ secrets: [], host }, session), project)
    const environment = settings.environment.name
    context.report.result('maintenance', { environment, maintenance: false }, () =>
      maintenanceLines(environment, routes, false),
    )
    return 0
  },
})
