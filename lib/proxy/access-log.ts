import { childError, type Docker, openDocker } from '../docker/client.ts'
import type { Host } from '../hosts/host.ts'
import type * as contract from '../output/contract/results.ts'
import type { Mask } from '../secrets/mask.ts'
import type { Clock } from '../system/clock.ts'
import { compare, formatTime, plainLine } from '../util/format.ts'
import type { Of } from '../util/schema.ts'
import { ACCESS } from './caddy/logging.ts'
import { ACCESS_LOG, MORE_ACCESS } from './inside/access.ts'
import { inProxy } from './inside/run.ts'

/** A request, as the proxy has logged it. */
export type AccessLine = Of<typeof contract.accessLine>

/** Whose requests, and which. */
export interface AccessWish {
  /** the Compose project */
  readonly project: string
  readonly services: readonly string[]
  /** the last lines of each host: a number, or `all` */
  readonly tail: string
  /** milliseconds since the epoch */
  readonly since: number | undefined
  readonly until: number | undefined
}

/** What was read of one host's log, and how far it goes: the file's inode and size. */
interface Part {
  readonly lines: readonly AccessLine[]
  readonly end: string
}

/** @returns the requests that proxies have logged, merged by their time. @throws failed (5), unreachable (8) */
export async function readAccess(hosts: readonly Host[], mask: Mask, wish: AccessWish): Promise<AccessLine[]> {
  return merged(await readParts(hosts, mask, wish))
}

/**
 * Prints requests as they are logged, after those that were.
 * @param signal ends it
 */
export async function followAccess(
  hosts: readonly Host[],
  { mask, clock, signal, print }: { mask: Mask; clock: Clock; signal: AbortSignal; print: (line: AccessLine) => void },
  wish: AccessWish,
): Promise<void> {
  const parts = await readParts(hosts, mask, wish)
  for (const line of merged(parts)) print(line)
  const follow = async (host: Host, { end }: Part) => {
    const docker = openDocker(host.exec, mask, { signal })
    for (let known = end; !signal.aborted; ) {
      const args = [wish.project, ...known.split(' ')]
      const part = await readPart(docker, host, wish, { script: MORE_ACCESS, args }).catch(() => undefined)
      // A proxy that is being recreated answers again.
      if (part === undefined) await clock.sleep(1000)
      known = part?.end ?? known
      for (const line of part?.lines ?? []) print(line)
    }
  }
  await Promise.all(hosts.map((host, at) => follow(host, parts[at] ?? { lines: [], end: NOTHING })))
}

/** A file that does not exist yet. */
const NOTHING = '0 0'

function readParts(hosts: readonly Host[], mask: Mask, wish: AccessWish): Promise<Part[]> {
  const { project, services, tail, since, until } = wish
  const [from = '', to = ''] = [since, until].map((time) => (time === undefined ? '' : String(time / 1000)))
  const names = services.map((service) => `${ACCESS}.${project}.${service}`)
  const query = { script: ACCESS_LOG, args: [project, tail, from, to, ...names] }
  return Promise.all(hosts.map((host) => readPart(openDocker(host.exec, mask), host, wish, query)))
}

function merged(parts: readonly Part[]): AccessLine[] {
  return parts.flatMap(({ lines }) => lines).toSorted((a, b) => compare(a.at, b.at))
}

async function readPart(
  docker: Docker,
  host: Host,
  { project, services }: AccessWish,
  { script, args }: { readonly script: string; readonly args: readonly string[] },
): Promise<Part> {
  const lines: AccessLine[] = []
  let end = NOTHING
  const onLine = (text: string) => {
    if (/^\d+ \d+$/.test(text)) end = text
    const line = parseLine(text, `${ACCESS}.${project}.`)
    if (line && services.includes(line.service)) lines.push({ host: host.name, ...line })
  }
  const result = await inProxy(docker, 'access-log', script, args, { onLine, seconds: 60 })
  if (result.code !== 0) throw childError('read the access log of the proxy', result)
  return { lines, end }
}

/** What Caddy writes (https://caddyserver.com/docs/logging), without what `logging` leaves out. */
interface Entry {
  /** seconds since the epoch */
  readonly ts: number
  readonly logger: string
  readonly request: Readonly<Record<'remote_ip' | 'proto' | 'method' | 'host' | 'uri', string>>
  readonly status: number
  readonly size: number
  /** seconds */
  readonly duration: number
  readonly user_id?: string
  readonly user_agent?: string
  readonly forwarded_for?: string
}

function parseLine(text: string, prefix: string): Omit<AccessLine, 'host'> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const entry = JSON.parse(text) as Entry
    const {
      ts,
      logger,
      request,
      status,
      size,
      duration,
      user_id: user,
      user_agent: agent,
      forwarded_for: chain,
    } = entry
    const [visitor = ''] = (chain ?? '').split(',')
    return {
      service: logger.startsWith(prefix) ? logger.slice(prefix.length) : '',
      at: new Date(ts * 1000).toISOString(),
      client: visitor.trim() || request.remote_ip,
      ...(user ? { user } : {}),
      method: request.method,
      url: `${request.host}${request.uri}`,
      protocol: request.proto,
      status,
      bytes: size,
      duration_ms: Math.round(duration * 1000),
      ...(agent ? { user_agent: agent } : {}),
    }
  } catch {
    return undefined // somebody else has written to it
  }
}

/** @returns the line for people */
export function describeAccess(line: AccessLine): string {
  const { at, client, user, method, url, status, bytes, duration_ms: ms, user_agent: agent } = line
  const who = user === undefined ? client : `${client} (${user})`
  const what = `${formatTime(at)} ${who} ${method} ${url} ${status}, ${bytes} B in ${ms} ms`
  return plainLine(agent === undefined ? what : `${what}, ${agent}`)
}
