import { servingBundle } from './bundle.ts'
import { bundleOn, placeOf } from './bundle-parts.ts'
import { childError, type Docker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Host } from './host.ts'
import type { Settings } from './project.ts'
import { inProxy } from './proxy.ts'
import { findProxy } from './proxy-life.ts'
import { MAINTENANCE_OFF, MAINTENANCE_ON } from './proxy-scripts.ts'
import { describeRoute, type Route } from './routes.ts'
import { openState } from './state.ts'

/** The public routes of an environment, and whose they are in the proxies. */
export interface PublicRoutes {
  /** the Compose project's name */
  readonly project: string
  readonly routes: readonly Route[]
  /** that have some of them */
  readonly hosts: readonly Host[]
}

/** @throws not-found (4) where the release that serves has none; state (9) */
export function publicRoutes({ environment, stateFile, hosts }: Settings, clock: () => number): PublicRoutes {
  const releases = openState(stateFile, { clock }).listReleases({ environment: environment.name })
  const bundle = servingBundle(stateFile, releases)
  const found = hosts.map((each) => {
    const part = bundle && bundleOn(stateFile, bundle, placeOf(each, hosts))
    return { host: each, routes: (part?.routes ?? []).filter((route) => route.hosts.length > 0) }
  })
  const routed = found.filter(({ routes }) => routes.length > 0)
  const routes = new Map(routed.flatMap((each) => each.routes.map((route) => [route.service, route] as const)))
  if (bundle !== undefined && routes.size > 0)
    return { project: bundle.project, routes: [...routes.values()], hosts: routed.map((each) => each.host) }
  throw new StagecraftError('not-found', `Cannot find a route of ${environment.name}: nothing of it is exposed`, {
    hint: 'Give a service `expose: {host: …, port: …}` in stagecraft.yml, and deploy.',
  })
}

/**
 * Answers 503 with a page at all public routes of a project, from the next request on and until it is ended: no release
 * does. Internal callers are answered as before: the jobs that this is for may need them.
 * @throws unreachable (8) where the proxy does not run
 */
export async function startMaintenance(docker: Docker, project: string, message: string): Promise<void> {
  await maintain(docker, 'maintenance-on', MAINTENANCE_ON, project, page(message))
}

export async function endMaintenance(docker: Docker, project: string): Promise<void> {
  await maintain(docker, 'maintenance-off', MAINTENANCE_OFF, project)
}

async function maintain(docker: Docker, name: string, script: string, project: string, input?: string): Promise<void> {
  const proxy = await findProxy(docker)
  if (proxy?.state !== 'running')
    throw new StagecraftError(
      'unreachable',
      `Cannot reach the proxy: ${proxy ? `it is ${proxy.state}` : 'there is none'}`,
      {
        hint: '`stagecraft proxy restart` starts it, and a deploy makes one.',
      },
    )
  const options = { changes: true, ...(input === undefined ? {} : { input }) } as const
  const result = await inProxy(docker, name, script, [project], options)
  if (result.code !== 0) throw childError('change what the proxy answers', result)
}

/** @returns what was done, as lines for people. */
export function maintenanceLines(environment: string, routes: readonly Route[], on: boolean): string[] {
  const list = routes.map((route) => describeRoute({ ...route, internal: undefined })).join(', ')
  if (!on) return [`${environment} answers again: ${list}`]
  return [`${environment} answers 503 now: ${list}`, `To end it: stagecraft maintenance off --env ${environment}`]
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** One small page, without anything to load. */
function page(message: string): string {
  const text = message.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? '')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Under maintenance</title>
<style>body{font:1.25rem/1.5 system-ui,sans-serif;margin:20vh auto 0;max-width:32rem;padding:0 1rem;white-space:pre-line}</style>
<h1>Under maintenance</h1>
<p>${text}</p>
</html>
`
}
