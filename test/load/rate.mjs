// How many requests are answered in a second, if each of `connections` asks again as soon as it has its answer:
// node rate.mjs '{"ip":…,"port":80,"host":…,"connections":16,"seconds":3}' prints {"perSecond":…,"failed":…}
import http from 'node:http'

const { ip, port = 80, host, connections = 16, seconds } = JSON.parse(process.argv[2] ?? '{}')
const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
const until = performance.now() + seconds * 1000
let [answered, failed] = [0, 0]

function ask() {
  return new Promise((resolve) => {
    const fail = () => resolve(failed++)
    const request = http.request({ host: ip, port, headers: { host }, agent, timeout: 10_000 }, (response) => {
      response.on('error', fail)
      response.on('end', () => resolve(response.statusCode === 200 ? answered++ : failed++))
      response.resume()
    })
    request.on('timeout', () => request.destroy(new Error('late')))
    request.on('error', fail)
    request.end()
  })
}

async function askAgain() {
  while (performance.now() < until) await ask()
}

const began = performance.now()
await Promise.all(Array.from({ length: connections }, askAgain))
const perSecond = (answered * 1000) / (performance.now() - began)
process.stdout.write(`${JSON.stringify({ perSecond, failed })}\n`)
agent.destroy()
