import { constants } from 'node:os'

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs a program with this process's own stdin, stdout and stderr, byte for byte: a shell in a container, a dump through a pipe.
 * A signal is the program's to answer; this process waits for its end.
 * @param env added to this process's variables; undefined: removed from them
 * @returns its exit code; 128+n if signal n ended it
 */
export async function attach(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<number> {
  const child = Bun.spawn([...argv], {
    ...{ stdin: 'inherit', stdout: 'inherit', stderr: 'inherit' },
    env: { ...process.env, ...env },
  })
  const forward = FORWARDED.map((name) => [name, () => child.kill(name)] as const)
  for (const [name, send] of forward) process.on(name, send)
  try {
    const code = await child.exited
    return child.signalCode === null ? code : 128 + (constants.signals[child.signalCode as NodeJS.Signals] ?? 0)
  } finally {
    for (const [name, send] of forward) process.off(name, send)
  }
}
