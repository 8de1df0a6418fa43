import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quotePosix } from '../../../lib/util/format.ts'
import { LAB_DIR } from '../../support/lab.ts'

/** How a program ended: a signal n is 128+n. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Where the scripts of a host are run: here, or on a host over SSH. */
export interface Machine {
  readonly name: string
  /** @param stop ends it while it runs. @param timeout seconds, 30 by default */
  run(argv: readonly string[], options?: RunsWith): Promise<Ended>
}

interface RunsWith {
  readonly input?: string
  readonly timeout?: number
  /** called with each line of stderr as it is printed */
  readonly onLine?: (line: string) => unknown
}

export const HERE: Machine = { name: 'this machine', run: spawn }

/** The lab's ssh: one connection for all, as a command of ours has one. */
export function overSsh(host: string): Machine {
  const socket = join(mkdtempSync(join(tmpdir(), 'campaign-ssh-')), 's')
  const ssh = [
    join(LAB_DIR, 'bin/ssh'),
    '-o',
    'ControlMaster=auto',
    '-o',
    `ControlPath=${socket}`,
    '-o',
    'ControlPersist=30',
  ]
  return {
    name: `${host} over SSH`,
    run: (argv, options) => spawn([...ssh, host, argv.map(quotePosix).join(' ')], options),
  }
}

async function spawn(argv: readonly string[], { input = '', timeout = 30, onLine }: RunsWith = {}): Promise<Ended> {
  const limited = ['timeout', '-k', '2', String(timeout), ...argv]
  const child = Bun.spawn(limited, { stdin: Buffer.from(input), stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), readLines(child.stderr, onLine)])
  await child.exited
  return { code: child.exitCode ?? 128 + 9, stdout, stderr }
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => unknown): Promise<string> {
  const decoder = new TextDecoder()
  let [text, rest] = ['', '']
  for await (const chunk of stream) {
    const part = decoder.decode(chunk, { stream: true })
    text += part
    if (!onLine) continue
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) await onLine(line)
  }
  return text
}
