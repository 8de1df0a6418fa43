import type { Emit } from './events.ts'
import type { Plan } from './plan.ts'

/** Prints everything Stagecraft says (spec/core/cli.md, Output). Results go to stdout; progress and errors to stderr. */
export interface Reporter {
  readonly mode: 'terminal' | 'plain' | 'json'
  readonly emit: Emit
  /**
   * The answer of a command. As text its lines; with `--json` one object `{"v":1,"type":<type>,…value}`.
   * @param text called only where text is printed.
   */
  result(type: string, value: object, text: () => readonly string[]): void
  /** From now on every occurrence of these values (8 characters or more) is printed as `•••`. */
  addSecrets(values: Iterable<string>): void
  /** How plan events are written out. Given by the commands that plan, so that others do not load it. */
  formatPlansWith(format: (plan: Plan) => readonly string[]): void
}
