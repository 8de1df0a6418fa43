import { caddyConfig } from './caddy-config.ts'
import { childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { asReleased, besideOthers } from './internal-subnets.ts'
import { APPLY, DRAINED, FORGET, IN_FLIGHT, PROBE, READ, SWITCH } from './proxy-scripts.ts'
import { refuseTakenRoutes } from './route-conflicts.ts'
import { PROXY, type ProjectRoutes, type Route, type Slot, type Slots } from './routes.ts'

/** What the proxy does for everyone on its host. */
export interface ProxyState {
  /** of its configuration */
  readonly generation: number
  readonly projects: ProjectRoutes
  /** the same, with what only the proxy knows of them (lib/routes.ts, `named`) */
  readonly kept: ProjectRoutes
  /** by project */
  readonly live: Readonly<Record<string, Slots>>
  /** projects whose public routes answer 503 now */
  readonly maintenance: readonly string[]
}

/** @returns what the proxy does now. @throws failed (5) where it does not run */
export async function readProxy(docker: Docker): Promise<ProxyState> {
  const result = await inProxy(docker, 'read', READ)
  if (result.code !== 0) throw childError('read what the proxy does', result)
  return parseState(result)
}

/** @returns the same; undefined: it does not run, be it that it ran a moment ago. */
export async function readProxyIfUp(docker: Docker): Promise<ProxyState | undefined> {
  const result = await inProxy(docker, 'read', READ)
  if (isGone(result)) return undefined
  if (result.code !== 0) throw childError('read what the proxy does', result)
  return parseState(result)
}

function parseState(result: Result): ProxyState {
  const [generation = '', routes = '', ...lines] = result.stdout.split('\n')
  const live: Record<string, Record<string, Slot>> = {}
  const maintenance: string[] = []
  for (const line of lines) {
    if (line.endsWith('.html')) maintenance.push(line.slice(0, -'.html'.length))
    const [, project = '', service = '', slot] = /^([^/]+)\/(.+)\.([ab])$/.exec(line) ?? []
    if (slot !== 'a' && slot !== 'b') continue
    live[project] = { ...live[project], [service]: slot }
  }
  const kept = JSON.parse(routes) as ProjectRoutes // written by `applyRoutes`
  return { generation: Number(generation), projects: asReleased(kept), kept, live, maintenance }
}

/**
 * Makes these the routes of a project; those of the others stay as they are. What does not change anything is not applied:
 * each configuration that Caddy loads may reset connections.
 * @throws failed (5) where Caddy refuses it, config (3) where another project has one: then everything is as it was
 */
export async function applyRoutes(docker: Docker, project: string, routes: readonly Route[]): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const state = await readProxy(docker)
    const { [project]: mine = [] } = state.projects
    if (JSON.stringify(mine) === JSON.stringify(routes)) return
    const projects = besideOthers(project, routes, state.kept)
    refuseTakenRoutes(project, routes, projects)
    const input = `${JSON.stringify(projects)}\n${JSON.stringify(caddyConfig(projects))}\n`
    const result = await inProxy(docker, 'apply', APPLY, [String(state.generation + 1)], {
      input,
      changes: true,
    })
    if (result.code === 0) return
    if (result.code !== TAKEN) throw refused(result)
  }
  throw new StagecraftError('failed', 'Cannot change the routes of the proxy: others keep changing them')
}

/** Exit codes of `APPLY`. */
const [REFUSED, TAKEN] = [65, 75]

function refused(result: Result): StagecraftError {
  if (result.code !== REFUSED) return childError('change the routes of the proxy', result)
  return new StagecraftError('failed', 'Cannot change the routes of the proxy: Caddy refuses them', {
    detail: result.stderr.trim(),
    hint: 'It goes on with the routes it had. Look at `expose` in stagecraft.yml.',
  })
}

/** Makes exactly these slots of a project live, all at once: one rename, and no new configuration. */
export async function switchSlots(docker: Docker, project: string, slots: Slots): Promise<void> {
  const files = Object.keys(slots)
    .toSorted()
    .map((service) => `${service}.${slots[service]}`)
  const script = files.length > 0 ? SWITCH : FORGET
  const result = await inProxy(docker, 'switch', script, [project, ...files], { changes: true })
  if (result.code !== 0) throw childError('tell the proxy what is live', result)
}

