import { dirname } from 'node:path'
import type { Context } from '../cli.ts'
import { parseDuration } from '../duration.ts'
import { StagecraftError } from '../errors.ts'
import { exec } from '../exec.ts'
import { quote } from '../format.ts'
import type { Host } from '../host.ts'
import { openProject, openSettings, type Project, type ProjectOptions, type Settings } from '../project.ts'
import { untilSignal } from '../signals.ts'
import type { PhaseName } from '../state.ts'
import { resolveVersion, type Version } from '../version.ts'
import type { World } from '../world.ts'

/** The environment that a command acts on. */
export const environmentArgument = {
  type: 'string',
  valueHint: 'name',
  description: 'environment (may be left out when there is one)',
  env: 'STAGECRAFT_ENV',
} as const

/** The flags of every command that is about what a release would be. */
export const releaseArgs = {
  env: environmentArgument,
  version: {
    type: 'string',
    valueHint: 'version',
    description: 'what it is called (default: the git commit, or the time)',
    env: 'STAGECRAFT_VERSION',
  },
} as const

/** How long to wait for another run. */
export const waitArgument = {
  type: 'string',
  valueHint: 'duration',
  description: 'wait that long for another run to end (30s, 10m; default: not at all)',
} as const

/** @returns milliseconds */
export function parseWait(text: string | undefined): number {
  const wait = text === undefined ? 0 : parseDuration(text)
  if (wait !== undefined) return wait
  throw new StagecraftError('usage', `Cannot wait ${quote(text ?? '')}: it is not a duration`, {
    hint: 'For example: --wait 30s, --wait 10m, --wait 1h',
  })
}

/** Opens what stagecraft.yml says of the environment, without the Compose file. */
export function openSettingsOf(
  args: { readonly env: string | undefined },
  context: Context,
  how: Pick<ProjectOptions, 'firstOnly' | 'onUnusable'> = {},
): Promise<Settings> {
  const { directory, stateOverride } = context
  return openSettings({ directory, stateOverride, environment: args.env, openHost: hostOpener(context), ...how })
}

/** @returns what connects to hosts, each once for the length of the command */
function hostOpener(context: Context): NonNullable<ProjectOptions['openHost']> {
  return async (place, timeout) => {
    const { openRemoteHost } = await import('../remote-host.ts') // only who has hosts waits for it to load
    const host = await openRemoteHost(place, { exec, timeout, signal: new AbortController().signal })
    context.onEnd(() => host.close())
    context.report.callPath(dirname(host.stateFile), `${host.name}:${host.folder}`)
    return host
  }
}

/** Opens the project and names the version. @param hosts that have been connected to already */
export async function openRelease(
  args: { readonly env: string | undefined; readonly version: string | undefined },
  context: Context,
  hosts: readonly Host[] = [],
  how: Pick<ProjectOptions, 'onUnusable'> = {},
): Promise<{ project: Project; version: Version }> {
  const version = await resolveVersion(exec, context.directory, args.version, {
    clock: context.clock,
    warn: (why, remedy) =>
      context.report.emit({
        type: 'warning',
        message: `the version is the time, as git does not say which commit this is: ${why}`,
        hint: remedy,
      }),
  })
  const project = await openProject(exec, {
    directory: context.directory,
    environment: args.env,
    stateOverride: context.stateOverride,
    openHost: async (place, timeout) =>
      hosts.find(({ name }) => name === place.host.written) ?? hostOpener(context)(place, timeout),
    secrets: context.report.secrets,
    warn: warnOnce(context),
    ...how,
  })
  context.report.secrets.addNames([version.version, version.commit_sha])
  return { project, version }
}

const SAID = new WeakMap<Context, Set<string>>()

/** @returns what tells Compose's own words, once in the length of a command: after a wait the files are read again */
function warnOnce(context: Context): (message: string) => void {
  const said = SAID.get(context) ?? new Set<string>()
  SAID.set(context, said)
  return (message) => {
    if (said.has(message)) return
    said.add(message)
    context.report.emit({ type: 'warning', message: context.report.secrets.mask(message) })
  }
}

/** Undoing takes as long as containers take to stop: without a word that looks like hanging. */
const INTERRUPTED = {
  type: 'warning',
  message: 'interrupted: what was begun is undone; a second signal stops at once and leaves everything as it is',
} as const

/** Connects the library to the outside world. */
export function openWorld(context: Context, { host }: Pick<Settings, 'host'>): World {
  const { emit } = context.report
  const tell = context.verbose ? (phase: PhaseName, line: string) => emit({ type: 'output', phase, line }) : undefined
  const clock = { now: context.clock, sleep: (ms: number) => Bun.sleep(ms) }
  // Bun's os.userInfo() says `unknown` (1.4)
  const { SUDO_USER, USER, LOGNAME } = context.env
  const user = SUDO_USER || USER || LOGNAME || `uid ${process.getuid?.()}`
  const { secrets } = context.report
  return { exec: host.exec, clock, emit, tell, user, secrets, signal: untilSignal(() => emit(INTERRUPTED)) }
}
