import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'

/** What a release of the site differs in. */
export interface Release {
  readonly version: string
  /** its healthcheck never passes */
  readonly bad?: boolean
  readonly replicas?: number
  /** its network `back` has another definition */
  readonly network?: string
}

/** A server that starts on a busy machine may fail for a while; a bad one is reported soon. */
const health = (bad = false) => ({
  test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:3000/up'],
  ...{ interval: '1s', timeout: '10s', retries: bad ? 3 : 60 },
})
/** busybox as process 1 ignores TERM. */
const QUICK = { stop_signal: 'SIGKILL' }

/**
 * An application with all that may run next to what rolls: a job that the new version needs, an internal API and who calls it,
 * a database with a volume, a service whose image declares one, a sidecar in its network, a network that changes.
 * @param on the host of its environment `prod`; default: the engine here, as `local`
 */
export function writeSite(
  folder: Folder,
  { version, bad, replicas = 1, network = 'one' }: Release,
  on?: { readonly hosts: string; readonly root: string },
): void {
  const app = { build: '.', environment: { VERSION: version, BAD: bad ? '1' : '0' }, healthcheck: health(bad) }
  const services = {
    web: { ...app, scale: replicas, depends_on: { job: { condition: 'service_completed_successfully' } } },
    api: { ...app, environment: { VERSION: version }, healthcheck: health() },
    front: { build: '.', command: ['node', '/app/caller.mjs'], depends_on: { api: { condition: 'service_healthy' } } },
    job: { image: 'busybox:1', command: ['echo', `prepared ${version}`] },
    db: {
      image: 'postgres:15',
      environment: { POSTGRES_PASSWORD: 'only-for-this-test' },
      volumes: ['data:/var/lib/postgresql/data'],
    },
    cache: { build: './cache', command: ['sleep', '1d'], environment: { VERSION: version }, ...QUICK },
    side: { image: 'busybox:1', command: ['sleep', '1d'], network_mode: 'service:cache', ...QUICK },
    back: { image: 'busybox:1', command: ['sleep', '1d'], networks: ['back'], ...QUICK },
  }
  const networks = { back: { labels: { definition: network } } }
  folder.write('compose.yaml', JSON.stringify({ services, networks, volumes: { data: {} } }, null, 1))
  folder.write('Dockerfile', 'FROM node:20\nCOPY *.mjs /app/\nCMD ["node", "/app/server.mjs"]\n')
  folder.write('.dockerignore', '.stagecraft\nbin\n')
  folder.write('cache/Dockerfile', 'FROM busybox:1\nVOLUME /cache\n')
  for (const file of ['server.mjs', 'caller.mjs']) folder.write(file, readFileSync(join(import.meta.dir, file), 'utf8'))
  const quick = { rollout: { min_ready: '300ms' } }
  const expose = { port: 3000, health: '/up' }
  const settings = {
    web: { expose: { ...expose, host: hostOf(folder), tls: 'off' } },
    api: { expose: { ...expose, internal: true } },
    front: { expose: { host: `front.${hostOf(folder)}`, port: 3000, tls: 'off' }, ...quick },
    ...{ cache: quick, side: quick, back: quick, db: quick },
  }
  const environments = on ? { prod: { ...on, services: settings } } : { local: { services: settings } }
  const project = on ? { name: folder.name } : {}
  folder.write('stagecraft.yml', JSON.stringify({ project, environments }, null, 1))
}

export function hostOf(folder: Folder): string {
  return `${folder.name}.test`
}

/** What the caller of the internal API has seen so far. */
export interface Calls {
  readonly ok: number
  readonly failed: number
  readonly failures: Readonly<Record<string, number>>
  readonly versions: Readonly<Record<string, number>>
}

/** Asks `front`, through its own route. */
export async function callsOf(folder: Folder, ip: string): Promise<Calls> {
  const answer = await fetch(`http://${ip}/`, { headers: { host: `front.${hostOf(folder)}` } })
  return (await answer.json()) as Calls // caller.mjs
}
