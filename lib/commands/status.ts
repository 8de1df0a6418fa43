import { realpathSync } from 'node:fs'
import { command } from '../cli.ts'
import { loadConfig } from '../config.ts'
import { EXIT_CODES, StagecraftError } from '../errors.ts'
import { currentIds } from '../release-status.ts'
import { type EnvironmentStatus, environmentStatus, isAsReleased, type Unusable } from '../status.ts'
import { formatStatus } from '../status-format.ts'
import { openSettingsOf } from './release-arguments.ts'
import { type Marks, releaseJson, releaseLines } from './release-history.ts'

const LAST_RELEASES = 5

export default command({
  name: 'status',
  description: 'Show what should run and what runs, and how they differ. Waits for no lock, and writes nothing.',
  reads: true,
  args: {
    env: {
      type: 'string',
      valueHint: 'name',
      description: 'only this environment (default: all of them)',
      env: 'STAGECRAFT_ENV',
    },
  },
  examples: [
    ['stagecraft status', 'is all well?'],
    ['stagecraft status --env prod --json', 'the same, for a script'],
  ],
  exits: [
    [3, 'stagecraft.yml is invalid'],
    [4, 'no such environment'],
    [5, 'something is not as released, or not healthy; or nothing has been deployed'],
    [8, 'the engine cannot be reached; what is known without it was shown'],
    [9, 'the state cannot be read'],
  ],
  async run({ env }, context) {
    const { directory, report, clock } = context
    const config = await loadConfig(realpathSync(directory))
    const names = env === undefined ? Object.keys(config.environments).toSorted() : [env]
    const all: EnvironmentStatus[] = []
    const unreachable: StagecraftError[] = []
    for (const environment of names) {
      const unusable: Unusable[] = []
      const onUnusable = (host: string, error: StagecraftError) => unusable.push({ host, error })
      const settings = await openSettingsOf({ env: environment }, context, { onUnusable }).catch((error: unknown) => {
        if (!(error instanceof StagecraftError) || error.kind !== 'unreachable') throw error
        unreachable.push(error) // the others are shown all the same
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

function statusJson(status: EnvironmentStatus, marks: Marks): object {
  const { environment, serving, drift, interrupted, underWay, lock, silent, services, copies } = status
  return {
    environment,
    as_released: isAsReleased(status),
    serving: serving ?? null,
    engine: silent.length === 0 ? 'ok' : services === undefined ? 'unreachable' : 'partly',
    ...(silent.some((host) => host !== '') ? { unreachable: silent } : {}),
    services: services ?? [],
    drift,
    copies,
    interrupted,
    ...(underWay ? { under_way: underWay.release.id } : {}),
    lock,
    releases: status.releases.slice(0, LAST_RELEASES).map((release) => releaseJson(release, marks)),
  }
}
