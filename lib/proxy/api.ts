import { version } from '../../package.json'
import { childError, type Docker } from '../docker/client.ts'
import { isGone } from '../docker/lifecycle.ts'
import { refuseTakenRoutes } from '../plan/routes/conflicts.ts'
import { type Digests, PROXY, type ProjectRoutes, type Route, type Slot, type Slots } from '../plan/routes/table.ts'
import type { Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { compareVersions } from '../util/semantic-version.ts'
import { caddyConfig } from './caddy/config.ts'
import { ensureFiles } from './certificates/keys.ts'
import { DRAINED, IN_FLIGHT, NO_H2C, PROBE } from './inside/questions.ts'
import { inProxy } from './inside/run.ts'
import { APPLY, FORGET, READ, REFUSED, SWITCH } from './inside/scripts.ts'
import { asReleased, withOthers } from './internal/subnets.ts'

/** The state of a host's proxy, for all projects on that host. */
export interface ProxyState {
  /** number of its configuration */
  readonly generation: number
  /** the version of the Stagecraft that wrote it; empty: one that did not say */
  readonly writer: string
  readonly projects: ProjectRoutes
  /** the same, with what only the proxy keeps (`named` in lib/plan/routes/table.ts) */
  readonly kept: ProjectRoutes
  /** by project */
  readonly live: Readonly<Record<string, Slots>>
  /** projects whose public routes answer 503 now */
  readonly maintenance: readonly string[]
  /** what operators have given, by project */
  readonly files: Readonly<Record<string, Digests>>
}

/** @returns the state of the proxy. @throws failed (5) if it is not running */
export async function readProxy(docker: Docker): Promise<ProxyState> {
  const result = await inProxy(docker, 'read', READ)
  if (result.code !== 0) throw childError('read the state of the proxy', result)
  return parseState(result)
}

/** @returns the state of the proxy, or of that container; undefined if it is not running (any more). */
export async function readProxyIfUp(docker: Docker, container?: string): Promise<ProxyState | undefined> {
  const result = await inProxy(docker, 'read', READ, [], container === undefined ? {} : { container })
  if (isGone(result)) return undefined
  if (result.code !== 0) throw childError('read the state of the proxy', result)
  return parseState(result)
}

function parseState(result: Result): ProxyState {
  const [first = '', routes = '', ...lines] = result.stdout.split('\n')
  const [generation, writer = ''] = first.split(' ')
  const live: Record<string, Record<string, Slot>> = {}
  const maintenance: string[] = []
  const files: Record<string, Digests> = {}
  for (const line of lines) {
    const [, digest, owner = '', name = ''] = /^([0-9a-f]{64}) +([^/]+)\/(.+)$/.exec(line) ?? []
    if (digest !== undefined) files[owner] = { ...files[owner], [name]: digest }
    else if (line.endsWith('.html')) maintenance.push(line.slice(0, -'.html'.length))
    const [, project = '', service = '', slot] = /^([^/]+)\/(.+)\.([ab])$/.exec(line) ?? []
    if (slot !== 'a' && slot !== 'b') continue
    live[project] = { ...live[project], [service]: slot }
  }
  const kept = JSON.parse(routes) as ProjectRoutes // written by `applyRoutes`
  return { generation: Number(generation), writer, projects: asReleased(kept), kept, live, maintenance, files }
}

/**
 * Sets the routes of a project; other projects keep theirs. Equal routes are not applied again, because loading a
 * configuration may reset connections in Caddy.
 * @throws failed (5) if Caddy refuses them, config (3) if another project has one of them or a newer Stagecraft has set
 * those of others; nothing is changed then
 */
export async function applyRoutes(docker: Docker, project: string, routes: readonly Route[]): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const state = await readProxy(docker)
    const { [project]: mine = [] } = state.projects
    if (JSON.stringify(mine) === JSON.stringify(routes)) return
    const projects = withOthers(project, routes, state.kept)
    refuseTakenRoutes(project, routes, projects)
    refuseIfOlder(project, state)
    await ensureFiles(docker, project, routes)
    const input = `${JSON.stringify(projects)}\n${JSON.stringify(caddyConfig(projects))}\n`
    const result = await inProxy(docker, 'apply', APPLY, [String(state.generation + 1), version], {
      input,
      changes: true,
    })
    if (result.code === 0) return
    if (result.code !== TAKEN) throw refused(result)
  }
  throw new StagecraftError('failed', 'Cannot change the routes of the proxy: others keep changing them')
}

/**
 * Refuses to write Caddy's configuration if that would leave out of other projects' routes what only a newer Stagecraft
 * knows, which may decide who has access.
 * @throws config (3)
 */
export function refuseIfOlder(project: string, { writer, projects }: Pick<ProxyState, 'writer' | 'projects'>): void {
  if (compareVersions(version, writer) >= 0) return
  const others = Object.keys(projects).filter((name) => name !== project && (projects[name] ?? []).length > 0)
  if (others.length === 0) return
  throw new StagecraftError(
    'config',
    `Cannot change the routes of the proxy: Stagecraft ${writer} has set those of ${others.join(', ')}, and this is ${version}`,
    { hint: 'An older one would leave out what it does not know: stagecraft upgrade' },
  )
}

