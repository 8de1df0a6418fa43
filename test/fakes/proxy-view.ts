import { PROXY_NETWORK, routeNetwork } from '../../lib/plan/routes/table.ts'
import { PROXY_FOLDER } from '../../lib/proxy/inside/scripts.ts'
import { askCaddy, type CaddyAnswer } from './caddy.ts'
import { lookUp, subnetOf } from './networks.ts'
import type { FakeProxy } from './proxy.ts'
import { isBox, type ProxyVolume } from './proxy-state.ts'

/** What Caddy's matchers look for. */
function filesIn({ live, maintenance }: ProxyVolume): string[] {
  return [
    ...Object.entries(live).flatMap(([project, all]) => all.map((file) => `${PROXY_FOLDER}/live/${project}/${file}`)),
    ...Object.keys(maintenance).map((project) => `${PROXY_FOLDER}/maintenance/${project}.html`),
  ]
}

/**
 * Who would answer a request from outside now, in words, each once: `web two` (the content of a container that runs
 * and is well), `web two (starting)`, `404` (Caddy itself), `nobody`.
 */
export function answer(proxy: FakeProxy, host: string, path = '/'): string[] {
  const ask = (port: number) => askFrom(proxy, { host, path, port, from: '203.0.113.0/24' })
  const secure = ask(443)
  return secure[0] === 'nobody' || secure[0] === '404' ? ask(80) : secure
}

/** The same for a request that a container on this network sends to `http://<name>:<port>/`. */
export function call(proxy: FakeProxy, network: string, name: string, port: number): string[] {
  const from = subnetOf(proxy.engine.state, network)
  const found = lookUp(proxy.engine, network, name)
  if (found.length === 0) return ['nobody']
  const words = found.flatMap((one) => {
    if (isBox(one)) return askFrom(proxy, { host: name, path: '/', port, from })
    return [describe(proxy, one.id)]
  })
  return [...new Set(words)].toSorted()
}

function askFrom(proxy: FakeProxy, request: { host: string; path: string; port: number; from: string }): string[] {
  const { loaded, volume, boxes } = proxy.host
  const box = boxes.find(({ state }) => state === 'running')
  const files = new Set(volume ? filesIn(volume) : [])
  const answer: CaddyAnswer | undefined = box && loaded && askCaddy(loaded, request, files)
  if (answer === undefined || box === undefined) return ['nobody']
  if ('status' in answer) return [String(answer.status)]
  const [alias = ''] = answer.dial.split(':')
  const found = box.networks.flatMap((network) => lookUp(proxy.engine, network, alias))
  if (found.length === 0) return ['nobody']
  return [...new Set(found.map(({ id }) => describe(proxy, id)))].toSorted()
}

function describe(proxy: FakeProxy, id: string): string {
  const container = proxy.engine.state.containers.find((one) => one.id === id)
  if (container === undefined) return 'nobody'
  const { health } = proxy.engine.statusOf(container)
  const content = proxy.engine.state.images[container.image]?.content ?? ''
  return health === '' || health === 'healthy' ? content : `${content} (${health})`
}

/** The proxy in words: what runs, connected to what; the routes by service; what is live. */
export function view(proxy: FakeProxy): string[] {
  const { boxes, volume } = proxy.host
  const lines = boxes.map(({ name, state, networks, aliases, image }) => {
    const plugged = networks
      .filter((network) => network !== PROXY_NETWORK)
      .map((network) => `${network}${aliases[network]?.length ? ` as ${aliases[network].join('+')}` : ''}`)
    const content = proxy.engine.state.images[image]?.content
    return `${name} of ${content} ${state}${plugged.length ? ` on ${plugged.toSorted().join(', ')}` : ''}`
  })
  const routes = Object.entries(volume?.routes ?? {}).flatMap(([project, all]) =>
    all.map(({ service, ports }) => `route ${project}/${service} a:${ports.a} b:${ports.b}`),
  )
  const live = Object.entries(volume?.live ?? {}).map(([project, files]) => `live ${project}: ${files.join(' ')}`)
  return [...lines, ...routes, ...live]
}

/** The aliases by which the proxy finds a project's containers, with the content behind each. */
export function aliases(proxy: FakeProxy, project: string): string[] {
  const network = routeNetwork(project)
  return proxy.engine
    .containersOf(project)
    .flatMap((one) => (one.aliases[network] ?? []).map((alias) => `${alias} ${describe(proxy, one.id)}`))
    .toSorted()
}
