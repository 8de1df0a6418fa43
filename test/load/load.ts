import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The result of a load: times are milliseconds since it began. */
export interface Load {
  readonly made: number
  /** that were due, but left out as too many others had no answer yet */
  readonly skipped: number
  /** one line each */
  readonly failures: readonly string[]
  readonly versions: readonly string[]
  /** all that were answered, but streams and WebSockets; `version` is a place in `versions`, `slow` 1 if it asked to take long */
  readonly requests: readonly (readonly [at: number, took: number, version: number, slow: 0 | 1])[]
  readonly seconds: number
}

export interface Generator<Result> {
  /** milliseconds since it began */
  now(): number
  stop(): Promise<Result>
}

export type LoadGenerator = Generator<Load>

/**
 * Who is asked, how often, and for how long at most. `long`: also a stream and a WebSocket, one after the other. `ca`: the
 * certificate, as PEM, of an authority that is trusted: all is asked over TLS, a third of it by HTTP/2.
 */
export interface LoadTarget {
  readonly ip: string
  readonly port?: number
  readonly host: string
  /** per second */
  readonly rate: number
  readonly seconds: number
  readonly long?: boolean
  readonly ca?: string
}

export function startLoad(target: LoadTarget): Promise<LoadGenerator> {
  return startGenerator(['node', 'load.mjs'], target)
}

/** The results of requests over HTTP/3. */
export type Http3Load = Pick<Load, 'made' | 'failures' | 'versions'>

/**
 * Asks by HTTP/3, whatever the certificate. Bun does so only at the address that a name has: it gets an `/etc/hosts` of its own, which
 * takes root.
 */
export function startHttp3({ ip, host, rate, seconds }: LoadTarget): Promise<Generator<Http3Load>> {
  const hosts = join(mkdtempSync(join(tmpdir(), 'stagecraft-http3-')), 'hosts')
  writeFileSync(hosts, `${ip} ${host}\n`)
  const inside = ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
  return startGenerator([...inside, process.execPath, 'http3.ts'], { url: `https://${host}/`, rate, seconds })
}

/** Starts a program of this folder in a process of its own, so that nothing else here delays it. @param command ends with it */
export async function startGenerator<Result>(command: readonly string[], target: object): Promise<Generator<Result>> {
  const argv = [...command.slice(0, -1), join(import.meta.dir, command.at(-1) ?? ''), JSON.stringify(target)]
  const child = Bun.spawn(argv, { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
  const reader = child.stdout.getReader()
  const decoder = new TextDecoder()
  let printed = decoder.decode((await reader.read()).value)
  const began = performance.now()
  return {
    now: () => performance.now() - began,
    async stop() {
      child.stdin.end()
      for (let part = await reader.read(); !part.done; part = await reader.read())
        printed += decoder.decode(part.value, { stream: true })
      const code = await child.exited
      if (code !== 0) throw new Error(`Cannot judge the load: it ended with ${child.signalCode ?? code}`)
      return JSON.parse(printed.slice(printed.indexOf('\n') + 1)) as Result // printed by the program
    },
  }
}

/** @returns a percentile of the times that short requests took which were made within these spans. */
export function percentile(
  load: Load,
  percent: number,
  spans: readonly (readonly [from: number, to: number])[],
): number {
  const took = load.requests
    .filter(([at, , , slow]) => slow === 0 && spans.some(([from, to]) => at >= from && at < to))
    .map(([, ms]) => ms)
    .toSorted((a, b) => a - b)
  return took[Math.floor((took.length * percent) / 100)] ?? Number.NaN
}

/** @returns the versions that answered requests which were made between these times. */
export function versionsBetween({ requests, versions }: Load, from: number, to: number): string[] {
  const numbers = requests.filter(([at]) => at >= from && at < to).map(([, , version]) => version)
  return [...new Set(numbers)].map((number) => versions[number] ?? '')
}

/** Milliseconds: a short request that was made just before a slow one may have been later to look which version is live. */
const JUST = 200

/** @returns the slow requests, one line each, that ended on a version that had not answered yet when they began. */
export function movedRequests({ requests, versions }: Load): string[] {
  const first = new Map<number, number>()
  for (const [at, , version, slow] of requests)
    if (slow === 0) first.set(version, Math.min(at, first.get(version) ?? at))
  const moved = requests.filter(([at, , version, slow]) => slow === 1 && at + JUST < (first.get(version) ?? 0))
  return moved.map(([at, took, version]) => `${(at / 1000).toFixed(2)} s, ${took} ms: ${versions[version]}`)
}
