import type { Rules } from '../../config/edge/rules.ts'
import { type Route, type Slot, slotAddress } from '../../plan/routes/table.ts'
import { PROXY_FOLDER } from '../inside/scripts.ts'
import { noRelease } from './answers.ts'
import { withAssets } from './assets.ts'

/** JSON for Caddy (https://caddyserver.com/docs/json/apps/http/servers/routes/handle/reverse_proxy/). */
type Json = Readonly<Record<string, unknown>>

/** A route and its project. */
export interface Owned {
  readonly project: string
  readonly route: Route
}

/**
 * @param trusted senders whose X-Forwarded headers are kept, with their address added
 * @returns routes of Caddy that send a request to the slot that is live
 */
export function slotRoutes(owned: Owned, trusted: readonly string[] = [], rules: Rules = {}): Json[] {
  const { project, route } = owned
  const live = (slot: Slot) => ({
    match: [{ file: { root: `${PROXY_FOLDER}/live`, try_files: [`/${project}/${route.service}.${slot}`] } }],
    terminal: true,
    handle: [proxyTo(owned, slot, trusted, rules)],
  })
  // `a` is looked for twice: the switch from b to a may happen between the first two looks.
  return [live('a'), live('b'), live('a'), { handle: [noRelease(rules)] }]
}

function proxyTo({ project, route }: Owned, slot: Slot, trusted: readonly string[], { timeout, assets }: Rules): Json {
  const transport = {
    ...(route.h2c?.includes(slot) ? { versions: ['h2c', '2'] } : {}),
    ...(timeout ? { response_header_timeout: `${timeout}ms` } : {}),
  }
  return {
    handler: 'reverse_proxy',
    upstreams: [{ dial: slotAddress(project, route, slot) }],
    // Waits for a container that is being restarted; a request that has reached it is not sent twice.
    load_balancing: { try_duration: '10s', try_interval: '100ms', ...(timeout ? NEVER_AGAIN : {}) },
    // Otherwise a changed route would cut WebSockets.
    stream_close_delay: '1h',
    ...(trusted.length > 0 ? { trusted_proxies: trusted } : {}),
    ...(assets ? { handle_response: withAssets(assets, project, route.service) } : {}),
    ...(Object.keys(transport).length > 0 ? { transport: { protocol: 'http', ...transport } } : {}),
  }
}

/** Caddy would ask a service again that has not answered a GET in time, for as long as it tries to connect. */
const NEVER_AGAIN = { retry_match: [{ not: [{ path: ['*'] }] }] }
