import { childError, type Docker } from './docker.ts'
import type { Emit } from './events.ts'
import type { Clock } from './gate.ts'
import { answerOn, namesByNetwork } from './internal-callers.ts'
import { readProxy } from './proxy.ts'
import { ensureProxy, ensureProxyNetwork, findProxy, type ProxyImages } from './proxy-life.ts'
import { PROXY_NETWORK, type ProjectRoutes, routeNetwork } from './routes.ts'

/** Who sees to it that the proxy runs and is connected. */
export interface ProxyRepair {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly image: ProxyImages
}

/**
 * Sees to it that the proxy runs, and that it reaches the containers of all projects that it routes, and their internal
 * callers: whoever recreates it connects them all. May be done twice.
 * @returns what it routes
 * @throws failed (5) where it cannot run
 */
export async function repairProxy({ docker, clock, emit, name, image }: ProxyRepair): Promise<ProjectRoutes> {
  const created = await ensureProxy(docker, clock, image)
  const projects = await connectProxy(docker, [name])
  if (created) await reportLost(docker, emit, projects, name)
  return projects
}

/**
 * Connects the proxy to every network that it should be on. Those that do not exist are left out.
 * @param more projects whose routes it does not have yet
 * @returns what it routes
 */
export async function connectProxy(docker: Docker, more: readonly string[] = []): Promise<ProjectRoutes> {
  const [proxy, { projects, live }] = await Promise.all([findProxy(docker), readProxy(docker)])
  if (proxy && !proxy.networks[PROXY_NETWORK]) await ensureProxyNetwork(docker)
  const routed = [...new Set([...Object.keys(projects), ...more])].map(routeNetwork)
  // Callers are not told of a service before a slot of it is live: beside its own containers the proxy would answer 503.
  const answered = Object.entries(projects).flatMap(([project, routes]) =>
    routes.filter(({ service }) => live[project]?.[service] !== undefined),
  )
  const wanted = namesByNetwork(answered)
  for (const network of [PROXY_NETWORK, ...routed]) await answerOn(docker, proxy, network, [])
  for (const [network, names] of wanted) await answerOn(docker, proxy, network, names)
  return projects
}

/** A proxy that was made again without its volume knows nobody: the networks tell whose routes are lost. */
async function reportLost(docker: Docker, emit: Emit, projects: ProjectRoutes, name: string): Promise<void> {
  const flags = ['--filter', 'label=stagecraft.project', '--format', '{{.Name}}']
  const list = await docker.try(['network', 'ls', ...flags], { asks: true })
  if (list.code !== 0) throw childError('list networks', list)
  const known = new Set([...Object.keys(projects), name].map(routeNetwork))
  const unknown = list.stdout.split('\n').filter((network) => network !== '' && !known.has(network))
  const lost: string[] = []
  for (const network of unknown) {
    const on = await docker.try(['ps', '-aq', '--filter', `network=${network}`], { asks: true })
    if (on.stdout.trim() !== '') lost.push(network) // a project that is gone may have left its network
  }
  if (lost.length === 0) return
  const names = lost.map((network) => network.slice(routeNetwork('').length)).join(', ')
  emit({
    type: 'warning',
    message: `the proxy was recreated without its volume, and has lost the routes of ${names}`,
    hint: 'Deploy these projects again: until then nobody answers there.',
  })
}
