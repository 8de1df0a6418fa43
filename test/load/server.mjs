// The application that rolls in tests: says its version, and ends at once on SIGTERM, with requests on their way, unless it has a GRACE.
import { createHash } from 'node:crypto'
import http from 'node:http'

const { VERSION = 'v0', BAD, WARMING = '300', PORT = '3000', GRACE } = process.env
const born = Date.now()
const warm = () => Date.now() - born > Number(WARMING)

const server = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://app')
  const answer = (status, text) => {
    response.writeHead(status, { 'content-length': text.length })
    response.end(text)
  }
  if (pathname === '/up') return answer(warm() && BAD !== '1' ? 200 : 503, 'up')
  if (!warm()) return answer(503, 'not warm yet')
  if (pathname === '/slow') return void setTimeout(() => answer(200, VERSION), Number(searchParams.get('ms')))
  if (pathname === '/stream') return stream(response, Number(searchParams.get('parts')))
  request.resume()
  request.on('end', () => answer(200, VERSION))
})

/** A part each half second, then `end`: like server-sent events, which nothing on the way may hold back. */
function stream(response, parts) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let left = parts
  const timer = setInterval(() => {
    response.write(`${VERSION}\n`)
    if (--left > 0) return
    clearInterval(timer)
    response.end('end\n')
  }, 500)
}

/** A WebSocket that sends back, frame for frame, what it gets: client frames are masked, and so are these. */
server.on('upgrade', (request, socket) => {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
  const accept = createHash('sha1').update(key).digest('base64')
  const headers = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('\r\n')}\r\n\r\n`)
  socket.on('error', () => {})
  socket.on('data', (data) => socket.write(data))
})

server.keepAliveTimeout = 60_000
server.listen(Number(PORT))
/** With GRACE, in milliseconds, it keeps serving for that long, and then until all open requests are answered. */
process.on('SIGTERM', () => {
  if (GRACE === undefined) process.exit(0)
  setTimeout(() => server.close(() => process.exit(0)), Number(GRACE))
})
