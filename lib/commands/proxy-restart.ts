import { command } from '../cli.ts'
import { exclusively } from '../exclusive.ts'
import type { Host } from '../host.ts'
import { connectProxy } from '../proxy-connect.ts'
import { remakeProxy, requireProxies } from '../proxy-life.ts'
import { openReleaseDocker } from '../world.ts'

import { environmentArgument, openSettingsOf, openWorld, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'proxy restart',
  description:
    "Make the host's proxy anew, from the image that stagecraft.yml names, else the one it has. Its routes and " +
    'certificates stay. For a second or so no route of the host answers, of any project.',
  args: { env: environmentArgument, wait: waitArgument },
  examples: [
    ['stagecraft proxy restart', 'when it does not do what it should'],
    ['docker pull caddy:2 && stagecraft proxy restart', 'bring it to the newest Caddy 2'],
  ],
  exits: [
    [4, 'no such environment; the host has no proxy'],
    [5, 'the new one does not start: the former one runs again'],
    [7, 'another run is at it, or somebody holds the environment (stagecraft lock status)'],
    [8, 'the engine cannot be reached'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context)
    const turn = { command: 'proxy restart', wait }
    await exclusively(settings, turn, openWorld(context, settings), async (locked) => {
      const dockerOf = (host: Host) => openReleaseDocker({ secrets: [], host }, locked)
      for (const { host, docker, proxy } of await requireProxies(settings.hosts, dockerOf)) {
        const image = settings.environment.proxy?.image ?? proxy.reference
        await remakeProxy(docker, locked.clock, image)
        await connectProxy(docker)
        const where = settings.hosts.length > 1 ? { host: host.name } : {}
        context.report.result('proxy-restarted', { ...where, image }, () => [
          `the proxy${where.host ? ` of ${where.host}` : ''} runs anew, as ${image}`,
        ])
      }
    })
    return 0
  },
})
