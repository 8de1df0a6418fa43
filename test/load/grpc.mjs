// Calls of gRPC, until stdin closes or `seconds` are over: node grpc.mjs '{"ip":…,"host":…,"rate":40,"seconds":600}'
// Prints one line when it has begun, and one JSON line at its end. Half of all goes over TLS. A call is failed that ends without
// the status 0 in its trailers, or without each of its messages, or with messages of two containers. Nothing is called twice.
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'

const { ip, host, rate, seconds } = JSON.parse(process.argv[2] ?? '{}')
/** Of a stream: for three seconds. */
const MESSAGES = 30
const began = performance.now()
const failures = []
const versions = new Set()
const sessions = new Map()
let [made, streams, waiting, over] = [0, 0, 0, false]

/** The one connection of all calls, until the proxy says that it ends. */
function sessionTo(secure) {
  const now = sessions.get(secure)
  if (now && !now.closed && !now.destroyed) return now
  const createConnection = () =>
    secure
      ? tls.connect({ host: ip, port: 443, servername: host, ALPNProtocols: ['h2'], rejectUnauthorized: false })
      : net.connect(80, ip)
  const session = http2.connect(`http${secure ? 's' : ''}://${host}`, { createConnection })
  session.on('error', () => {}) // its calls say it
  sessions.set(secure, session)
  return session
}

function call(method, secure, messages, then = () => {}) {
  const at = performance.now() - began
  const path = `/shop.Shop/${method}`
  const text = String(messages)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(text.length, 1)
  waiting++
  const stream = sessionTo(secure).request({
    ...{ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' },
  })
  let [status, grpc, body, error] = [undefined, undefined, Buffer.alloc(0), undefined]
  const hear = (headers) => {
    status ??= headers[':status']
    grpc ??= headers['grpc-status']
  }
  stream.on('response', hear)
  stream.on('trailers', hear)
  stream.on('error', ({ code, message }) => {
    error = code ?? message
  })
  stream.on('data', (data) => {
    body = Buffer.concat([body, data])
  })
  stream.setTimeout(20_000, () => stream.destroy(new Error('late')))
  stream.on('close', () => {
    waiting--
    const said = []
    for (let rest = body; rest.length >= 5; rest = rest.subarray(5 + rest.readUInt32BE(1)))
      said.push(rest.subarray(5, 5 + rest.readUInt32BE(1)).toString())
    const isWell = grpc === '0' && said.length === messages && new Set(said).size === 1
    if (isWell) versions.add(said[0]?.split(' ')[0])
    else
      failures.push(
        `${(at / 1000).toFixed(2)} s ${method}${secure ? ' over TLS' : ''}: ${JSON.stringify({ status, grpc, error, code: stream.rstCode, messages: said.length, all: [...new Set(said)] })}`,
      )
    then()
  })
  stream.end(Buffer.concat([head, Buffer.from(text)]))
}

function watch(secure) {
  if (over) return
  streams++
  call('Watch', secure, MESSAGES, () => setTimeout(watch, 50, secure))
}

const timer = setInterval(() => {
  while (made < ((performance.now() - began) / 1000) * rate && waiting < 200) call('Version', made++ % 2 === 0, 1)
  if (performance.now() - began > seconds * 1000) stop()
}, 5)
for (const secure of [true, false]) watch(secure)
process.stdout.write('began\n')

function stop() {
  if (over) return
  over = true
  clearInterval(timer)
  const end = performance.now() + 25_000
  const wait = setInterval(() => {
    if (waiting > 0 && performance.now() < end) return
    clearInterval(wait)
    if (waiting > 0) failures.push(`${waiting} calls never ended`)
    const result = { made, streams, failures, versions: [...versions] }
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
  }, 50)
}
process.stdin.on('end', stop)
process.stdin.resume()
