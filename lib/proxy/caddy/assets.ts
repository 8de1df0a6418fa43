import type { Assets } from '../../config/edge/assets.ts'
import { ASSETS_FOLDER, MOST_SETS } from '../inside/assets.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * @returns what Caddy does with the answers of a service: where it knows no file, one of another release is sent if there is one.
 * Between the look and the sending the sets may move on by one: each is asked in turn.
 */
export function withAssets({ path }: Assets, project: string, service: string): readonly Json[] {
  const root = `${ASSETS_FOLDER}/now/${project}`
  const sets = Array.from({ length: MOST_SETS }, (_, at) => `${service}.${at}`)
  const asked = {
    method: ['GET', 'HEAD'],
    path: [path === '/' ? '/*' : `${path}/*`],
    not: [{ path: ['*/'] }],
    file: { root, try_files: sets.map((set) => `/${set}{http.request.uri.path}`) },
  }
  const files = sets.map((set) => ({
    handler: 'file_server',
    root: `${root}/${set}`,
    index_names: [],
    pass_thru: true,
  }))
  return [
    {
      match: { status_code: [404] },
      routes: [{ match: [asked], handle: [NOT_FOR_LONG, ...files] }, { handle: [{ handler: 'copy_response' }] }],
    },
  ]
}

/** The release that is live may have a file of that name tomorrow, or nobody. */
const NOT_FOR_LONG = {
  handler: 'headers',
  response: { set: { 'Cache-Control': ['no-cache'] }, require: { status_code: [2, 3] }, deferred: true },
}
