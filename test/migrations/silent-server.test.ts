import { afterEach, expect, test } from 'bun:test'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { readHistory } from '../../lib/migrations/sql/runner.ts'
import { apply, open } from '../scenes/sql.ts'
import { failureOf, formatError } from '../support/failure.ts'

// A server that takes the connection and stops answering: its machine is frozen, its disk hangs, or the network is gone.

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const int = (value: number, bytes = 4): Buffer => Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex')
const message = (type: string, body: Buffer): Buffer => Buffer.concat([Buffer.from(type), int(body.length + 4), body])
const text = (value: string): Buffer => Buffer.from(`${value}\0`)
const READY = message('Z', Buffer.from('I'))
const GREETING = Buffer.concat([message('R', int(0)), message('K', Buffer.concat([int(7), int(9)])), READY])

/** One row of texts, as PostgreSQL answers a statement of the simple protocol. */
function answer(row: Readonly<Record<string, string>>): Buffer {
  const names = Object.keys(row)
  const fields = names.map((name) =>
    Buffer.concat([text(name), int(0), int(0, 2), int(25), int(0, 2), int(0), int(0, 2)]),
  )
  const values = Object.values(row).map((value) => Buffer.concat([int(value.length), Buffer.from(value)]))
  return Buffer.concat([
    message('T', Buffer.concat([int(names.length, 2), ...fields])),
    message('D', Buffer.concat([int(names.length, 2), ...values])),
    message('C', text('SELECT 1')),
    READY,
  ])
}

/** @param answers to the first statements: it is silent after them @returns its connection string */
async function silentServer(answers: readonly Buffer[], onSilence = () => {}): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const left = [GREETING, ...answers]
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      if (data.length === 8) return void socket.write('N') // it asks for TLS
      const next = left.shift()
      if (next) socket.write(next)
      else onSilence()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `postgres://u:pw@127.0.0.1:${(server.address() as AddressInfo).port}/app`
}

const PLACE = answer({ place: 'public', session: '7', version: 'PostgreSQL 15' })
const quick = { lockTimeoutMs: 200, answerMs: 300 }
const printed = async (work: Promise<unknown>) => formatError(await failureOf(work)).join('\n')

test('nothing answers after the login', async () => {
  const url = await silentServer([])
  expect(await printed(open(url, quick))).toContain('Cannot connect to main: no answer within')
})

test('nothing answers when its history is read', async () => {
  const db = await open(await silentServer([PLACE]), quick)
  const error = await failureOf(readHistory(db))
  expect(formatError(error)[0]).toBe('Cannot migrate main: the connection was lost')
  expect(error).toMatchObject({ kind: 'unreachable' })
  await db.close()
})

test('a statement that a signal cancels does not end', async () => {
  const none = answer({ done: 'x' })
  // settings, lock, history (of another database), BEGIN
  const answers = [PLACE, none, none, none, none, answer({ taken: '1' }), ...Array(4).fill(none)]
  const ended = new AbortController()
  const url = await silentServer(answers, () => ended.abort(2))
  const text = await printed(apply(url, { '1.sql': 'SELECT 1' }, { ...quick, signal: ended.signal }))
  expect(text).toContain('the connection was lost')
})
