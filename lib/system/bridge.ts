import { connect, createServer, type Socket } from 'node:net'

/** Carries the bytes of one connection in both directions, until it ends. */
export type Carry = (socket: Socket) => Promise<unknown>

/**
 * Opens a socket on this machine and passes each of its connections to `carry`.
 * @param path of the socket; must not exist
 * @returns a function that closes the socket and all its connections
 */
export async function openBridge(path: string, carry: Carry): Promise<() => void> {
  const open = new Set<Socket>()
  // Docker closes its sending side, and goes on reading.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => {}) // the client has gone
    socket.on('close', () => open.delete(socket))
    const over = () => endAfterWrites(socket)
    carry(socket).then(over, over)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  return () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
}

/** Closes a socket once what was written to it has left: destroyed at once, the end of a long answer would be lost. */
function endAfterWrites(socket: Socket): void {
  if (socket.writableFinished || socket.destroyed || socket.writableEnded === undefined) return void socket.destroy()
  socket.once('finish', () => socket.destroy())
  socket.end()
}

/** Connections that are opened in advance: that saves each a round trip. */
const AHEAD = 2

/** @returns `carry`, which carries connections to another socket of this machine, and `close`, which ends the unused ones */
export function carryTo(path: string): { readonly carry: Carry; readonly close: () => void } {
  const waiting = new Set<Socket>()
  let closed = false
  const open = () => {
    const socket = connect({ path, allowHalfOpen: true })
    const gone = () => waiting.delete(socket)
    // The engine sends nothing before a request: any event means that the connection has ended.
    for (const event of ['error', 'data', 'end', 'close']) socket.on(event, gone)
    waiting.add(socket)
    return socket
  }
  const take = () => {
    const [first = open()] = waiting
    waiting.delete(first)
    for (const event of ['data', 'end']) first.removeAllListeners(event)
    while (!closed && waiting.size < AHEAD) open()
    return first
  }
  while (waiting.size < AHEAD) open()
  return {
    carry: (socket) =>
      new Promise((resolve) => {
        const other = take()
        socket.on('close', () => endAfterWrites(other))
        other.on('close', resolve)
        other.on('error', resolve)
        socket.pipe(other)
        other.pipe(socket)
      }),
    close() {
      closed = true
      for (const socket of waiting) socket.destroy()
    },
  }
}
