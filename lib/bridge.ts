import { connect, createServer, type Socket } from 'node:net'

/** Carries the bytes of one connection, both ways, until it ends. */
export type Carry = (socket: Socket) => Promise<unknown>

/**
 * Opens a socket of this machine whose connections are carried on by something else.
 * @param path where; nothing may be there
 * @returns what closes it, with every connection
 */
export async function openBridge(path: string, carry: Carry): Promise<() => void> {
  const open = new Set<Socket>()
  // Docker says that it has no more to send, and goes on reading.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => {}) // who asked is gone
    socket.on('close', () => open.delete(socket))
    const over = () => socket.destroy()
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

/** Connections that are open before somebody asks for them: on a long way that is a round trip less for each. */
const AHEAD = 2

/** @returns what carries connections on to another socket of this machine, and what ends those that wait */
export function carryTo(path: string): { readonly carry: Carry; readonly close: () => void } {
  const waiting = new Set<Socket>()
  let closed = false
  const open = () => {
    const socket = connect({ path, allowHalfOpen: true })
    const gone = () => waiting.delete(socket)
    // Whoever is at the other end has nothing to say before it is asked: what comes is the end.
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
        socket.on('close', () => other.destroy())
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
