import { dirname } from 'node:path'
import { hostKey } from '../../config/host-address.ts'
import type { Host } from '../../hosts/host.ts'
import { openProject, openSettings, type ProjectOptions } from '../../project/open.ts'
import type { Session } from '../../project/session.ts'
import { type Project, type Settings, withoutHooks } from '../../project/settings.ts'
import { resolveVersion, type SourceVersion } from '../../project/version.ts'
import { exec } from '../../system/exec.ts'
import { untilSignal } from '../../system/signals.ts'
import { parseDuration } from '../../util/duration.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'
import { type Context, environmentArgument } from '../command.ts'

/** The flags of the commands that make or plan a release. */
export const releaseArgs = {
  env: environmentArgument,
  version: {
    type: 'string',
    alias: 'v',
    valueHint: 'version',
    description: 'the name of the version (default: the git commit, or the time)',
    env: 'STAGECRAFT_VERSION',
  },
} as const

/** For commands about the proxy of a host. */
export const NO_PROXY = {
  onSwarm: 'Stagecraft has no proxy on a Swarm: do it in the one that you run there.',
} as const

/** How long to wait for another run. */
export const waitArgument = {
  type: 'string',
  valueHint: 'duration',
  description: 'how long to wait for another run to end (30s, 10m; default: not at all)',
} as const

/** For a hook that is broken. */
export const noHooksArgument = {
  type: 'boolean',
  description: 'run none of the hooks of stagecraft.yml',
} as const

/** @returns milliseconds @throws usage (2) */
export function parseWait(text: string | undefined): number {
  const wait = text === undefined ? 0 : parseDuration(text)
  if (wait !== undefined) return wait
  throw new StagecraftError('usage', `Cannot wait ${quote(text ?? '')}: it is not a duration`, {
    hint: 'For example: --wait 30s, --wait 10m, --wait 1h',
  })
}

/** Opens the environment's settings in stagecraft.yml, without the Compose file. */
export function openSettingsOf(
  args: { readonly env: string | undefined },
  context: Context,
  how: Pick<ProjectOptions, 'firstOnly' | 'onUnusable' | 'onSwarm'> = {},
): Promise<Settings> {
  const { directory, stateOverride } = context
  const open = { openHost: hostOpener(context), openSwarm: swarmOpener(context) }
  return openSettings({ directory, stateOverride, environment: args.env, ...open, ...how })
}

/** @returns a function that reads the releases in a Swarm. The connection to a manager is closed when the command ends. */
function swarmOpener(context: Context): NonNullable<ProjectOptions['openSwarm']> {
  return async (place, hosts, timeout) => {
    const signal = new AbortController().signal
    const { openManager, thisEngine } = await import('../../hosts/ssh/manager.ts')
    const manager = hosts.length === 0 ? thisEngine(exec) : await openManager(hosts, { exec, timeout, signal })
    const { openSwarmHost } = await import('../../hosts/swarm/host.ts')
    const host = await openSwarmHost(place, manager)
    context.onEnd(() => host.close())
    context.report.callPath(dirname(host.stateFile), `the Swarm, ${host.kept}`)
    return host
  }
}

/** @returns a function that connects to a host. The connection is closed when the command ends. */
function hostOpener(context: Context): NonNullable<ProjectOptions['openHost']> {
  return async (place, timeout) => {
    const { openRemoteHost } = await import('../../hosts/ssh/host.ts') // loaded only for environments on hosts
    const host = await openRemoteHost(place, { exec, timeout, signal: new AbortController().signal })
    context.onEnd(() => host.close())
    context.report.callPath(dirname(host.stateFile), `${host.name}:${host.folder}`)
    return host
  }
}

/** Opens the project and names the version. @param hosts already connected */
export async function openRelease(
  args: { readonly env: string | undefined; readonly version: string | undefined; readonly 'no-hooks'?: boolean },
  context: Context,
  hosts: readonly Host[] = [],
): Promise<{ project: Project; version: SourceVersion }> {
  const version = await resolveVersion(exec, context.directory, args.version, {
    clock: context.clock,
    warn: (why, remedy) =>
      context.report.emit({
        type: 'warning',
        message: `the version is the time, since git does not say which commit this is: ${why}`,
        hint: remedy,
      }),
  })
  const project = await openProjectOf(args, context, hosts, { onSwarm: true })
  context.report.secrets.addNames([version.name, version.commit])
  return { project: args['no-hooks'] ? withoutHooks(project) : project, version }
}

/** Opens the project: stagecraft.yml and the Compose files. @param hosts already connected */
export function openProjectOf(
  args: { readonly env: string | undefined },
  context: Context,
  hosts: readonly Host[] = [],
  how: Pick<ProjectOptions, 'onUnusable' | 'dev' | 'onSwarm'> = {},
): Promise<Project> {
  return openProject(exec, {
    directory: context.directory,
    environment: args.env,
    stateOverride: context.stateOverride,
    openHost: async (place, timeout) =>
      hosts.find(({ key }) => key === hostKey(place.host)) ?? hostOpener(context)(place, timeout),
    openSwarm: async (place, among, timeout) =>
      hosts.find(({ kept }) => kept !== undefined) ?? swarmOpener(context)(place, among, timeout),
    secrets: context.report.secrets,
    warn: warnOnce(context),
    ...how,
  })
}

const SAID = new WeakMap<Context, Set<string>>()

/** @returns a function that prints each warning of Compose once per command: after a wait the files are read again */
function warnOnce(context: Context): (message: string) => void {
  const said = SAID.get(context) ?? new Set<string>()
  SAID.set(context, said)
  return (message) => {
    if (said.has(message)) return
    said.add(message)
    context.report.emit({ type: 'warning', message: context.report.secrets.mask(message) })
  }
}

/** Printed at the first signal: undoing takes as long as containers take to stop, and would look like hanging. */
const INTERRUPTED = {
  type: 'warning',
  message: 'interrupted: undoing what was begun; a second signal stops at once and leaves everything as it is',
} as const

/** @param onSignal printed at the first signal @returns what the library needs of the outside world */
export function openSession(
  context: Context,
  { host }: Pick<Settings, 'host'>,
  onSignal: Parameters<Context['report']['emit']>[0] = INTERRUPTED,
): Session {
  const { emit } = context.report
  const clock = { now: context.clock, sleep: (ms: number) => Bun.sleep(ms) }
  // os.userInfo() of Bun 1.4 returns `unknown`.
  const { SUDO_USER, USER, LOGNAME } = context.env
  const user = SUDO_USER || USER || LOGNAME || `uid ${process.getuid?.()}`
  const { secrets } = context.report
  return { exec: host.exec, clock, emit, user, secrets, signal: untilSignal(() => emit(onSignal)) }
}
