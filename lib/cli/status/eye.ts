import type { Settings } from '../../project/settings.ts'
import { type EnvironmentStatus, environmentStatus, type Unusable } from '../../status/environment.ts'
import { type Figures, figuresOf, NO_FIGURES } from '../../status/figures.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Context } from '../command.ts'
import { openSettingsOf } from '../commands/release-arguments.ts'

/** An environment at one moment; or why nothing is known of it. */
export type Seen =
  | { readonly environment: string; readonly status: EnvironmentStatus }
  | { readonly environment: string; readonly error: StagecraftError }

/** Looks at one environment again and again, over the same connections. */
export interface Eye {
  /** @throws what `status` throws, unless it is that a host cannot be reached */
  look(): Promise<Seen>
  /** Takes about two seconds. */
  measure(seen: Seen): Promise<Figures>
  close(): Promise<void>
}

interface Opened {
  readonly settings: Settings
  readonly unusable: readonly Unusable[]
  close(): Promise<void>
}

/** Milliseconds from one attempt to connect to a host that cannot be reached to the next. */
const BETWEEN_ATTEMPTS = 5_000

export function openEye(environment: string, context: Context): Eye {
  const { clock } = context
  let [opened, next]: (Opened | undefined)[] = []
  let failure: unknown
  let isConnecting = false
  let tried = Number.NEGATIVE_INFINITY
  const connect = async () => {
    if (isConnecting || clock() - tried < BETWEEN_ATTEMPTS) return
    isConnecting = true
    try {
      next = await open(environment, context)
    } catch (error) {
      failure = error
    }
    tried = clock()
    isConnecting = false
  }
  return {
    async look() {
      if (opened === undefined && failure === undefined) await connect()
      if (next !== undefined) {
        await opened?.close()
        ;[opened, next, failure] = [next, undefined, undefined]
      }
      const error = failure === undefined ? undefined : unreachable(failure)
      if (error !== undefined) void connect() // meanwhile the hosts that answer are looked at
      if (opened === undefined) return { environment, error: error ?? new StagecraftError('bug', 'Cannot connect') }
      const { settings, unusable } = opened
      const refreshed = await settings.host.refreshIfChanged?.().catch(unreachable)
      const status = await environmentStatus(settings, { exec: settings.host.exec, clock }, unusable, 'running')
      if (refreshed instanceof StagecraftError || status.silent.some((host) => host !== '')) void connect()
      return { environment, status }
    },
    async measure(seen) {
      if (opened === undefined || 'error' in seen) return NO_FIGURES
      return figuresOf(opened.settings, seen.status, { exec: opened.settings.host.exec, clock })
    },
    close: async () => opened?.close(),
  }
}

/** Connects to the hosts of an environment. If one of them fails that must not, the others are let go. */
async function open(env: string, context: Context): Promise<Opened> {
  const ends: (() => Promise<void>)[] = []
  const close = async () => void (await Promise.all(ends.map((end) => end().catch(() => {}))))
  const unusable: Unusable[] = []
  const onUnusable = (host: string, error: StagecraftError) => unusable.push({ host, error })
  const own = { ...context, onEnd: (act: () => Promise<void>) => void ends.push(act) }
  try {
    return { settings: await openSettingsOf({ env }, own, { onUnusable, onSwarm: true }), unusable, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** @returns the error, if it is that something cannot be reached @throws any other */
function unreachable(error: unknown): StagecraftError {
  if (error instanceof StagecraftError && error.kind === 'unreachable') return error
  throw error
}
