// A ProxyCommand for ssh that makes the way longer: each byte arrives `delay` milliseconds later, in both directions. Adds
// how many bytes went there and back to a file. usage: node relay.mjs HOST PORT DELAY FILE
import { appendFileSync } from 'node:fs'
import { connect } from 'node:net'

const [, , host, port, delay = '0', file] = process.argv
const socket = connect(Number(port), host)
socket.setNoDelay(true)
const sent = { there: 0, back: 0 }

function relay(from, to, way) {
  from.on('data', (chunk) => {
    sent[way] += chunk.length
    setTimeout(() => to.write(chunk), Number(delay))
  })
  from.on('end', () => setTimeout(() => to.end(), Number(delay)))
}
relay(process.stdin, socket, 'there')
relay(socket, process.stdout, 'back')
for (const stream of [socket, process.stdout]) stream.on('error', () => process.exit(1))
socket.on('close', () => setTimeout(() => process.exit(0), Number(delay)))
process.on('exit', () => appendFileSync(file, `${sent.there} ${sent.back}\n`))
for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) process.on(signal, () => process.exit(0))
