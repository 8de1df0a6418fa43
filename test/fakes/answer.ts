import type { Result } from '../../lib/system/exec.ts'

/** How a command ends: what is left out is 0 and nothing. `lines` come while it runs. */
export type Answer = Partial<Result> & { readonly lines?: readonly string[] }

export const OK: Answer = {}

/** How the engine refuses a command. */
export function refuse(said: string): Answer {
  return { code: 1, stderr: `Error response from daemon: ${said}\n` }
}
