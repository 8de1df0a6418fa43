import { openDocker } from '../../lib/docker/client.ts'
import type { Exec, ExecOptions, Result } from '../../lib/system/exec.ts'

/** A docker CLI that answers by the beginning of the command, and remembers what it was asked. */
export function answering(answers: Record<string, Partial<Result> & { lines?: string[] }>) {
  const calls: { argv: readonly string[]; options: ExecOptions | undefined }[] = []
  const exec: Exec = async (argv, options) => {
    calls.push({ argv, options })
    const line = argv.slice(1).join(' ')
    const [, answer = {}] = Object.entries(answers).find(([start]) => line.startsWith(start)) ?? []
    for (const output of answer.lines ?? []) options?.onLine?.(output, 'stdout')
    return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...answer }
  }
  return { docker: openDocker(exec, (text) => text.replaceAll('hunter22', '•••')), calls }
}
