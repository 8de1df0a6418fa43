import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from '../cli.ts'
import { StagecraftError } from '../errors.ts'
import { formatTime, plainLine, table } from '../format.ts'
import type { Host } from '../host.ts'
import { currentIds, findInterrupted, isUnfinished, statusAmong, statusOf, statusText } from '../release-status.ts'
import { openState, PHASES, type Release, type State, stateFile } from '../state.ts'

/** The flag of the commands that look at releases. */
export const environmentArg = {
  type: 'string',
  valueHint: 'name',
  description: 'only the releases of this environment',
  env: 'STAGECRAFT_ENV',
} as const

export interface History {
  readonly state: State
  /** Of every environment, newest first. */
  readonly releases: readonly Release[]
  readonly currents: ReadonlySet<string>
  /** that keeps them; undefined: this machine */
  readonly host: Host | undefined
}

/**
 * Reads the releases: the state file and nothing else. Those of an environment that runs on a host are read there.
 * @throws `state` (9) if it cannot be read; unreachable (8)
 */
export async function openHistory(context: Context, environment: string | undefined): Promise<History> {
  const host = await hostOf(context, environment)
  const file = host?.stateFile ?? stateFile(context.directory, context.stateOverride)
  const state = openState(file, { clock: context.clock })
  const releases = state.history()
  return { state, releases, currents: currentIds(releases), host }
}

/** Only a file that says `hosts` or `root` is parsed: most calls do without, and start faster. */
async function hostOf(context: Context, environment: string | undefined): Promise<Host | undefined> {
  const file = join(context.directory, 'stagecraft.yml')
  if (context.stateOverride !== undefined || !existsSync(file)) return undefined
  if (!/hosts|root/.test(readFileSync(file, 'utf8'))) return undefined
  const { loadConfig } = await import('../config.ts')
  const { environments } = await loadConfig(context.directory)
  const [only, ...others] = Object.keys(environments)
  const name = environment ?? (others.length === 0 ? only : undefined)
  if (name === undefined || (environments[name]?.hosts ?? environments[name]?.root) === undefined) return undefined
  const { openSettingsOf } = await import('./release-arguments.ts')
  return (await openSettingsOf({ env: name }, context, { firstOnly: true })).host
}

/**
 * @param shown releases that are to be shown
 * @returns the ids of those whose run died. Only where one is unfinished is a lock looked at, and its code loaded.
 */
export async function interruptedAmong(
  shown: readonly Release[],
  { state, host }: Pick<History, 'state' | 'host'>,
): Promise<ReadonlySet<string>> {
  if (!shown.some((release) => isUnfinished(statusOf(release)))) return new Set()
  const { readLock } = await import('../lock.ts')
  return findInterrupted(shown, {
    releases: () => state.history(),
    lock: (environment) => host?.readLock(environment) ?? readLock(state.file, environment),
  })
}

/** What is known of releases besides their records, by id. */
export interface Marks {
  readonly currents: ReadonlySet<string>
  readonly interrupted: ReadonlySet<string>
}

/** A table of releases. */
export function releaseLines(releases: readonly Release[], { currents, interrupted }: Marks): string[] {
  const rows = releases.map((release) => [
    `${currents.has(release.id) ? '*' : ' '} ${release.id}`,
    plainLine(release.environment),
    plainLine(release.version),
    statusText(statusAmong(release, interrupted)),
    formatTime(release.timestamp),
  ])
  return table([['  ID', 'ENVIRONMENT', 'VERSION', 'STATUS', 'STARTED'], ...rows])
}

/** A release as `--json` shows it. */
export function releaseJson(release: Release, { currents, interrupted }: Marks): object {
  const { id, environment, version, timestamp, commit_sha, previous_id } = release
  // Other tools may have phases of their own.
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, release.phases[phase]]))
  const current = currents.has(id)
  const previous = previous_id === undefined ? {} : { previous_id }
  return {
    id,
    environment,
    version,
    ...statusAmong(release, interrupted),
    current,
    timestamp,
    commit_sha,
    phases,
    ...previous,
  }
}

/**
 * An environment is there if it has releases or is configured. `stagecraft.yml` is read only where there are none: most
 * calls do without, and start faster.
 * @throws `not-found`
 */
export async function requireEnvironment(name: string, releases: readonly Release[], directory: string): Promise<void> {
  if (releases.some(({ environment }) => environment === name)) return
  const { loadConfig, unknownEnvironment } = await import('../config.ts')
  const configured = Object.keys((await loadConfig(directory)).environments)
  if (configured.includes(name)) return
  throw unknownEnvironment(name, [...new Set([...configured, ...environmentsOf(releases)])])
}

/** @throws `usage` where "the latest" could be that of several environments. */
export function requireOneEnvironment(reference: string, releases: readonly Release[]): void {
  const names = environmentsOf(releases)
  if (names.length <= 1) return
  throw new StagecraftError('usage', `Cannot choose the ${reference} release: there are ${names.length} environments`, {
    hint: `Add --env <name>. Environments: ${names.join(', ')}`,
  })
}

function environmentsOf(releases: readonly Release[]): string[] {
  return [...new Set(releases.map(({ environment }) => environment))].toSorted()
}
