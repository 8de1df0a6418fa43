import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '../../hosts/host.ts'
import type { Marks } from '../../record/release-json.ts'
import {
  currentIds,
  findInterrupted,
  isUnfinished,
  statusAmong,
  statusOf,
  statusText,
} from '../../record/release-status.ts'
import { openState, type State, stateFile } from '../../record/releases.ts'
import type { Release } from '../../record/releases-file/format.ts'
import { StagecraftError } from '../../util/errors.ts'
import { formatMinute, plainLine, table } from '../../util/format.ts'
import type { Context } from '../command.ts'

interface History {
  readonly state: State
  /** of every environment, newest first */
  readonly releases: readonly Release[]
  readonly currents: ReadonlySet<string>
  /** the host that keeps them; undefined: this machine */
  readonly host: Host | undefined
}

/**
 * Reads the releases from the state file alone. Those of an environment on a host are read there.
 * @throws `state` (9) if it cannot be read; unreachable (8)
 */
export async function openHistory(context: Context, environment: string | undefined): Promise<History> {
  const host = await hostOf(context, environment)
  const file = host?.stateFile ?? stateFile(context.directory, context.stateOverride)
  const state = openState(file, { clock: context.clock })
  const releases = state.history()
  return { state, releases, currents: currentIds(releases), host }
}

/** stagecraft.yml is parsed only if it contains one of these words: most calls start faster without. */
async function hostOf(context: Context, environment: string | undefined): Promise<Host | undefined> {
  const file = join(context.directory, 'stagecraft.yml')
  if (context.stateOverride !== undefined || !existsSync(file)) return undefined
  if (!/hosts|root|swarm/.test(readFileSync(file, 'utf8'))) return undefined
  const { loadConfig } = await import('../../config/parse.ts')
  const { environments } = await loadConfig(context.directory)
  const [only, ...others] = Object.keys(environments)
  const name = environment ?? (others.length === 0 ? only : undefined)
  const chosen = name === undefined ? undefined : environments[name]
  if (chosen?.engine !== 'swarm' && (chosen?.hosts ?? chosen?.root) === undefined) return undefined
  const { openSettingsOf } = await import('./release-arguments.ts')
  return (await openSettingsOf({ env: name }, context, { firstOnly: true })).host
}

/**
 * @param shown the releases that are shown
 * @returns the ids of those whose run died. The locks are read, and their code loaded, only if one of them is unfinished.
 */
export async function interruptedAmong(
  shown: readonly Release[],
  { state, host }: Pick<History, 'state' | 'host'>,
): Promise<ReadonlySet<string>> {
  if (!shown.some((release) => isUnfinished(statusOf(release)))) return new Set()
  const { readLock } = await import('../../lock/environment-lock.ts')
  return findInterrupted(shown, {
    releases: () => state.history(),
    lock: (environment) => host?.readLock(environment) ?? readLock(state.file, environment),
  })
}

/** @returns the lines of a table of releases */
export function releaseLines(releases: readonly Release[], { currents, interrupted }: Marks): string[] {
  const rows = releases.map((release) => [
    `${currents.has(release.id) ? '*' : ' '} ${release.id}`,
    plainLine(release.environment),
    plainLine(release.version),
    statusText(statusAmong(release, interrupted)),
    formatMinute(release.timestamp),
  ])
  return table([['  ID', 'ENV', 'VERSION', 'STATUS', 'STARTED'], ...rows])
}

/**
 * An environment exists if it has releases or is configured. `stagecraft.yml` is read only if it has no releases.
 * @throws `not-found` (4)
 */
export async function requireEnvironment(name: string, releases: readonly Release[], directory: string): Promise<void> {
  if (releases.some(({ environment }) => environment === name)) return
  const { loadConfig, unknownEnvironment } = await import('../../config/parse.ts')
  const configured = Object.keys((await loadConfig(directory)).environments)
  if (configured.includes(name)) return
  throw unknownEnvironment(name, [...new Set([...configured, ...environmentsOf(releases)])])
}

/** @throws `usage` (2) if there are several environments, each with a latest release */
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
