import { StagecraftError } from '../util/errors.ts'

/** An error as it is printed. `kind` is that of StagecraftError, or `bug`. */
export interface ErrorReport {
  readonly kind: string
  readonly message: string
  readonly hint?: string | undefined
  readonly detail?: string | undefined
  /** only for bugs */
  readonly stack?: string | undefined
}

const REPORT_HINT = 'Please report it, with what the same command prints with --verbose.'

/** @returns what to print for anything that was thrown. Anything but a StagecraftError is a bug in Stagecraft. */
export function errorReport(error: unknown, options: { readonly verbose: boolean }): ErrorReport {
  const stack = options.verbose && error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}
  if (!(error instanceof StagecraftError)) {
    const message = error instanceof Error ? error.message : String(error)
    return { kind: 'bug', message: `Stagecraft has a bug: ${message}`, hint: REPORT_HINT, ...stack }
  }
  const { kind, message, hint, detail } = error
  return {
    kind,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(detail === undefined ? {} : { detail }),
    ...(kind === 'bug' ? stack : {}),
  }
}