/** Exit code of `APPLY`: somebody else has written that configuration first. */
const TAKEN = 75

function refused(result: Result): StagecraftError {
  if (result.code !== REFUSED) return childError('change the routes of the proxy', result)
  return new StagecraftError('failed', 'Cannot change the routes of the proxy: Caddy refuses them', {
    detail: result.stderr.trim(),
    hint: 'It keeps the routes it had. Check `expose` in stagecraft.yml.',
  })
}

/** Makes exactly these slots of a project live, all at once: by one rename, without a new configuration. */
export async function switchSlots(docker: Docker, project: string, slots: Slots): Promise<void> {
  const files = Object.keys(slots)
    .toSorted()
    .map((service) => `${service}.${slots[service]}`)
  const script = files.length > 0 ? SWITCH : FORGET
  const result = await inProxy(docker, 'switch', script, [project, ...files], { changes: true })
  if (result.code !== 0) throw childError('switch the proxy to the live slots', result)
}

/** @returns requests in flight by upstream, as Caddy counts them (a WebSocket is one); undefined if no proxy runs */
export async function requestsInFlight(docker: Docker): Promise<Map<string, number> | undefined> {
  return counted(await inProxy(docker, 'in-flight', IN_FLIGHT))
}

/** Waits until no request is in flight to these upstreams, for at most `seconds`. @returns as `requestsInFlight` */
export async function untilDrained(
  docker: Docker,
  seconds: number,
  addresses: readonly string[],
): Promise<Map<string, number> | undefined> {
  return counted(await inProxy(docker, 'drained', DRAINED, [String(seconds), ...addresses], { seconds }))
}

function counted(result: Result): Map<string, number> | undefined {
  if (isGone(result)) return undefined
  if (result.code !== 0) throw childError('count the requests in flight in the proxy', result)
  const upstreams = JSON.parse(result.stdout) as readonly { address: string; num_requests: number }[] | null // Caddy's admin API
  return new Map((upstreams ?? []).map(({ address, num_requests }) => [address, num_requests]))
}

/** @returns how many requests are in flight to a slot: to its address, and to those of its containers below it */
export function inFlightTo(counts: ReadonlyMap<string, number>, address: string): number {
  const isOf = (one: string) =>
    one === address || (one.endsWith(`.${address}`) && /^\d+$/.test(one.slice(0, -address.length - 1)))
  return [...counts].reduce((sum, [one, count]) => (isOf(one) ? sum + count : sum), 0)
}

export const NO_PROXY = 'the proxy is not running'

/** Where and how to probe whether a container takes requests. */
interface ProbeTarget {
  readonly address: string
  readonly port: number
  /** it must speak HTTP/2 without TLS, and is asked for nothing */
  readonly h2c: boolean
  /** a path that must answer 2xx; undefined: any answer counts */
  readonly health: string | undefined
  readonly host: string
  /** X-Forwarded-Proto: `http` or `https` */
  readonly scheme: string
}

/** What is wrong with a container. `no-proxy`: there is no proxy to probe from. `silent`: nothing answers. `unwell`: an error does. */
export interface ProbeFailure {
  readonly kind: 'no-proxy' | 'silent' | 'unwell'
  readonly why: string
}

/**
 * Probes a container as the proxy would ask it, for at most `seconds`.
 * @returns undefined if the container answers as it should
 */
export async function probe(docker: Docker, target: ProbeTarget, seconds: number): Promise<ProbeFailure | undefined> {
  const at = `${target.address}:${target.port}`
  const url = target.h2c ? `h2c://${at}` : `http://${at}${target.health ?? '/'}`
  // Without a health path any answer counts, also an error, so one request is enough.
  const limit = target.health === undefined ? 0 : seconds
  const result = await inProxy(docker, 'probe', PROBE, [String(limit), url, target.host, target.scheme], { seconds })
  if (result.code === 0) return undefined
  const [, status] = /HTTP\/[\d.]+ (\d{3}[^\n]*)/i.exec(result.stderr) ?? []
  if (isGone(result)) return { kind: 'no-proxy', why: NO_PROXY }
  if (status !== undefined && target.health === undefined) return undefined
  if (status !== undefined) return { kind: 'unwell', why: `${target.health} answers ${status.trim()}` }
  if (result.stderr.includes(NO_H2C))
    return { kind: 'unwell', why: `it does not speak HTTP/2 without TLS on port ${target.port}` }
  // It listens, and ends before it has answered.
  if (/error getting response/.test(result.stderr))
    return { kind: 'unwell', why: `it closes the connection on port ${target.port} without an answer` }
  const said = result.stderr
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^(wget|nc): /, '')
  return { kind: 'silent', why: `nothing answers on port ${target.port}${said ? ` (${said})` : ''}` }
}

/** @returns the aliases that were set explicitly: engine 20.10 adds the short id. */
export function ownAliases(aliases: readonly string[], id: string): string[] {
  return aliases.filter((alias) => alias !== id.slice(0, 12) && alias !== PROXY)
}
