import * as v from 'valibot'
import { duration, orEmpty, path, shellCommand, variable } from './fields.ts'

const SOURCE = 'must be a mapping with a `command` or a `file`'
const source = v.pipe(
  v.strictObject(
    {
      command: v.exactOptional(shellCommand),
      timeout: v.exactOptional(duration(1)),
      file: v.exactOptional(path),
    },
    SOURCE,
  ),
  v.check(({ command, file }) => (command === undefined) !== (file === undefined), `${SOURCE}, and not both`),
  v.check(({ command, timeout }) => timeout === undefined || command !== undefined, '`timeout` needs a `command`'),
)

/** `secrets` of an environment (spec/core/secrets.md): the sources of variables. */
export const secrets = orEmpty(v.record(variable('DB_PASSWORD'), source, 'must be a mapping of variables'))

/** Where the value of a variable comes from. */
export interface SecretSource {
  /** a program that prints it, in words */
  readonly command?: readonly string[]
  /** milliseconds; default: 30 s */
  readonly timeout?: number
  /** instead: a file that holds it */
  readonly file?: string
}
