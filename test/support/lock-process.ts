import { join } from 'node:path'

const HOLDER = join(import.meta.dir, '../fixtures/lock-holder.ts')

/** Starts test/fixtures/lock-holder.ts. @returns it once it has printed its first line, which is `said` */
export async function startHolder(action: string, file: string, ...more: string[]) {
  const child = Bun.spawn([process.execPath, HOLDER, action, file, ...more], {
    ...{ stdin: 'pipe', stdout: 'pipe' },
    env: process.env, // as test/support/preload.ts has left it
  })
  const lines = linesOf(child.stdout)
  return { child, said: await lines(), next: lines }
}

function linesOf(stream: ReadableStream<Uint8Array>): () => Promise<string> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  return async () => {
    for (;;) {
      const end = text.indexOf('\n')
      if (end >= 0) {
        const line = text.slice(0, end)
        text = text.slice(end + 1)
        return line
      }
      const { done, value } = await reader.read()
      if (done) throw new Error(`it ended after: ${text}`)
      text += decoder.decode(value, { stream: true })
    }
  }
}

/** Asks again until it is so, for at most a minute. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error('it never came to be')
    await Bun.sleep(5)
  }
}
