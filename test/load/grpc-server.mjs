// A gRPC server without TLS, which speaks nothing but HTTP/2: `/shop.Shop/Version` answers with the version and the container,
// `/shop.Shop/Watch` says so as often as it is asked to, ten times a second. On SIGTERM it ends at once.
import http2 from 'node:http2'
import { hostname } from 'node:os'

const { VERSION = 'v0' } = process.env

/** A message of gRPC: not compressed, its length, its bytes. */
function message(text) {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(Buffer.byteLength(text), 1)
  return Buffer.concat([head, Buffer.from(text)])
}

const server = http2.createServer()
server.on('stream', (stream, { ':path': path }) => {
  let body = Buffer.alloc(0)
  stream.on('error', () => {})
  stream.on('data', (data) => {
    body = Buffer.concat([body, data])
  })
  stream.on('end', () => {
    const known = ['/shop.Shop/Version', '/shop.Shop/Watch'].includes(path)
    if (!known) return stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': 12 }, { endStream: true })
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': 0 }))
    let left = path.endsWith('/Watch') ? Number(body.subarray(5).toString()) : 1
    const say = () => {
      stream.write(message(`${VERSION} ${hostname()}`))
      if (--left > 0) return setTimeout(say, 100)
      stream.end()
    }
    say()
  })
})
server.listen(50051)
process.on('SIGTERM', () => process.exit(0))
