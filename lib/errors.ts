/** What went wrong, as the exit code tells it (spec/core/cli.md). */
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
 * The one error class. `message` reads `Cannot <verb> <what>: <reason>`, `hint` says what to do next.
 * `detail` is what a child process or container said, shown whole below the message.
 */
export class StagecraftError extends Error {
  readonly kind: ErrorKind
  readonly hint: string | undefined
  readonly detail: string | undefined

  constructor(kind: ErrorKind, message: string, options: { hint?: string; detail?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StagecraftError'
    this.kind = kind
    this.hint = options.hint
    this.detail = options.detail
  }
}

/** @returns the process exit code of an error: anything that is not ours is a bug (1). */
export function exitCodeOf(error: unknown): number {
  return error instanceof StagecraftError ? EXIT_CODES[error.kind] : EXIT_CODES.bug
}

/** @returns the errno name (`ENOENT`, `ENOSPC` …) of a system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
