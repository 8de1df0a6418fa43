// Requests by HTTP/3, until stdin closes or `seconds` are over: bun http3.ts '{"url":…,"rate":20,"seconds":600}'
// node speaks no HTTP/3, and Bun asks by it with the machine's authorities or with none: any certificate will do. Prints as load.mjs
// does. A request is failed that is not answered with 200 within 20 s; none is asked twice.
interface Target {
  readonly url: string
  readonly rate: number
  readonly seconds: number
}

const { url, rate, seconds } = JSON.parse(process.argv[2] ?? '{}') as Target
const began = performance.now()
const failures: string[] = []
const versions = new Set<string>()
const waiting = new Set<Promise<void>>()
let isOver = false

async function ask(number: number): Promise<void> {
  const at = `${((performance.now() - began) / 1000).toFixed(2)} s`
  const method = number % 4 === 0 ? 'POST' : 'GET'
  try {
    const response = await fetch(url, {
      ...{
        protocol: 'http3',
        method,
        signal: AbortSignal.timeout(20_000),
        tls: { rejectUnauthorized: false },
      },
      ...(method === 'POST' ? { body: 'a=1&b=2' } : {}),
    })
    const text = (await response.text()).trim()
    if (response.status === 200) versions.add(text)
    else failures.push(`${at} ${method} (HTTP/3): ${response.status} ${text.slice(0, 60)}`)
  } catch (error) {
    failures.push(`${at} ${method} (HTTP/3): ${String(error)}`)
  }
}

let made = 0
const timer = setInterval(() => {
  const elapsed = (performance.now() - began) / 1000
  while (!isOver && made < elapsed * rate && waiting.size < 100) {
    const one: Promise<void> = ask(++made).finally(() => waiting.delete(one))
    waiting.add(one)
  }
  if (elapsed > seconds) void stop()
}, 5)
process.stdout.write('began\n')

async function stop(): Promise<void> {
  if (isOver) return
  isOver = true
  clearInterval(timer)
  await Promise.all(waiting)
  process.stdout.write(`${JSON.stringify({ made, failures, versions: [...versions] })}\n`, () => process.exit(0))
}
process.stdin.on('end', () => void stop())
process.stdin.resume()
