import type { ProjectRoutes, Route } from '../../plan/routes/table.ts'
import { PROXY_FOLDER } from '../inside/scripts.ts'

type Json = Readonly<Record<string, unknown>>

/** What Caddy logs: to the container's log what goes wrong, to files what there is much of. */
export function logging(projects: ProjectRoutes): Json {
  const logged = loggedIn(projects)
  // Our own requests: several a second during a drain.
  const exclude = ['admin.api', ...(logged.length > 0 ? [ACCESS] : [])]
  return {
    logs: {
      default: { exclude },
      certificates: {
        include: ['tls.obtain', 'tls.renew'],
        writer: { output: 'file', filename: `${PROXY_FOLDER}/certificates.log`, roll_size_mb: 1, roll_keep: 1 },
      },
      ...Object.fromEntries(logged.map((project) => [`access-${project}`, accessLog(project)])),
    },
  }
}

/** Caddy's name for what is logged of requests: `<ACCESS>.<project>.<service>`. */
export const ACCESS = 'http.log.access'

/** A file of each project, with those that were rolled away: 50 MB at most. */
function accessLog(project: string): Json {
  const filename = `${PROXY_FOLDER}/access/${project}.access.log` // no other project's begins like this
  const gone = { filter: 'delete' }
  return {
    include: [`${ACCESS}.${project}`],
    writer: { output: 'file', filename, roll_size_mb: 10, roll_keep: 4, roll_gzip: false },
    encoder: {
      format: 'filter',
      wrap: { format: 'json' },
      // Caddy leaves out the credentials that it knows: a header or a query may have others.
      fields: {
        'request>headers': gone,
        'request>tls': gone,
        resp_headers: gone,
        'request>uri': { filter: 'regexp', regexp: '\\?.*', value: '?REDACTED' },
      },
    },
  }
}

function loggedIn(projects: ProjectRoutes): string[] {
  const isLogged = (project: string) => projects[project]?.some(({ rules }) => rules?.access_log) === true
  return Object.keys(projects).filter(isLogged).toSorted()
}

/** @returns what makes a server of Caddy log requests. Those of other projects go nowhere. */
export function serverLogs(projects: ProjectRoutes): { readonly logs?: Json } {
  return loggedIn(projects).length > 0 ? { logs: {} } : {}
}

/** @returns routes of Caddy that say where a request is logged, and with what besides */
export function accessRoutes({ project, route }: { readonly project: string; readonly route: Route }): Json[] {
  const { service, rules, trusted } = route
  if (!rules?.access_log) return []
  const header = (key: string, name: string) => ({
    handler: 'log_append',
    key,
    value: `{http.request.header.${name}}`,
  })
  const handle = [
    { handler: 'vars', access_logger_names: [`${project}.${service}`] },
    header('user_agent', 'User-Agent'),
  ]
  const visitor = header('forwarded_for', 'X-Forwarded-For')
  return [{ handle }, ...(trusted ? [{ match: [{ remote_ip: { ranges: trusted } }], handle: [visitor] }] : [])]
}
