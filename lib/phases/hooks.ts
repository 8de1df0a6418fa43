import { commandText, runnable } from '../config/fields.ts'
import { HOOK_NAMES, type HookConfig, type HookName } from '../config/hooks.ts'
import type { HookPlan } from '../plan/input.ts'
import type { PhaseName } from '../plan/six-phases.ts'
import type { Project } from '../project/settings.ts'
import { type Ending, releaseDocument } from '../record/release-json.ts'
import { stateFile } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { type Mask, maskJson } from '../secrets/mask.ts'
import type { Exec, Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { formatDuration, jsonLine } from '../util/format.ts'
import type { ReleaseRun } from './host-run.ts'

/** Runs the hooks of an environment around the phases of a release (spec/core/hooks.md). */
export interface Hooks {
  /** @throws failed (5): the release stops */
  before(phase: PhaseName): Promise<void>
  /** Never throws: a hook that fails is a warning. */
  after(phase: PhaseName): Promise<void>
  /** The release has failed in this phase. Never throws. */
  ended(phase: PhaseName, signal: number | undefined): Promise<void>
}

/** What hooks work with besides the release. */
interface HookTools {
  /** runs programs on the machine where Stagecraft was called */
  readonly exec: Exec
  /** a file descriptor with the environment's lock: it is held until a hook has ended, also if the run dies */
  readonly lock: number | undefined
}

/** What a hook gets to know about the release. */
interface Moment {
  readonly phase: PhaseName
  readonly status: Ending
  /** ends the hook */
  readonly signal?: AbortSignal
}

/** Milliseconds that a hook may go on after its run has died. */
const OUTLIVE = 5_000

/** Bytes kept of what a hook prints, for its error. */
const KEPT = 16 * 1024

/** @param run whose configuration names the hooks */
export function openHooks(run: ReleaseRun, release: Release, tools: HookTools): Hooks {
  const { hooks = {} } = run.project.environment
  const act = async (name: HookName, moment: Moment) => {
    const hook = hooks[name]
    if (hook !== undefined) await runHook({ name, hook, moment }, { run, release, tools })
  }
  const harmless = async (name: HookName, moment: Moment) => {
    await act(name, moment).catch((error: unknown) => {
      if (!(error instanceof StagecraftError)) throw error
      const message = error.message.replace(/^Cannot run the hook ([^:]+):/, 'the hook $1 failed:')
      const hint = error.detail?.split('\n').at(-1)
      run.tools.emit({ type: 'warning', message, ...(hint ? { hint } : {}) })
    })
  }
  const { signal } = run.tools
  return {
    before: (phase) => act(`before_${phase}`, { phase, status: 'running', signal }),
    after: (phase) => harmless(`after_${phase}`, { phase, status: 'completed', signal }),
    ended: (phase, ended) =>
      ended === undefined
        ? harmless('on_failure', { phase, status: 'failed' })
        : harmless('on_interrupt', { phase, status: 'interrupted' }),
  }
}

/** @returns the hooks of a release, in order: with several hosts in the plan of the first one */
export function planHooks({ environment, host, hosts }: Project, mask: Mask): HookPlan[] {
  if (host !== hosts[0]) return []
  return HOOK_NAMES.flatMap((name) => {
    const hook = environment.hooks?.[name]
    return hook === undefined ? [] : [{ hook: name, command: mask(commandText(hook.command)) }]
  })
}

interface Called {
  readonly name: HookName
  readonly hook: HookConfig
  readonly moment: Moment
}

interface Scene {
  readonly run: ReleaseRun
  readonly release: Release
  readonly tools: HookTools
}

/** The bundle names the hook while it runs: if the run dies, the next command says so. */
async function runHook({ name, hook, moment }: Called, scene: Scene): Promise<void> {
  const { run, release, tools } = scene
  const { clock, emit } = run.tools
  const { mask } = run.hostRuns[0].tools.docker
  const text = mask(commandText(hook.command))
  const began = clock.now()
  run.bundle.save({ hook: { name, command: text } })
  emit({ type: 'hook', hook: name, step: 'run', note: text })
  const result = await tools
    .exec(runnable('hook', hook.command), {
      cwd: run.project.directory,
      env: environmentOf(name, moment, scene),
      input: `${jsonLine(maskJson({ ...releaseDocument(run.state, release, moment.status), hook: name }, mask))}\n`,
      timeout: hook.timeout,
      signal: moment.signal,
      merge: true,
      limit: KEPT,
      outlive: OUTLIVE,
      inheritFd: tools.lock,
      onLine: (line) => run.tools.emit({ type: 'output', phase: moment.phase, line: mask(line), hook: name }),
    })
    .finally(() => forget(run))
  const failure = failureOf(result, hook)
  if (failure === undefined) {
    emit({ type: 'hook', hook: name, step: 'done', note: formatDuration(clock.now() - began) })
    return
  }
  emit({ type: 'hook', hook: name, step: 'failed', note: failure })
  const before = name.startsWith('before_') ? { hint: 'To release without hooks: --no-hooks' } : {}
  throw new StagecraftError('failed', `Cannot run the hook ${name}: ${text} ${failure}`, {
    detail: mask(result.stdout.trim()) || undefined,
    ...before,
  })
}

/** The next write of the bundle says that it has ended. Why a hook failed says more than a full disk, which may be the reason. */
function forget({ bundle }: ReleaseRun): void {
  try {
    bundle.save({ hook: undefined })
  } catch {
    bundle.now = { ...bundle.now, hook: undefined }
  }
}

function failureOf({ code, timedOut }: Result, { timeout }: HookConfig): string | undefined {
  if (timedOut) return `did not end within ${formatDuration(timeout)}, and was ended`
  return code === 0 ? undefined : `ended with ${code}`
}

function environmentOf(name: HookName, { phase, status }: Moment, { run, release }: Scene): Record<string, string> {
  const { project, serving, hostRuns, kind } = run
  const { directory, host } = project
  const isHere = host.isLocal && host.kept === undefined
  const isElsewhere = isHere && project.environment.root === undefined && host.stateFile !== stateFile(directory)
  return {
    STAGECRAFT_HOOK: name,
    STAGECRAFT_COMMAND: kind,
    STAGECRAFT_PHASE: phase,
    STAGECRAFT_STATUS: status,
    STAGECRAFT_ENV: release.environment,
    STAGECRAFT_PROJECT: project.model.name,
    STAGECRAFT_VERSION: release.version,
    STAGECRAFT_COMMIT: release.commit_sha,
    STAGECRAFT_RELEASE: release.id,
    STAGECRAFT_PREVIOUS: serving?.bundle.version ?? '',
    STAGECRAFT_PREVIOUS_RELEASE: serving?.bundle.id ?? '',
    STAGECRAFT_HOSTS: hostRuns.flatMap(({ request }) => request.project.host.name || []).join(' '),
    STAGECRAFT_DIRECTORY: directory,
    // Calls of stagecraft in the hook use the same state.
    ...(isElsewhere ? { STAGECRAFT_STATE_FILE: host.stateFile } : {}),
  }
}
