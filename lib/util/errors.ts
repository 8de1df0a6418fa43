/** The exit code of each kind of error (spec/core/cli.md). */
export const EXIT_CODES = {
  bug: 1,
  usage: 2,
  config: 3,
  'not-found': 4,
  failed: 5,
  'not-restored': 6,
  locked: 7,
  unreachable: 8,
  state: 9,
  'after-commit': 10,
  'to-do': 11,
} as const satisfies Record<string, number>

export type ErrorKind = keyof typeof EXIT_CODES

/**
 * The only error class. `message` reads `Cannot <verb> <what>: <reason>`, `hint` says what to do next.
 * `detail` is the output of a child process or container, shown whole below the message.
 */
export class StagecraftError extends Error {
  readonly kind: ErrorKind
  readonly hint: string | undefined
  readonly detail: string | undefined
  /** the signal that ended the work: the exit code is then 128 + its number */
  readonly signal: number | undefined

  constructor(kind: ErrorKind, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StagecraftError'
    this.kind = kind
    this.hint = options.hint
    this.detail = options.detail
    this.signal = options.signal
  }

  /** @returns the same error with these parts instead of its own */
  with(changes: ErrorOptions & { readonly kind?: ErrorKind; readonly message?: string }): StagecraftError {
    const { kind, message, hint, detail, cause, signal } = this
    const whole = { kind, message, hint, detail, cause, signal, ...changes }
    return new StagecraftError(whole.kind, whole.message, whole)
  }
}

interface ErrorOptions {
  hint?: string | undefined
  detail?: string | undefined
  cause?: unknown
  signal?: number | undefined
}

/** @returns the error (5) for a failed program: `Cannot <what>: <program> exited with <code>`. */
export function programError(
  what: string,
  {
    argv: [program = ''],
    code,
    stdout,
    stderr,
  }: { argv: readonly string[]; code: number; stdout: string; stderr: string },
): StagecraftError {
  const detail = stderr.trim() || stdout.trim()
  return new StagecraftError('failed', `Cannot ${what}: ${program} exited with ${code}`, { detail })
}

/** @returns the same error with another hint after its own. */
export function withHint(error: StagecraftError, hint: string): StagecraftError {
  return error.with({ hint: [error.hint, hint].filter(Boolean).join('\n') })
}

/** @returns message and detail of an error, for files. */
export function errorText(error: unknown): string {
  if (!(error instanceof StagecraftError)) return error instanceof Error ? error.message : String(error)
  return [error.message, error.detail].filter(Boolean).join('\n')
}

/** @returns the process exit code of an error: any other error class is a bug (1). */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof StagecraftError)) return EXIT_CODES.bug
  return error.signal === undefined ? EXIT_CODES[error.kind] : 128 + error.signal
}

/** @returns the errno name (`ENOENT`, `ENOSPC` …) of a system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** Works with files. A system error becomes the one that `say` makes of its errno name; any other error stays as it is. */
export function sayingErrno<T>(work: () => T, say: (code: string, cause: unknown) => StagecraftError): T {
  try {
    return work()
  } catch (cause) {
    const code = errnoOf(cause)
    throw code === undefined ? cause : say(code, cause)
  }
}
