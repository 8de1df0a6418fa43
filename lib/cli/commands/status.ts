import { realpathSync } from 'node:fs'
import { loadConfig } from '../../config/parse.ts'
import { currentIds } from '../../record/release-status.ts'
import { type EnvironmentStatus, environmentStatus, isAsReleased, type Unusable } from '../../status/environment.ts'
import { formatStatus } from '../../status/format.ts'
import { parseDuration } from '../../util/duration.ts'
import { EXIT_CODES, StagecraftError } from '../../util/errors.ts'
import { usage } from '../arguments.ts'
import { command, environmentArgument } from '../command.ts'
import { LAST_RELEASES, statusJson } from '../status/json.ts'
import { openSettingsOf } from './release-arguments.ts'
import { releaseLines } from './release-history.ts'

export default command({
  name: 'status',
  description: 'Show what should run, what runs, and how they differ. Waits for no lock, and writes nothing.',
  reads: true,
  args: {
    env: { ...environmentArgument, description: 'only this environment (default: all of them)' },
    watch: {
      type: 'boolean',
      alias: 'w',
      description: 'show it again and again until Ctrl-C, with CPU, memory and requests',
    },
    interval: {
      type: 'string',
      valueHint: 'duration',
      description: 'with --watch: the pause between two looks (default: 2s)',
    },
  },
  streams: 'watch',
  examples: [
    ['stagecraft status', 'is all well?'],
    ['stagecraft status --watch', 'what changes, as it happens'],
    ['stagecraft status --env prod --json', 'the same, for a script'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [
      5,
      'something is not as released, or not healthy; a release was interrupted; a database cannot be queried, or its files differ; a certificate is missing or has ended; nothing has been deployed',
    ],
    [8, 'a host or the engine cannot be reached; the rest was shown'],
    [9, 'the state or a bundle cannot be read'],
  ],
  async run({ env, watch, interval }, context) {
    const { directory, report, clock } = context
    const pause = parseInterval(interval, watch)
    const config = await loadConfig(realpathSync(directory))
    const names = env === undefined ? Object.keys(config.environments).toSorted() : [env]
    if (watch) return (await import('../status/watch.ts')).watchStatus(names, pause, context)
    const all: EnvironmentStatus[] = []
    const unreachable: StagecraftError[] = []
    for (const environment of names) {
      const unusable: Unusable[] = []
      const onUnusable = (host: string, error: StagecraftError) => unusable.push({ host, error })
      const how = { onUnusable, onSwarm: true }
      const settings = await openSettingsOf({ env: environment }, context, how).catch((error: unknown) => {
        if (!(error instanceof StagecraftError) || error.kind !== 'unreachable') throw error
        unreachable.push(error) // thrown once the other environments are shown
      })
      if (settings === undefined) continue
      const status = await environmentStatus(settings, { exec: settings.host.exec, clock }, unusable)
      const marks = { currents: currentIds(status.releases), interrupted: status.interruptedIds }
      const last = status.releases.slice(0, LAST_RELEASES)
      report.result('status', statusJson(status, marks), () => [
        ...(all.length > 0 ? [''] : []),
        ...formatStatus(status, releaseLines(last, marks), clock()),
      ])
      all.push(status)
    }
    for (const error of [...unreachable, ...all.map(({ engineError }) => engineError)]) if (error) throw error
    return all.every(isAsReleased) ? 0 : EXIT_CODES.failed
  },
})

/** Milliseconds between two looks, and the least of it. */
const [PAUSE, LEAST] = [2_000, 500]

function parseInterval(text: string | undefined, watch: boolean): number {
  if (text === undefined) return PAUSE
  if (!watch) throw usage('status', '"--interval" is for --watch')
  const pause = parseDuration(text)
  if (pause !== undefined && pause >= LEAST) return pause
  throw usage('status', `"--interval ${text}" is not a duration of at least ${LEAST}ms`, {
    hint: 'For example: --interval 2s, --interval 1m',
  })
}
