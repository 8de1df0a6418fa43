import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { carryTo, openBridge } from '../../lib/system/bridge.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** A server that sends all of it and closes at once, as an engine does at the end of a command. */
async function serverOf(path: string, bytes: Buffer): Promise<{ remove: () => void }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.resume()
    socket.on('end', () => socket.end(bytes)) // the client has closed its sending side
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return { remove: () => server.close() }
}

/** Reads slowly: what was sent waits in the bridge when the server has long closed. */
async function readSlowly(path: string): Promise<Buffer> {
  const socket = connect({ path, allowHalfOpen: true })
  socket.end('a request')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    socket.pause()
    setTimeout(() => socket.resume(), 2)
  })
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks)
}

test('the end of a long answer is not lost, however slowly it is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stagecraft-bridge-'))
  temporary({ remove: () => rmSync(folder, { recursive: true }) })
  const bytes = Buffer.from(Array.from({ length: 4_000_000 }, (_, at) => (at * 7919) % 251))
  temporary(await serverOf(join(folder, 'far'), bytes))
  const { carry, close } = carryTo(join(folder, 'far'))
  const end = await openBridge(join(folder, 'here'), carry)
  temporary({ remove: () => [close(), end()] })
  const read = await Promise.all([1, 2, 3].map(() => readSlowly(join(folder, 'here'))))
  expect(read.map((each) => each.length)).toEqual([bytes.length, bytes.length, bytes.length])
  expect(read.every((each) => each.equals(bytes))).toBe(true)
})
