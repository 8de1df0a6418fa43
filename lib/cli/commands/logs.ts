import type { Tone } from '../../output/lines.ts'
import { chooseHosts, findLiveOn, liveServices, noService } from '../../project/live.ts'
import { learnSecrets } from '../../project/secrets/known.ts'
import type { Settings } from '../../project/settings.ts'
import { keptLogs } from '../../record/bundle/logs.ts'
import { readBundle } from '../../record/bundle.ts'
import { openState } from '../../record/releases.ts'
import { followLogs, type LogLine, type LogWish, readLogs } from '../../status/logs.ts'
import { untilSignal } from '../../system/signals.ts'
import { parseDuration } from '../../util/duration.ts'
import { StagecraftError } from '../../util/errors.ts'
import { pad } from '../../util/format.ts'
import { usage } from '../arguments.ts'
import { type Context, command, environmentArgument } from '../command.ts'
import { openSettingsOf } from './release-arguments.ts'

export default command({
  name: 'logs',
  description: 'Show what the containers of services print, of all replicas and hosts, merged by time.',
  args: {
    services: { type: 'words', valueHint: 'service', description: 'of the live release (default: all of them)' },
    env: environmentArgument,
    follow: { type: 'boolean', alias: 'f', description: 'go on with new lines, over rollouts too, until Ctrl-C' },
    lines: {
      type: 'string',
      alias: 'n',
      valueHint: 'number',
      description: 'the last of each container, or all (default: 100)',
    },
    since: { type: 'string', valueHint: 'time', description: 'not older: 10m, or 2026-11-22T08:00:00' },
    until: { type: 'string', valueHint: 'time', description: 'not newer' },
    host: { type: 'string', valueHint: 'host', description: 'only this one, as in stagecraft.yml' },
    release: {
      type: 'string',
      valueHint: 'id',
      description: 'what containers that this release replaced, or that failed, printed last',
    },
  },
  examples: [
    ['stagecraft logs web -f', 'what web prints, on all hosts, over rollouts too'],
    ['stagecraft logs --since 10m', 'the last ten minutes of all services'],
    ['stagecraft logs --release latest', 'what the containers of the last release printed that are gone'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment, service, host or release; no release is live'],
    [8, 'a host or the engine cannot be reached'],
    [9, 'the state cannot be read'],
    [141, 'the reader of the output has gone'],
  ],
  async run(args, context) {
    const { services, env, follow, lines = '100', since, until, host, release } = args
    if (!/^(all|\d{1,9})$/.test(lines)) throw usage('logs', `"--lines ${lines}" is neither a number nor all`)
    for (const [flag, value] of Object.entries({ since, until })) checkTime(flag, value)
    if (follow && until !== undefined) throw usage('logs', '"--follow" and "--until" exclude each other')
    const settings = await openSettingsOf({ env }, context)
    if (release !== undefined) return showKept(settings, release, context)
    const live = findLiveOn(settings)
    const names = liveServices(live)
    for (const service of services) if (!names.includes(service)) throw noService(live, { service, host: undefined })
    const { secrets } = context.report
    for (const part of live) await learnSecrets(secrets, part.host, [part.release])
    const project = live[0]?.release.bundle.project ?? ''
    const wish: LogWish = { project, services, tail: lines, since, until }
    const hosts = chooseHosts(settings, host)
    const print = logPrinter(context, { services: services.length > 0 ? services : names, several: hosts.length > 1 })
    if (!follow) {
      for (const line of await readLogs(hosts, secrets.mask, wish)) print(line)
      return context.outputFailed() ? 141 : 0
    }
    const signal = untilSignal()
    const ended = new AbortController()
    const clock = { now: context.clock, sleep: (ms: number) => Bun.sleep(ms) }
    const how = {
      ...{ mask: secrets.mask, clock, signal: AbortSignal.any([signal, ended.signal]) },
      print: (line: LogLine) => {
        print(line)
        if (context.outputFailed()) ended.abort()
      },
    }
    await followLogs(hosts, how, wish)
    return signal.aborted ? 128 + Number(signal.reason) : 141
  },
})

function checkTime(flag: string, value: string | undefined): void {
  if (value === undefined || parseDuration(value) !== undefined || !Number.isNaN(Date.parse(value))) return
  throw usage('logs', `"--${flag} ${value}" is no time`, {
    hint: 'For example: --since 10m, --since 2026-11-22T08:00:00Z',
  })
}

/** @returns what prints lines: names are aligned; on a terminal each service has its colour */
export function logPrinter(
  { report, isTerminal }: Context,
  { services, several }: { readonly services: readonly string[]; readonly several: boolean },
): (line: LogLine) => void {
  let width = Math.max(...services.map((service) => service.length)) + '-1'.length
  const painted = isTerminal(1)
  return (log) => {
    const { host, service, container, line } = log
    const short = container.replace(/^.*?-(?=[^-]+-\d+$)/, '')
    const name = several ? `${host} ${short}` : short
    width = Math.max(width, name.length)
    const tone: Tone = `name${(Math.max(0, services.indexOf(service)) % 6) as 0 | 1 | 2 | 3 | 4 | 5}`
    report.result('log', log, () => [`${painted ? report.paint(tone, pad(name, width)) : pad(name, width)} | ${line}`])
  }
}

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
