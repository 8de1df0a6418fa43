import type { Running } from '../support/engine.ts'

/** What `status --watch --json` prints of an environment, the fields that tests look at. */
export interface Look {
  readonly type: string
  readonly engine: string
  readonly unreachable?: readonly string[]
  readonly services: readonly { service: string; running: number; containers: readonly Measured[] }[]
}
type Measured = { readonly cpu_percent?: number; readonly memory_bytes?: number }

export const WATCH = ['status', '--watch', '--interval', '500ms', '--json'] as const

/** @returns the last whole look of a stream */
export function lastLook({ output }: Running): Look | undefined {
  const lines = output().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Look).findLast(({ type }) => type === 'status') // our own
}
