import { childError, type Docker } from '../docker/client.ts'
import { isGone } from '../docker/lifecycle.ts'
import type { Host } from '../hosts/host.ts'
import { describeRoute, type Route } from '../plan/routes/table.ts'
import type { Settings } from '../project/settings.ts'
import { liveBundle } from '../record/bundle.ts'
import { bundleOn, placeOf } from '../record/bundle-parts.ts'
import { releasesOf } from '../record/releases.ts'
import { StagecraftError } from '../util/errors.ts'
import { findProxy } from './container.ts'
import { inProxy } from './inside/run.ts'
import { MAINTENANCE_OFF, MAINTENANCE_ON } from './inside/scripts.ts'

/** The public routes of an environment, and the hosts whose proxies have them. */
interface PublicRoutes {
  /** the Compose project's name */
  readonly project: string
  readonly routes: readonly Route[]
  /** those with at least one of the routes */
  readonly hosts: readonly Host[]
}

/** @returns the public routes of the live release. @throws not-found (4) if it has none; state (9) */
export function publicRoutes({ environment, stateFile, hosts }: Settings): PublicRoutes {
  const bundle = liveBundle(stateFile, releasesOf(stateFile, environment.name))
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
 * Answers all public routes of a project with 503 and a page, from the next request until `endMaintenance`; releases do
 * not end it, a `down` does. Internal callers are answered as before, because the maintenance itself may need them.
 * @throws unreachable (8) if the proxy is not running
 */
export async function startMaintenance(docker: Docker, project: string, message: string): Promise<void> {
  await maintain(docker, 'maintenance-on', MAINTENANCE_ON, project, page(message))
}

export async function endMaintenance(docker: Docker, project: string): Promise<void> {
  await maintain(docker, 'maintenance-off', MAINTENANCE_OFF, project)
}

/** For an environment that is taken away: without a proxy nothing is to be ended. @throws failed (5), unreachable (8) */
export async function forgetMaintenance(docker: Docker, project: string): Promise<void> {
  const result = await inProxy(docker, 'maintenance-off', MAINTENANCE_OFF, [project], { changes: true })
  if (result.code !== 0 && !isGone(result)) throw childError('end the maintenance', result)
}

async function maintain(docker: Docker, name: string, script: string, project: string, input?: string): Promise<void> {
  const proxy = await findProxy(docker)
  if (proxy?.state !== 'running')
    throw new StagecraftError(
      'unreachable',
      `Cannot reach the proxy: ${proxy ? `it is ${proxy.state}` : 'there is none'}`,
      {
        hint: '`stagecraft proxy restart` starts it; a deploy creates it.',
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

/** @returns one small page that loads nothing else. */
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
