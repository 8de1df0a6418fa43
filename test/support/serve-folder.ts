import { join } from 'node:path'

/** Serves the files of a folder over HTTP, large ones too, as a web server does. */
export function serveFolder(folder: string, hostname = '127.0.0.1') {
  const server = Bun.serve({
    hostname,
    port: 0,
    async fetch({ url }) {
      const file = Bun.file(join(folder, new URL(url).pathname))
      return (await file.exists()) ? new Response(file) : new Response('not found\n', { status: 404 })
    },
  })
  return { url: `http://${hostname}:${server.port}`, stop: () => server.stop(true) }
}
