// A service that calls another one by its name on their network, all the time, and reports the results.
import http from 'node:http'

const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
const seen = { ok: 0, failed: 0, failures: {}, versions: {} }

function fail(why) {
  seen.failed++
  seen.failures[why] = (seen.failures[why] ?? 0) + 1
}

function call() {
  const path = Math.random() < 0.02 ? '/slow?ms=1200' : '/'
  const kept = Math.random() < 0.5
  const request = http.get({ host: 'api', port: 3000, path, agent: kept ? agent : undefined, timeout: 20_000 }, (answer) => {
    let body = ''
    answer.on('data', (data) => {
      body += data
    })
    answer.on('error', (error) => fail(error.code))
    answer.on('end', () => {
      if (answer.statusCode !== 200) return fail(`${answer.statusCode} ${body.trim()}`)
      seen.ok++
      seen.versions[body] = (seen.versions[body] ?? 0) + 1
    })
  })
  request.on('timeout', () => request.destroy(new Error('late')))
  request.on('error', (error) => fail(error.code ?? error.message))
}

setInterval(call, 20)
http.createServer((_, response) => response.end(JSON.stringify(seen))).listen(3000)
process.on('SIGTERM', () => process.exit(0))