/**
 * @returns how many requests are on their way, by upstream, as Caddy counts them; an open WebSocket is one. Undefined: the
 * proxy does not run
 */
export async function requestsInFlight(docker: Docker): Promise<Map<string, number> | undefined> {
  return counted(await inProxy(docker, 'in-flight', IN_FLIGHT))
}

/** Waits until none is on its way to these upstreams, for so many seconds at the most. @returns how many there are then */
export async function untilDrained(
  docker: Docker,
  seconds: number,
  addresses: readonly string[],
): Promise<Map<string, number> | undefined> {
  return counted(await inProxy(docker, 'drained', DRAINED, [String(seconds), ...addresses], { seconds }))
}

function counted(result: Result): Map<string, number> | undefined {
  if (isGone(result)) return undefined
  if (result.code !== 0) throw childError('ask the proxy for requests in flight', result)
  const upstreams = JSON.parse(result.stdout) as readonly { address: string; num_requests: number }[] | null // Caddy's admin API
  return new Map((upstreams ?? []).map(({ address, num_requests }) => [address, num_requests]))
}

/** What `probe` says where there is nobody who could ask. */
export const NO_PROXY = 'the proxy does not run'

/** @returns whether a command inside the proxy failed since it does not run: somebody removed, stopped or killed it. */
export function isGone({ stderr }: Result): boolean {
  return /no such container|is not running|is restarting|is paused/i.test(stderr)
}

/** Where and how a container is asked whether it takes requests. */
export interface ProbeTarget {
  readonly address: string
  readonly port: number
  /** a path that must answer 2xx; undefined: any answer counts */
  readonly health: string | undefined
  readonly host: string
  /** X-Forwarded-Proto: `http` or `https` */
  readonly scheme: string
}

/**
 * Asks a container as the proxy would, for so many seconds at the most.
 * @returns what stands in the way of an answer that counts, if something does
 */
export async function probe(docker: Docker, target: ProbeTarget, seconds: number): Promise<string | undefined> {
  const url = `http://${target.address}:${target.port}${target.health ?? '/'}`
  // What answers with an error has answered: without a health path that is enough, and once is enough.
  const limit = target.health === undefined ? 0 : seconds
  const result = await inProxy(docker, 'probe', PROBE, [String(limit), url, target.host, target.scheme], { seconds })
  if (result.code === 0) return undefined
  const [, status] = /HTTP\/[\d.]+ (\d{3}[^\n]*)/i.exec(result.stderr) ?? []
  if (isGone(result)) return NO_PROXY
  if (status !== undefined) return target.health === undefined ? undefined : `${target.health} answers ${status.trim()}`
  const said = result.stderr
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^wget: /, '')
  return `nothing answers on port ${target.port}${said ? ` (${said})` : ''}`
}

interface InProxy {
  readonly input?: string
  /** it takes so long */
  readonly seconds?: number
  /** it changes something: it has the lock, and as much time as its engine answers */
  readonly changes?: true
}

/** @param name of the script, as process lists show it */
export function inProxy(
  docker: Docker,
  name: string,
  script: string,
  args: readonly string[] = [],
  { input, changes, seconds }: InProxy = {},
): Promise<Result> {
  const stdin = input === undefined ? [] : ['--interactive']
  return docker.try(['exec', ...stdin, PROXY, 'sh', '-c', script, `stagecraft-${name}`, ...args], {
    asks: changes !== true,
    ...(seconds === undefined ? {} : { timeout: seconds * 1000 + 60_000 }),
    ...(input === undefined ? {} : { input }),
  })
}

/** @returns the aliases that somebody gave: engine 20.10 adds the short id. */
export function ownAliases(aliases: readonly string[], id: string): string[] {
  return aliases.filter((alias) => alias !== id.slice(0, 12) && alias !== PROXY)
}

/** Plugs a container into a network, under these names. It may be on it already. */
export async function connect(
  docker: Docker,
  network: string,
  container: string,
  aliases: readonly string[],
  driverOptions: readonly string[] = [],
): Promise<void> {
  const flags = [
    ...aliases.flatMap((alias) => ['--alias', alias]),
    ...driverOptions.flatMap((option) => ['--driver-opt', option]),
  ]
  const args = ['network', 'connect', ...flags, network, container]
  const result = await docker.try(args)
  if (result.code !== 0 && !/already exists in network/i.test(result.stderr))
    throw childError(`plug a container into ${network}`, result)
}
