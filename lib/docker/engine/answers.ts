import type { Exec, Result } from '../../system/exec.ts'
import { parseDuration } from '../../util/duration.ts'
import { StagecraftError } from '../../util/errors.ts'
import { quote } from '../../util/format.ts'

/** Milliseconds before the first check of the engine, and between checks. */
const BETWEEN_LOOKS = 5_000

/** A timer has 32 bits for its milliseconds: a longer one would fire at once. */
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
 * Runs a docker command of any length while its engine answers: one that hangs (SIGSTOP, a dead disk) accepts connections and
 * never answers. While the command runs, the engine is asked for its version at intervals; a command that ends before the first
 * check costs nothing more.
 * @throws unreachable (8) if the engine has not answered for `timeout` milliseconds; the command has been ended then
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

/** @returns the error (8) for an engine that has not answered for that many milliseconds. */
export function hungEngine(timeout: number): StagecraftError {
  return new StagecraftError(
    'unreachable',
    `Cannot reach the Docker engine: it has not answered for ${timeout / 1000} s`,
    {
      hint: 'Check its state (systemctl status docker), restart it (sudo systemctl restart docker), then try again.',
    },
  )
}

/** The CLI has no exit code for this; the sentences are the client library's (docker/docker client/errors.go). */
export function engineIsGone(said: string): boolean {
  return /Cannot connect to the Docker daemon|error during connect|permission denied while trying to connect/.test(said)
}

/** @returns whether a connection to the engine was closed at once: what forwards it does not reach the engine. */
export function wasClosedAtOnce(said: string): boolean {
  return /connection reset|EOF|broken pipe/.test(said)
}

/** @returns the error (8) for an engine that cannot be reached. */
export function noEngine(said: string): StagecraftError {
  const denied = said.includes('permission denied')
  return new StagecraftError('unreachable', 'Cannot reach the Docker engine: it does not answer', {
    detail: [...new Set(said.split('\n'))].join('\n'), // docker repeats it for each name in the command
    hint: denied
      ? 'Add yourself to the group of the Docker socket (usually docker), log in again, then try again.'
      : 'Start it (sudo systemctl start docker), or point DOCKER_HOST or `docker context use` at one that runs.',
  })
}

/** A container with the port is found before the rollout (obstacles.ts): this is another program, or a later container. */
export function portHint(said: string): string | undefined {
  const words = /(?:listen \w+|Bind for|bind host port(?: for)?) [^\s]*?:(\d+)\b.*(?:already in use|already allocated)/
  const port = words.exec(said)?.[1]
  return (
    port && `Find the program on port ${port}: sudo ss -lntup 'sport = :${port}'. Stop it, or publish another port.`
  )
}
