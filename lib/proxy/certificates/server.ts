import { ANY, wholeName } from '../../config/edge/expose.ts'
import { askedRoutes } from '../../plan/routes/certificates.ts'
import { type Owned, slotRoutes } from '../caddy/slots.ts'
import { PROXY_FOLDER } from '../inside/scripts.ts'

/** JSON for Caddy (https://caddyserver.com/docs/json/). */
type Json = Readonly<Record<string, unknown>>

/** Where Caddy itself asks: only processes in the proxy's container reach it. */
const ADDRESS = '127.0.0.1:2020'

/** @returns the URL of a certificate that an operator has given, with its key */
export function givenUrl(project: string, service: string): string {
  return `http://${ADDRESS}/${project}/${service}.pem`
}

const ASK_PATH = '/ask'

/** Caddy adds `?domain=<name>`, and takes 2xx for a yes. */
export const ASK_URL = `http://${ADDRESS}${ASK_PATH}`

/** @returns the server inside the proxy that has the certificates of operators and asks services; none if nobody needs it */
export function certificateServer(all: readonly Owned[]): Readonly<Record<string, Json>> {
  const files = { handler: 'file_server', root: `${PROXY_FOLDER}/keys` }
  const given = all.some(({ route }) => route.tls === 'own') ? [{ match: [{ path: ['*.pem'] }], handle: [files] }] : []
  const routes = [...given, ...askRoutes(all)]
  if (routes.length === 0) return {}
  return { certificates: { listen: [ADDRESS], automatic_https: { disable: true }, routes } }
}

/** For each host with a `*`, the longest first. */
function askRoutes(all: readonly Owned[]): Json[] {
  return [...askedRoutes(all)]
    .toSorted(([a], [b]) => b.length - a.length)
    .map(([host, owned]) => {
      const own = host === ANY ? {} : { expression: `${DOMAIN}.endsWith("${host.slice(1)}")` }
      return { match: [{ path: [ASK_PATH], ...own }], terminal: true, handle: askHandlers(owned) }
    })
}

const DOMAIN = '{http.request.uri.query.domain}'

/** As a visitor's request by HTTPS: an application that redirects plain HTTP would allow nothing. */
function askHandlers(owned: Owned): Json[] {
  const { hosts, ask } = owned.route
  const set = { Host: [wholeName({ host: hosts }) ?? DOMAIN], 'X-Forwarded-Proto': ['https'] }
  return [
    { handler: 'rewrite', uri: `${ask}?{http.request.uri.query}` },
    { handler: 'headers', request: { set } },
    { handler: 'subroute', routes: slotRoutes(owned, ['127.0.0.1']) },
  ]
}
