import type { Docker } from './docker.ts'
import { parseEngineTime } from './docker-json.ts'
import { parseDuration } from './duration.ts'
import { StagecraftError } from './errors.ts'
import type { Exec, Result } from './exec.ts'
import { quote } from './format.ts'

/** Milliseconds until a command is asked about for the first time, and from one time to the next. */
const BETWEEN_LOOKS = 5_000

/** A timer's milliseconds are 32 bits: a longer one would end at once. */
const MAX_TIMER = 2 ** 31 - 1

/** @returns milliseconds that an engine may take to answer: STAGECRAFT_ENGINE_TIMEOUT, or a minute. @throws usage (2) */
export function engineTimeout(env: Readonly<Record<string, string | undefined>>): number {
  const text = env['STAGECRAFT_ENGINE_TIMEOUT'] || '60s'
  const timeout = parseDuration(text)
  if (timeout) return Math.min(timeout, MAX_TIMER)
  throw new StagecraftError('usage', `Cannot use STAGECRAFT_ENGINE_TIMEOUT: ${quote(text)} is not a time span`, {
    hint: 'For example: STAGECRAFT_ENGINE_TIMEOUT=60s, or 5m for an engine that is slow to answer.',
  })
}

/**
 * Runs a docker command of any length, for as long as its engine lives: one that hangs (SIGSTOP, a dead disk) accepts
 * connections and never answers. While the command runs, the engine is asked for its version now and then; a command that
 * ends before the first look costs nothing more.
 * @throws unreachable (8) when the engine has not answered for `timeout` milliseconds; the command has been ended then
 */
export async function whileEngineAnswers(
  { exec, timeout, signal }: { exec: Exec; timeout: number; signal: AbortSignal | undefined },
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const [hung, over] = [new AbortController(), new AbortController()]
  const pause = Math.min(BETWEEN_LOOKS, timeout)
  const look = async () => {
    const argv = ['docker', 'version', '--format', '{{.Server.Version}}']
    const result = await exec(argv, { timeout, signal: over.signal }).catch(() => undefined)
    if (over.signal.aborted) return
    if (result?.timedOut) hung.abort()
    else timer = setTimeout(look, pause)
  }
  let timer = setTimeout(look, pause)
  try {
    const result = await run(AbortSignal.any(signal ? [signal, hung.signal] : [hung.signal]))
    if (hung.signal.aborted && !signal?.aborted) throw hungEngine(timeout)
    return result
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}

/**
 * @returns what time it is by the engine's own clock, epoch milliseconds: what it says of containers and events is compared
 * with nothing else
 * @throws failed (5), unreachable (8)
 */
export async function engineNow(docker: Docker): Promise<number> {
  const args = ['info', '--format', '{{.SystemTime}}']
  const { stdout } = await docker.run('ask the engine for its time', args, { asks: true })
  const time = parseEngineTime(stdout.trim())
  if (time !== undefined) return time
  throw new StagecraftError('failed', 'Cannot ask the engine for its time: docker info says none', { detail: stdout })
}

/** @returns the error for an engine that has not answered for that many milliseconds. */
export function hungEngine(timeout: number): StagecraftError {
  return new StagecraftError(
    'unreachable',
    `Cannot reach the Docker engine: it has not answered for ${timeout / 1000} s`,
    {
      hint: 'See what it does (systemctl status docker), restart it (sudo systemctl restart docker), then try again.',
    },
  )
}

/** The CLI has no code of its own for this; both sentences are the client library's (docker/docker client/errors.go). */
export function engineIsGone(said: string): boolean {
  return /Cannot connect to the Docker daemon|error during connect|permission denied while trying to connect/.test(said)
}

/** @returns the error for an engine that cannot be talked to. */
export function noEngine(said: string): StagecraftError {
  const denied = said.includes('permission denied')
  return new StagecraftError('unreachable', 'Cannot reach the Docker engine: it does not answer', {
    detail: [...new Set(said.split('\n'))].join('\n'), // docker says it once for each name it was asked for
    hint: denied
      ? 'Add yourself to the group of the Docker socket (usually docker), log in again, then try again.'
      : 'Start it (sudo systemctl start docker), or point DOCKER_HOST or `docker context use` at one that runs.',
  })
}

/** Containers that have a port are named before anything is changed (lib/obstacles.ts): this is another program, or one that came meanwhile. */
export function portHint(said: string): string | undefined {
  const words = /(?:listen \w+|Bind for|bind host port(?: for)?) [^\s]*?:(\d+)\b.*(?:already in use|already allocated)/
  const port = words.exec(said)?.[1]
  return port && `Who has port ${port} there: sudo ss -lntup 'sport = :${port}'. Stop it, or publish another port.`
}
