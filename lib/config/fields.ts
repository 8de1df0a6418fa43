import * as v from 'valibot'
import { DAY, DURATION, parseDuration } from '../util/duration.ts'

const MAX_DURATION = DAY
export const CONTROL = /\p{Cc}/u
export const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
export const SERVICE = /^[a-zA-Z0-9._-]+$/

export const name = (what: string) =>
  v.pipe(
    v.string(`must be ${what}`),
    v.regex(NAME, `must be ${what} (lower-case letters, digits, - and _; at most 63)`),
  )

export const path = v.pipe(
  v.string('must be a path'),
  v.minLength(1, 'must not be empty'),
  v.check((text) => !CONTROL.test(text), 'must be a path without control characters'),
)

/** One path or a list of them; always a list afterwards. */
export const paths = v.pipe(
  v.union([path, v.array(path, 'must be a list of paths')], 'must be a path or a list of paths'),
  v.transform((value) => (typeof value === 'string' ? [value] : value)),
)

const PORT = 'must be a port from 1 to 65535'
export const port = v.pipe(v.number(PORT), v.integer(PORT), v.minValue(1, PORT), v.maxValue(65535, PORT))

export const duration = (smallest: number) =>
  v.pipe(
    v.string('must be a duration such as 500ms, 60s, 5m or 1h'),
    v.regex(DURATION, 'must be a duration such as 500ms, 60s, 5m or 1h'),
    v.transform((text) => parseDuration(text) ?? 0),
    v.minValue(smallest, 'must be more than zero'),
    v.maxValue(MAX_DURATION, 'must be at most 24h'),
  )

/** In YAML an empty value is null: `prod:` alone is an environment without settings. */
export const orEmpty = <T extends v.GenericSchema<object>>(schema: T) => v.nullable(schema)

/** A text for /bin/sh, or a list of words; always a list of words afterwards. */
export const shellCommand = v.pipe(
  v.union(
    [
      v.pipe(v.string(), v.minLength(1, 'must not be empty')),
      v.pipe(v.array(v.string('must be a word'), 'must be a list of words'), v.minLength(1, 'must not be empty')),
    ],
    'must be a command: a text, or a list of words',
  ),
  v.transform((value): string[] => (typeof value === 'string' ? ['/bin/sh', '-c', value] : value)),
)

/** @returns the words that run a `shellCommand`: a shell says why a program cannot be started. @param title of the shell, in its messages */
export function runnable(title: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'exec "$@"', title, ...command]
}

/** @returns a `shellCommand` as it was written */
export function commandText(command: readonly string[]): string {
  const [shell, flag, text] = command
  return shell === '/bin/sh' && flag === '-c' && text !== undefined && command.length === 3 ? text : command.join(' ')
}

/** The name of a variable that has a secret. */
export const variable = (example: string) =>
  v.pipe(
    v.string(`must be the name of a variable, such as ${example}`),
    v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, `must be the name of a variable, such as ${example}`),
  )

export const serviceName = v.pipe(
  v.string('must be the name of a service'),
  v.regex(SERVICE, 'must be the name of a service'),
)
