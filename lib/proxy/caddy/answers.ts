import type { Rules } from '../../config/edge/rules.ts'
import { type ProjectRoutes, pageFile, type Route } from '../../plan/routes/table.ts'
import { PROXY_FOLDER } from '../inside/scripts.ts'

/** What the proxy answers itself. */
type Json = Readonly<Record<string, unknown>>

/** The page of `stagecraft maintenance on`. */
export function maintenance({ project }: { readonly project: string }): Json {
  const page = { root: `${PROXY_FOLDER}/maintenance`, uri: `/${project}.html`, status: '503' }
  return answerWithPage({ ...page, headers: { 'Retry-After': ['60'] } })
}

/** Says to a balancer whether the host is to get requests of a project: not under maintenance, nor if the proxy is to be recreated. */
export function hostHealth({ project }: { readonly project: string }): Json {
  const headers = { 'Cache-Control': ['no-store'] }
  const say = (status_code: string, body: string) => ({ handler: 'static_response', status_code, body, headers })
  const files = { root: PROXY_FOLDER, try_files: [`/maintenance/${project}.html`, '/changing'] }
  return {
    handler: 'subroute',
    routes: [
      { match: [{ file: files }], terminal: true, handle: [say('503', 'This host does not take requests now.\n')] },
      { handle: [say('200', 'This host takes requests.\n')] },
    ],
  }
}

/** Ends connections with their answers, in the second before a configuration is loaded. A WebSocket is none, HTTP/3 has no such header. */
export function closing(): Json {
  const others = { not: [{ header: { Upgrade: ['*'] } }, { protocol: 'http/3' }] }
  return {
    match: [{ file: { root: PROXY_FOLDER, try_files: ['/closing'] }, ...others }],
    handle: [{ handler: 'headers', response: { set: { Connection: ['close'] } } }],
  }
}

interface Page {
  readonly root: string
  readonly uri: string
  readonly status: string
  readonly headers?: Json
  readonly match?: Json
}

const CONDITIONS = ['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range']

/** @returns a route that answers with a page while there is one. `file_server` answers GET only, so the method is rewritten. */
function answerWithPage({ root, uri, status, headers, match }: Page): Json {
  return {
    match: [{ ...match, file: { root, try_files: [uri] } }],
    terminal: true,
    handle: [
      { handler: 'rewrite', method: 'GET', uri },
      {
        handler: 'headers',
        request: { delete: CONDITIONS },
        response: { set: { ...headers, 'Cache-Control': ['no-store'] } },
      },
      { handler: 'file_server', root, status_code: status },
    ],
  }
}

/** @returns a route that says which error pages a request has */
export function pagesOf({ project, route }: { readonly project: string; readonly route: Route }): Json[] {
  const pages = Object.keys(route.rules?.error_pages ?? {})
  if (pages.length === 0) return []
  const files = pages.map((status) => [variable(status), `/${project}/${pageFile(route.service, status)}`])
  return [{ handle: [{ handler: 'vars', ...Object.fromEntries(files) }] }]
}

function variable(status: string): string {
  return `error_page_${status}`
}

/** @returns what Caddy does with an error of its own. What a service answers is none, whatever its status. */
export function errorPages(projects: ProjectRoutes): { readonly errors?: Json } {
  const all = Object.values(projects).flat()
  const statuses = [...new Set(all.flatMap(({ rules }) => Object.keys(rules?.error_pages ?? {})))].toSorted()
  if (statuses.length === 0) return {}
  const page = (status: string) =>
    answerWithPage({
      root: `${PROXY_FOLDER}/pages`,
      uri: `{http.vars.${variable(status)}}`,
      status,
      match: { vars: { '{http.error.status_code}': [status] } },
    })
  return { errors: { routes: statuses.map(page) } }
}

/** @returns the handler for a request that the proxy refuses: with a page of the application's own, or this text */
export function refusal(status: string, body: string, { error_pages: pages }: Rules = {}): Json {
  if (pages?.[status] !== undefined) return { handler: 'error', status_code: status }
  return { handler: 'static_response', status_code: status, body }
}

export function noRelease(rules?: Rules): Json {
  return refusal('503', 'Nothing is deployed here.\n', rules)
}

export function unknownHost(): Json {
  return refusal('404', 'No such site.\n')
}
