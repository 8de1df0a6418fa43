// Load for a route, until stdin closes or `seconds` are over: node load.mjs '{"ip":…,"host":…,"rate":300,"seconds":600}'
// Prints one line when it has begun, and one JSON line at its end. A request is failed if it is refused, reset, cut, late, or
// answered with another status than 200, or by two versions. Nothing is asked twice. With `ca`, the certificate of an authority,
// all of it is over TLS, and a part of it HTTP/2.
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'

const { ip, ca, port = ca ? 443 : 80, host, rate, seconds, long = true } = JSON.parse(process.argv[2] ?? '{}')
const { Agent, request: makeRequest } = ca ? https : http
const secure = ca ? { ca, servername: host } : {}
const agent = new Agent({ keepAlive: true, maxFreeSockets: 64 })
/** The one HTTP/2 connection of all requests that ask for it, until its server says that it ends. */
let session
/** Requests that the machine cannot answer in time are left out: waiting here would measure nothing. */
const MOST_WAITING = 200
const began = performance.now()
const now = () => performance.now() - began
const failures = []
const versions = []
/** [milliseconds since the start, milliseconds that it took, number of the version, whether it asked to take long] */
const requests = []
let [made, skipped, waiting, over] = [0, 0, 0, false]

function fail(at, what, why) {
  failures.push(`${(at / 1000).toFixed(2)} s ${what}: ${why}`)
}

function versionNumber(name) {
  if (!versions.includes(name)) versions.push(name)
  return versions.indexOf(name)
}

function note(what, at, version) {
  requests.push([Math.round(at), Math.round((now() - at) * 10) / 10, versionNumber(version), what === 'slow' ? 1 : 0])
}

/** One request, to its end. `two`: by HTTP/2. */
function ask(what, path, { method = 'GET', kept = true, two = false } = {}, check = (body) => body) {
  const at = now()
  waiting++
  let ended = false
  const end = (why, version) => {
    if (ended) return
    ended = true
    waiting--
    if (why) fail(at, what, why)
    else if (what !== 'stream') note(what, at, version)
    if (what === 'stream' && !over) setTimeout(openStream, 100, !two)
  }
  const body = method === 'POST' ? 'a=1&b=2' : undefined
  const length = body ? { 'content-length': body.length } : {}
  const read = (response, status) => {
    let text = ''
    response.on('data', (data) => {
      text += data
    })
    response.on('error', (error) => end(`cut (${error.code ?? error.message})`))
    response.on('aborted', () => end('cut'))
    response.on('end', () => {
      if (status() !== 200) return end(`${status() ?? "no status"} ${text.slice(0, 60).trim()}`)
      const version = check(text.trim())
      end(version ? undefined : `answered ${JSON.stringify(text.slice(-60))}`, version)
    })
  }
  const watch = (request, hint) => {
    request.setTimeout(20_000, () => request.destroy(new Error('late')))
    request.on('error', (error) => end(`${error.code ?? error.message}${hint()}`))
    request.end(body)
  }
  if (two && ca) {
    let status
    const stream = openSession().request({ ':path': path, ':method': method, ...length })
    stream.on('response', (headers) => {
      status = headers[':status']
    })
    read(stream, () => status)
    // One that is refused by the end of its connection has no error, and no answer.
    stream.on('close', () => end(`closed (${stream.rstCode})`))
    return watch(stream, () => ' (HTTP/2)')
  }
  const headers = { host, ...length }
  const options = { host: ip, port, path, method, headers, ...secure, agent: kept ? agent : false }
  const request = makeRequest(options, (response) => read(response, () => response.statusCode))
  watch(request, () => (request.reusedSocket ? ' (kept connection)' : ''))
}

function openSession() {
  if (session && !session.closed && !session.destroyed) return session
  session = http2.connect(`https://${host}`, { ...secure, createConnection: () => connectSecurely(['h2']) })
  session.on('error', () => {}) // its requests say it
  return session
}

function connectSecurely(protocols) {
  return tls.connect({ host: ip, port, ...secure, ALPNProtocols: protocols })
}

/** All parts of a stream must come from one version, and its end too. */
function openStream(two = false) {
  ask('stream', '/stream?parts=12', { two }, (text) => {
    const parts = text.split('\n')
    return parts.length === 13 && parts[12] === 'end' && new Set(parts.slice(0, 12)).size === 1 ? parts[0] : undefined
  })
}

/** A WebSocket that echoes for six seconds, and then is closed by us, once all has come back. */
function openSocket() {
  const at = now()
  let [sent, back, closing] = ['', '', false]
  const socket = ca ? connectSecurely(['http/1.1']) : net.connect(port, ip)
  waiting++
  const end = (why) => {
    clearInterval(timer)
    socket.destroy()
    if (closing) return
    closing = true
    waiting--
    if (why) fail(at, 'websocket', why)
    if (!over) setTimeout(openSocket, 100)
  }
  const key = Buffer.from('0123456789abcdef').toString('base64')
  const headers = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`]
  socket.write(`GET /socket HTTP/1.1\r\nHost: ${host}\r\n${headers.join('\r\n')}\r\n\r\n`)
  const echo = () => back.slice(back.indexOf('\r\n\r\n') + 4)
  let opened = 0
  const timer = setInterval(() => {
    if (now() - at > 20_000) return end(`late: echoed ${echo().length} of ${sent.length}`)
    if (!back.includes('\r\n\r\n')) return
    opened ||= now()
    if (now() - opened > 6000) return sent === echo() ? end() : undefined
    const letter = String.fromCharCode(97 + (sent.length % 26))
    sent += letter
    socket.write(letter)
  }, 200)
  socket.on('data', (data) => {
    back += data.toString('latin1')
  })
  socket.on('error', (error) => end(error.code))
  socket.on('close', () => end('cut'))
}

/** For one to two seconds. Every other one is a POST: a proxy may quietly ask for a GET once more, but never for these. */
function askSlow(number, how) {
  ask('slow', `/slow?ms=${1000 + (number % 11) * 100}`, { ...how, method: number % 2 === 0 ? 'POST' : 'GET' })
}

const timer = setInterval(() => {
  while (made + skipped < (now() / 1000) * rate) {
    if (waiting >= MOST_WAITING) {
      skipped++
      continue
    }
    const number = ++made
    const method = number % 4 === 0 ? 'POST' : 'GET'
    const how = { kept: number % 8 < 6, two: ca !== undefined && number % 3 === 0 }
    if (number % Math.round(rate / 3) === 0) askSlow(Math.round((number * 3) / rate), how)
    else ask(method, '/', { method, ...how })
  }
  if (now() > seconds * 1000) stop()
}, 5)
if (long) openStream()
if (long) openSocket()
process.stdout.write('began\n')

function stop() {
  if (over) return
  over = true
  clearInterval(timer)
  const end = now() + 25_000
  const wait = setInterval(() => {
    if (waiting > 0 && now() < end) return
    clearInterval(wait)
    if (waiting > 0) fail(now(), 'end', `${waiting} requests never ended`)
    const result = { made, skipped, failures, versions, requests, seconds: now() / 1000 }
    process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
  }, 50)
}
process.stdin.on('end', stop)
process.stdin.resume()
