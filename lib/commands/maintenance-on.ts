import { usage } from '../arguments.ts'
import { command } from '../cli.ts'
import { maintenanceLines, publicRoutes, startMaintenance } from '../maintenance.ts'
import { openReleaseDocker } from '../world.ts'

import { environmentArgument, openSettingsOf, openWorld } from './release-arguments.ts'

export default command({
  name: 'maintenance on',
  description:
    'Answer 503 with a page at all public routes of an environment, until `stagecraft maintenance off`. Deploys do not end it.',
  args: {
    env: environmentArgument,
    message: { type: 'string', valueHint: 'text', description: 'what the page says (default: to try again later)' },
  },
  examples: [
    ['stagecraft maintenance on', 'before jobs that nobody may interfere with'],
    ['stagecraft maintenance on --env prod --message "Back at 10:00"', 'say how long'],
  ],
  exits: [
    [4, 'no such environment, or nothing of it is exposed'],
    [8, 'the proxy or the engine cannot be reached'],
  ],
  async run({ env, message = 'Please try again in a few minutes.' }, context) {
    if (message.trim() === '') throw usage('maintenance on', 'the message is empty')
    const settings = await openSettingsOf({ env }, context)
    const { project, routes, hosts } = publicRoutes(settings, context.clock)
    const world = openWorld(context, settings)
    for (const host of hosts)
      await startMaintenance(openReleaseDocker({ secrets: [], host }, world), project, message.trim())
    const environment = settings.environment.name
    context.report.result('maintenance', { environment, maintenance: true }, () =>
      maintenanceLines(environment, routes, true),
    )
    return 0
  },
})
