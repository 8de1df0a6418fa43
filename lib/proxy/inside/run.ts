import type { Docker } from '../../docker/client.ts'
import { execIn } from '../../docker/lifecycle.ts'
import { PROXY } from '../../plan/routes/table.ts'
import type { Result } from '../../system/exec.ts'

interface InProxy {
  readonly input?: string
  /** how long the script may wait */
  readonly seconds?: number
  /** it changes something: it needs the lock, and has no time limit while its engine answers */
  readonly changes?: true
  /** gets each line that it prints, which the result then has the last of only */
  readonly onLine?: (line: string) => void
  /** default: the proxy's name */
  readonly container?: string
}

/** Runs a script in the proxy's container. @param name of the script, as process lists show it */
export function inProxy(
  docker: Docker,
  name: string,
  script: string,
  args: readonly string[] = [],
  { input, changes, seconds, onLine, container = PROXY }: InProxy = {},
): Promise<Result> {
  return execIn(docker, [container, 'sh', '-c', script, `stagecraft-${name}`, ...args], {
    flags: { interactive: input !== undefined },
    readOnly: changes !== true,
    ...(seconds === undefined ? {} : { timeout: seconds * 1000 + 60_000 }),
    ...(input === undefined ? {} : { input }),
    ...(onLine === undefined ? {} : { onLine, limit: 4096 }),
  })
}
