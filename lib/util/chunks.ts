/** Characters after which an unfinished line is cut, to limit memory. */
const MAX_LINE = 64 * 1024

/** Keeps the last bytes as buffers: decoding each chunk would cost as much memory again. */
export function lastOf(limit: number) {
  const chunks: Buffer[] = []
  let length = 0
  return {
    add(chunk: Buffer) {
      chunks.push(chunk)
      length += chunk.length
      while (length - (chunks[0]?.length ?? 0) >= limit) length -= chunks.shift()?.length ?? 0
    },
    text: () => new TextDecoder().decode(Buffer.concat(chunks).subarray(-limit)),
  }
}

/** Decodes chunks of UTF-8, also across their borders, and cuts them into lines. */
export function cutLines(onLine: ((line: string) => void) | undefined) {
  const decoder = new TextDecoder()
  let rest = ''
  return {
    add(chunk: Buffer) {
      if (!onLine) return
      const parts = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
      rest = parts.pop() ?? ''
      for (const line of parts) onLine(line)
      if (rest.length < MAX_LINE) return
      onLine(rest)
      rest = ''
    },
    end() {
      if (rest !== '') onLine?.(rest)
    },
  }
}
