import { command } from '../cli.ts'
import { endMaintenance, maintenanceLines, publicRoutes } from '../maintenance.ts'
import { openReleaseDocker } from '../world.ts'

import { environmentArgument, openSettingsOf, openWorld } from './release-arguments.ts'

export default command({
  name: 'maintenance off',
  description: 'Answer the public routes of an environment again.',
  args: { env: environmentArgument },
  examples: [['stagecraft maintenance off --env prod', 'the jobs are done']],
  exits: [
    [4, 'no such environment, or nothing of it is exposed'],
    [8, 'the proxy or the engine cannot be reached'],
  ],
  async run(args, context) {
    const settings = await openSettingsOf(args, context)
    const { project, routes, hosts } = publicRoutes(settings, context.clock)
    const world = openWorld(context, settings)
    for (const host of hosts) await endMaintenance(openReleaseDocker({ secrets: [], host }, world), project)
    const environment = settings.environment.name
    context.report.result('maintenance', { environment, maintenance: false }, () =>
      maintenanceLines(environment, routes, false),
    )
    return 0
  },
})
