import { wholeName } from '../config/edge/expose.ts'
import type { ServiceConfig } from '../config/parse.ts'
import { childError, type Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import type { ProxyContainer } from '../docker/inspect.ts'
import { isGone } from '../docker/lifecycle.ts'
import { PROXY_NETWORK, type Route, type RoutingTable, slotAddress } from '../plan/routes/table.ts'
import type { Result } from '../system/exec.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import { NO_PROXY, ownAliases } from './api.ts'
import { findProxy } from './container.ts'
import { ASK } from './inside/questions.ts'
import { inProxy } from './inside/run.ts'
import { connectLive, type RoutingRepair, repairRouting } from './routing.ts'

/** The project whose live containers are asked. */
interface Asked {
  readonly docker: Docker
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
}

/**
 * Sends a request to each live slot of a project from inside the proxy, by the names and ports that Caddy uses. Any
 * answer counts, also an error.
 * @param seconds for each slot at most; 0: one request of at most 5 s
 * @returns by service, why it does not answer; services that answer are left out
 */
export async function askLive(
  { docker, name, services }: Asked,
  { routes, slots }: RoutingTable,
  seconds: number,
): Promise<Map<string, string>> {
  const live = routes.filter(({ service }) => slots[service] !== undefined)
  if (live.length === 0) return new Map()
  const args = live.flatMap((route) => {
    const { health = '/' } = services[route.service]?.expose ?? {}
    const host = wholeName({ host: route.hosts }) ?? route.service
    const scheme = route.hosts.length === 0 || (route.tls === 'off' && route.trusted === undefined) ? 'http' : 'https'
    const slot = slots[route.service] ?? 'a'
    const at = slotAddress(name, route, slot)
    return [route.h2c?.includes(slot) ? `h2c://${at}` : `http://${at}${health}`, host, scheme]
  })
  const [result, proxy] = await Promise.all([
    inProxy(docker, 'ask', ASK, [String(seconds), ...args], { seconds }),
    findProxy(docker),
  ])
  if (result.code !== 0) {
    const error = childError('reach the live containers through the proxy', result)
    if (error.kind !== 'failed') throw error
    return new Map(live.map(({ service }) => [service, isGone(result) ? NO_PROXY : 'the proxy does not answer']))
  }
  const cutOff = live.flatMap((route): [string, string][] => {
    const [why] = proxy ? unheard(proxy, route) : [NO_PROXY]
    return why === undefined ? [] : [[route.service, why]]
  })
  return new Map([...cutOff, ...silentOf(result, live)])
}

/** Seconds that live containers have to answer a repaired proxy: they have answered before. */
const ANSWER = 10

/**
 * Asks the live slots of a project through the proxy. If one does not answer, repairs the proxy, which somebody may
 * have removed, and asks once more.
 * @param isAsked leaves out routes of which no answer is expected
 * @returns by service, why it does not answer; services that answer are left out
 */
export async function confirmAnswers(
  job: Asked & RoutingRepair,
  { routes, slots }: RoutingTable,
  isAsked: (route: Route) => boolean,
): Promise<ReadonlyMap<string, string>> {
  const { docker, name } = job
  const asked = { routes: routes.filter(isAsked), slots }
  if ((await askLive(job, asked, 0)).size === 0) return new Map()
  try {
    await repairRouting(job, { routes, slots })
    await connectLive(docker, name, await listContainers(docker, name), { routes, slots })
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind !== 'failed') throw error
    return new Map(asked.routes.map(({ service }) => [service, errorText(error)]))
  }
  return askLive(job, asked, ANSWER)
}

/** @returns a line for each reason, with the services that do not answer because of it. */
export function silentLines(silent: ReadonlyMap<string, string>): string {
  const byReason = Map.groupBy(silent, ([, why]) => why)
  return [...byReason].map(([why, services]) => `${services.map(([service]) => service).join(', ')}: ${why}`).join('\n')
}

/** @returns why visitors or internal callers of a route do not reach the proxy; empty if they do. */
export function unheard({ id, networks }: ProxyContainer, { hosts, internal }: Route): string[] {
  const inside = (internal?.networks ?? []).flatMap((network) => {
    const names = ownAliases(networks[network]?.aliases ?? [], id)
    const missing = internal?.names.filter((name) => !names.includes(name)) ?? []
    return missing.length > 0 ? [`the proxy does not answer as ${missing.join(', ')} on network ${network}`] : []
  })
  if (hosts.length === 0 || networks[PROXY_NETWORK]) return inside
  return [`the proxy is not on network ${PROXY_NETWORK}: its ports are not published`, ...inside]
}

function silentOf(result: Result, live: readonly Route[]): Map<string, string> {
  return new Map(
    result.stdout.split('\n').flatMap((line): [string, string][] => {
      const [, at = '', said = ''] = /^(\d+) (.*)$/.exec(line) ?? []
      const route = live[Number(at)]
      if (at === '' || route === undefined) return []
      const reason = said.replace(/^(wget|nc): /, '').trim()
      return [[route.service, `nothing answers the proxy there${reason ? ` (${reason})` : ''}`]]
    }),
  )
}
