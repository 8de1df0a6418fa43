import { createServer, type Socket } from 'node:net'

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
