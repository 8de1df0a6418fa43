import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, StagecraftError } from '../../util/errors.ts'

/** Where the files of a release are: a folder here, or of a web server. */
export interface ReleaseSource {
  /** @param limit bytes @throws unreachable (8) */
  read(name: string, limit: number): Promise<Buffer>
}

/** Milliseconds without a byte. */
const IDLE = 60_000

/** @param from a URL or a folder, absolute */
export function openSource(from: string, idle: number = IDLE): ReleaseSource {
  if (!isUrl(from)) return { read: async (name) => readLocal(join(from, name)) }
  const base = from.replace(/\/+$/, '')
  return { read: (name, limit) => download(`${base}/${name}`, { limit, idle }) }
}

export function isUrl(text: string): boolean {
  return /^https?:\/\//.test(text)
}

function readLocal(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw unreachable(path, errnoOf(cause) === 'ENOENT' ? 'there is no such file' : String(cause), cause)
  }
}

async function download(url: string, { limit, idle }: { limit: number; idle: number }): Promise<Buffer> {
  const patience = new AbortController()
  const wait = () => setTimeout(() => patience.abort(new Error(`nothing came for ${idle / 1000} s`)), idle)
  let timer = wait()
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    // Some servers call .gz an encoding: what is signed are the bytes of the file.
    const asItIs = { decompress: false, headers: { 'accept-encoding': 'identity' } }
    const response = await fetch(url, { ...asItIs, signal: patience.signal })
    if (!response.ok) throw new Error(`the server answered ${response.status}`)
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer)
      timer = wait()
      size += chunk.length
      if (size > limit) throw new Error(`it is larger than ${limit} bytes`)
      chunks.push(chunk)
    }
    const announced = response.headers.get('content-length')
    if (announced !== null && Number(announced) !== size)
      throw new Error(`it ended after ${size} of ${announced} bytes`)
    return Buffer.concat(chunks)
  } catch (cause) {
    throw unreachable(withoutLogin(url), cause instanceof Error ? cause.message : String(cause), cause)
  } finally {
    clearTimeout(timer)
    patience.abort()
  }
}

function withoutLogin(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//')
}

function unreachable(what: string, reason: string, cause: unknown): StagecraftError {
  return new StagecraftError('unreachable', `Cannot get ${what}: ${withoutLogin(reason)}`, { cause })
}
