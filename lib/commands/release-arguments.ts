import type { Context } from '../cli.ts'
import { exec } from '../exec.ts'
import { openProject, type Project } from '../project.ts'
import type { World } from '../release.ts'
import { untilSignal } from '../signals.ts'
import type { PhaseName } from '../state.ts'
import { resolveVersion, type Version } from '../version.ts'

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

/** Opens the project, names the version, and connects the library to the outside world. */
export async function openRelease(
  args: { readonly env: string | undefined; readonly version: string | undefined },
  context: Context,
): Promise<{ project: Project; version: Version; world: World }> {
  const version = await resolveVersion(exec, context.directory, args.version, context.clock)
  const project = await openProject(exec, {
    directory: context.directory,
    environment: args.env,
    stateOverride: context.stateOverride,
    warn: (message) => context.report.emit({ type: 'warning', message }),
  })
  context.report.addSecrets(project.secrets)
  return { project, version, world: openWorld(context) }
}

/** Undoing takes as long as containers take to stop: without a word that looks like hanging. */
const INTERRUPTED = {
  type: 'warning',
  message: 'interrupted: what was begun is undone; a second signal stops at once and leaves everything as it is',
} as const

/** Connects the library to the outside world. */
export function openWorld(context: Context): World {
  const { emit } = context.report
  const tell = context.verbose ? (phase: PhaseName, line: string) => emit({ type: 'output', phase, line }) : undefined
  const clock = { now: context.clock, sleep: (ms: number) => Bun.sleep(ms) }
  // Bun's os.userInfo() says `unknown` (1.4)
  const { SUDO_USER, USER, LOGNAME } = context.env
  const user = SUDO_USER || USER || LOGNAME || `uid ${process.getuid?.()}`
  return { exec, clock, emit, tell, user, signal: untilSignal(() => emit(INTERRUPTED)) }
}
