import type { ServiceConfig } from './config.ts'
import { childError, type Docker } from './docker.ts'
import { inProxy, isGone, NO_PROXY } from './proxy.ts'
import { ASK } from './proxy-scripts.ts'
import { type Routed, slotAddress } from './routes.ts'

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
    const scheme = route.hosts.length === 0 || route.tls === 'off' ? 'http' : 'https'
    return [`http://${slotAddress(name, route, slots[route.service] ?? 'a')}${health}`, host, scheme]
  })
  const result = await inProxy(docker, 'ask', ASK, [String(seconds), ...args], { seconds })
  if (result.code !== 0) {
    const error = childError('ask what is live through the proxy', result)
    if (error.kind !== 'failed') throw error
    return new Map(live.map(({ service }) => [service, isGone(result) ? NO_PROXY : 'the proxy does not answer']))
  }
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
