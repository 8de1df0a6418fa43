import type { ServiceConfig } from './config.ts'
import { childError, type Docker, type ProxyContainer } from './docker.ts'
import type { Result } from './exec.ts'
import { inProxy, isGone, NO_PROXY, ownAliases } from './proxy.ts'
import { findProxy } from './proxy-life.ts'
import { ASK } from './proxy-scripts.ts'
import { PROXY_NETWORK, type Route, type Routed, slotAddress } from './routes.ts'

/** Whose routes are asked about. */
export interface Asked {
  readonly docker: Docker
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
}

/**
 * Asks the live slots of a project from inside the proxy, by the names and ports that Caddy asks them by: what answers at all,
 * be it with an error, answers.
 * @param seconds that each has at the most; 0: it is asked once, for 5 s at the most
 * @returns what is in the way, by service, where nothing answers
 */
export async function askLive(
  { docker, name, services }: Asked,
  { routes, slots }: Routed,
  seconds: number,
): Promise<Map<string, string>> {
  const live = routes.filter(({ service }) => slots[service] !== undefined)
  if (live.length === 0) return new Map()
  const args = live.flatMap((route) => {
    const { health = '/' } = services[route.service]?.expose ?? {}
    const [host = route.service] = route.hosts
    const scheme = route.hosts.length === 0 || (route.tls === 'off' && route.trusted === undefined) ? 'http' : 'https'
    return [`http://${slotAddress(name, route, slots[route.service] ?? 'a')}${health}`, host, scheme]
  })
  const [result, proxy] = await Promise.all([
    inProxy(docker, 'ask', ASK, [String(seconds), ...args], { seconds }),
    findProxy(docker),
  ])
  if (result.code !== 0) {
    const error = childError('ask what is live through the proxy', result)
    if (error.kind !== 'failed') throw error
    return new Map(live.map(({ service }) => [service, isGone(result) ? NO_PROXY : 'the proxy does not answer']))
  }
  const cutOff = live.flatMap((route): [string, string][] => {
    const [why] = proxy ? unheard(proxy, route) : [NO_PROXY]
    return why === undefined ? [] : [[route.service, why]]
  })
  return new Map([...cutOff, ...silentOf(result, live)])
}

/** @returns where those who ask do not find the proxy. */
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
      const reason = said.replace(/^wget: /, '').trim()
      return [[route.service, `nothing answers the proxy there${reason ? ` (${reason})` : ''}`]]
    }),
  )
}
