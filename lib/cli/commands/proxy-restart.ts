import type { Host } from '../../hosts/host.ts'
import { openReleaseDocker } from '../../project/session.ts'
import { connectProxy } from '../../proxy/connect.ts'
import { recreateProxy, requireProxies } from '../../proxy/container.ts'
import { afterNotice } from '../../proxy/inside/changing.ts'
import { withEnvironmentLocked } from '../../release/locked.ts'
import { command, environmentArgument } from '../command.ts'

import { NO_PROXY, openSession, openSettingsOf, parseWait, waitArgument } from './release-arguments.ts'

export default command({
  name: 'proxy restart',
  description:
    "Recreate the host's proxy, keeping routes and certificates, from the image in stagecraft.yml or else the one it " +
    'has. For about a second no route of the host answers, in any project.',
  args: { env: environmentArgument, wait: waitArgument },
  examples: [
    ['stagecraft proxy restart', 'when it does not work as it should'],
    ['docker pull caddy:2 && stagecraft proxy restart', 'update it to the newest Caddy 2'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment; the host has no proxy'],
    [5, 'the new proxy does not start, and the old one runs again'],
    [7, 'another run is under way, or somebody holds the environment (stagecraft lock status)'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
  ],
  async run(args, context) {
    const wait = parseWait(args.wait)
    const settings = await openSettingsOf(args, context, NO_PROXY)
    const turn = { command: 'proxy restart', wait }
    await withEnvironmentLocked(settings, turn, openSession(context, settings), async (locked) => {
      const dockerOf = (host: Host) => openReleaseDocker({ secrets: [], host }, locked)
      let noticed = 0
      for (const { host, docker, proxy } of await requireProxies(settings.hosts, dockerOf)) {
        const image = settings.environment.proxy?.image ?? proxy.reference
        await locked.clock.sleep(noticed) // balancers send requests to the host before once more
        noticed = await afterNotice(docker, locked.clock, async () => {
          await recreateProxy(docker, locked.clock, image)
          await connectProxy(docker)
        })
        const where = settings.hosts.length > 1 ? { host: host.name } : {}
        context.report.result('proxy-restarted', { ...where, image }, () => [
          `the proxy${where.host ? ` of ${where.host}` : ''} was recreated, from ${image}`,
        ])
      }
    })
    return 0
  },
})
