import type { Context } from '../cli.ts'
import type { World } from '../deploy.ts'
import { exec } from '../exec.ts'
import { openProject, type Project } from '../project.ts'
import { untilSignal } from '../signals.ts'
import type { PhaseName } from '../state.ts'
import { resolveVersion, type Version } from '../version.ts'

/** The flags of every command that is about what a release would be. */
export const releaseArgs = {
  env: {
    type: 'string',
    valueHint: 'name',
    description: 'environment (may be left out when there is one)',
    env: 'STAGECRAFT_ENV',
  },
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
  const { emit } = context.report
  context.report.addSecrets(project.secrets)
  const tell = context.verbose ? (phase: PhaseName, line: string) => emit({ type: 'output', phase, line }) : undefined
  const clock = { now: context.clock, sleep: (ms: number) => Bun.sleep(ms) }
  return { project, version, world: { exec, clock, emit, tell, signal: untilSignal() } }
}
