import type { Rules } from '../../config/edge/rules.ts'
import { keyDigest } from '../../plan/routes/certificates.ts'
import { namedIn, type Route, type Slot, upstreamsOf } from '../../plan/routes/table.ts'
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
  const live = (slot: Slot) => {
    const proxy = (balancing: Json) => proxyTo(owned, slot, balancing, { ...rules, trusted })
    const isSticky = rules.sticky === true && namedIn(route, slot) > 0
    return {
      match: [{ file: { root: `${PROXY_FOLDER}/live`, try_files: [`/${project}/${route.service}.${slot}`] } }],
      terminal: true,
      handle: [isSticky ? stickyTo(owned, proxy) : proxy(PATIENT)],
    }
  }
  // `a` is looked for twice: the switch from b to a may happen between the first two looks.
  return [live('a'), live('b'), live('a'), { handle: [noRelease(rules)] }]
}

/** Waits for a container that is being restarted; a request that has reached it is not sent twice. */
const PATIENT = { try_duration: '10s', try_interval: '100ms' }
/** For a visitor's own container, before another one gets the visitor. */
const IMPATIENT = { try_duration: '300ms', try_interval: '100ms' }
/** One that cannot be reached is not the next one to be tried. */
const IN_TURN = { policy: 'round_robin' }

function proxyTo(
  { project, route }: Owned,
  slot: Slot,
  balancing: Json,
  { trusted, timeout, assets }: Rules & { readonly trusted: readonly string[] },
): Json {
  const transport = {
    ...(route.h2c?.includes(slot) ? { versions: ['h2c', '2'] } : {}),
    ...(timeout ? { response_header_timeout: `${timeout}ms` } : {}),
  }
  return {
    handler: 'reverse_proxy',
    upstreams: upstreamsOf(project, route, slot).map((dial) => ({ dial })),
    load_balancing: {
      ...(namedIn(route, slot) > 0 ? { selection_policy: IN_TURN } : {}),
      ...balancing,
      ...(timeout ? NEVER_AGAIN : {}),
    },
    // Otherwise a changed route would cut WebSockets.
    stream_close_delay: '1h',
    ...(trusted.length > 0 ? { trusted_proxies: trusted } : {}),
    ...(assets ? { handle_response: withAssets(assets, project, route.service) } : {}),
    ...(Object.keys(transport).length > 0 ? { transport: { protocol: 'http', ...transport } } : {}),
  }
}

/** Caddy would ask a service again that has not answered a GET in time, for as long as it tries to connect. */
const NEVER_AGAIN = { retry_match: [{ not: [{ path: ['*'] }] }] }

/**
 * A cookie names a visitor's container. Caddy would try no other, so if that one cannot be reached for a moment, the cookie is
 * taken for one that names nobody: the visitor gets another container and a new cookie. A request that has reached one is over.
 */
function stickyTo({ project, route }: Owned, proxy: (balancing: Json) => Json): Json {
  const name = `sticky_${keyDigest(`${project}/${route.service}`)}`
  const byCookie = { selection_policy: { policy: 'cookie', name, fallback: IN_TURN } }
  const forget = {
    handler: 'headers',
    request: { replace: { Cookie: [{ search_regexp: `${name}=[^;]*`, replace: `${name}=gone` }] } },
  }
  return {
    handler: 'subroute',
    routes: [{ handle: [proxy({ ...byCookie, ...IMPATIENT })] }],
    errors: {
      routes: [
        {
          match: [{ expression: '{http.error.message}.startsWith("dial ")' }],
          handle: [forget, proxy({ ...byCookie, ...PATIENT })],
        },
        { handle: [{ handler: 'error', error: '{http.error.message}', status_code: '{http.error.status_code}' }] },
      ],
    },
  }
}
