import { chooseHosts, findLiveOn, liveServices, noService } from '../../project/live.ts'
import { learnSecrets } from '../../project/secrets/known.ts'
import type { Settings } from '../../project/settings.ts'
import { keptLogs } from '../../record/bundle/logs.ts'
import { readBundle } from '../../record/bundle.ts'
import { openState } from '../../record/releases.ts'
import { followLogs, type LogWish, readLogs } from '../../status/logs.ts'
import { followStackLogs, readStackLogs } from '../../status/swarm/logs.ts'
import { StagecraftError } from '../../util/errors.ts'
import { usage } from '../arguments.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { checkTime, followPrinting, logPrinter } from './log-lines.ts'
import { showAccess } from './logs-access.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'logs',
  description: 'Show what the containers of services print, of all replicas and hosts, merged by time.',
  args: {
    services: { type: 'words', valueHint: 'service', description: 'of the live release (default: all of them)' },
    env: environmentArgument,
    follow: { type: 'boolean', alias: 'f', description: 'keep printing new lines, over rollouts too, until Ctrl-C' },
    lines: {
      type: 'string',
      alias: 'n',
      valueHint: 'number',
      description: 'how many of the last lines of each container, or all (default: 100)',
    },
    since: {
      type: 'string',
      valueHint: 'time',
      description: 'only lines since then: 10m (ago), or 2026-11-22T08:00:00',
    },
    until: { type: 'string', valueHint: 'time', description: 'only lines until then' },
    host: { type: 'string', valueHint: 'host', description: 'only this one, as in stagecraft.yml' },
    access: {
      type: 'boolean',
      description: 'show requests instead, to services with `access_log: true`, as the proxy answered them',
    },
    release: {
      type: 'string',
      valueHint: 'id',
      description: 'the last output of containers that this release replaced, or that failed',
    },
  },
  examples: [
    ['stagecraft logs web -f', 'what web prints, on all hosts, over rollouts too'],
    ['stagecraft logs --since 10m', 'the last ten minutes of all services'],
    ['stagecraft logs --access -f', 'requests, as the proxy answers them'],
    ['stagecraft logs --release latest', 'the last output of containers that the last release replaced'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service, host or release; no release is live; --access: no route has a log'],
    [5, '--access: the proxy does not run, or the log cannot be read'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
    [141, 'the reader of the output has gone'],
  ],
  async run(args, context) {
    const { services, env, follow, lines = '100', since, until, host, access, release } = args
    if (!/^(all|\d{1,9})$/.test(lines)) throw usage('logs', `"--lines ${lines}" is neither a number nor all`)
    for (const [flag, value] of Object.entries({ since, until })) checkTime(flag, value)
    if (follow && until !== undefined) throw usage('logs', '"--follow" and "--until" exclude each other')
    if (access && release !== undefined) throw usage('logs', '"--access" and "--release" exclude each other')
    const settings = await openSettingsOf({ env }, context, { onSwarm: true })
    if (access) return showAccess(settings, { services, follow, lines, since, until, host }, context)
    if (release !== undefined) return showKept(settings, release, context)
    const live = findLiveOn(settings)
    const names = liveServices(live)
    for (const service of services) if (!names.includes(service)) throw noService(live, { service, host: undefined })
    const { secrets } = context.report
    for (const part of live) await learnSecrets(secrets, part.host, [part.release])
    const project = live[0]?.release.bundle.project ?? ''
    const wish: LogWish = { project, services, tail: lines, since, until }
    const hosts = chooseHosts(settings, host)
    const isSwarm = settings.environment.engine === 'swarm'
    if (isSwarm && until !== undefined) throw usage('logs', '"--until" does not work on a Swarm')
    const print = logPrinter(context, {
      services: services.length > 0 ? services : names,
      several: isSwarm || hosts.length > 1,
    })
    if (!follow) {
      const read = isSwarm ? readStackLogs : readLogs
      for (const line of await read(hosts, secrets.mask, wish)) print(line)
      return context.outputFailed() ? 141 : 0
    }
    const goOn = isSwarm ? followStackLogs : followLogs
    return followPrinting(context, print, (how) => goOn(hosts, { mask: secrets.mask, ...how }, wish))
  },
})

/** What containers printed last that a release removed: they are gone from the engine. */
function showKept({ stateFile, environment }: Settings, reference: string, { report, clock }: Context): number {
  const release = openState(stateFile, { clock }).findRelease(reference, environment.name)
  if (readBundle(stateFile, release.id) === undefined)
    throw new StagecraftError('not-found', `Cannot show the logs of ${release.id}: its bundle was pruned`)
  const kept = keptLogs(stateFile, release.id)
  if (kept.length === 0)
    report.emit({
      type: 'warning',
      message: `no logs are kept of ${release.id}: it has rolled no container and run no migration`,
      hint: `What a container that failed printed last: stagecraft releases show ${release.id}`,
    })
  for (const { at, container, lines } of kept)
    for (const line of lines) report.result('log', { at, container, line }, () => [`${container} | ${line}`])
  return 0
}
