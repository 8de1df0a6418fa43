import { relative } from 'node:path'
import type { ComposeModel, Service } from './compose.ts'
import { isInside } from './content.ts'
import { DATABASE, imageName, isHttpPort, NO_WEBSITE, PROXY, WEB_PORTS } from './known-images.ts'
import { isRenewed } from './path-names.ts'

/** What a Compose file says of how its services are used: nothing where it says nothing. */
export interface Evidence {
  /** a service that is reached from outside, and where it listens */
  readonly expose?: Exposure
  /** services that keep data in a database that is known */
  readonly databases: readonly string[]
  /** paths that something renews while they are mounted read-only, as people write them */
  readonly renewed: readonly string[]
}

export interface Exposure {
  readonly service: string
  readonly port: number
  /** as labels or variables of another proxy name it */
  readonly host?: string
}

/** How much a finding says: labels of a proxy most, an image alone least. */
interface Finding extends Exposure {
  readonly rank: number
}

/** @param directory the project folder, absolute */
export function evidenceIn(model: ComposeModel, directory: string): Evidence {
  const names = Object.keys(model.services).toSorted()
  const expose = bestOf(
    names.flatMap((name) => findingOf(name, model) ?? []),
    model,
  )
  const databases = names.filter((name) => isDatabase(model.services[name] ?? {}))
  return { ...(expose ? { expose } : {}), databases, renewed: renewedIn(model, directory) }
}

function findingOf(service: string, model: ComposeModel): Finding | undefined {
  const definition = model.services[service] ?? {}
  const image = imageName(definition.image)
  const labelled = byLabels(definition) ?? byVariables(definition)
  if (labelled) return { service, rank: 0, ...labelled }
  if (NO_WEBSITE.test(image) || isEdge(definition)) return undefined
  const published = preferred(publishedPorts(definition))
  if (published !== undefined) return { service, port: published, rank: 1 }
  const exposed = preferred(exposedPorts(definition))
  if (exposed !== undefined) return { service, port: exposed, rank: 2 }
  const known = knownPort(definition)
  return known === undefined ? undefined : { service, port: known, rank: isBehindEdge(service, model) ? 2 : 3 }
}

/** What depends on another one stands before it: a frontend before its API. */
function bestOf(findings: readonly Finding[], { services }: ComposeModel): Exposure | undefined {
  const rank = Math.min(...findings.map((finding) => finding.rank))
  const best = findings.filter((finding) => finding.rank === rank)
  const needed = (name: string) => best.some(({ service }) => name in (services[service]?.depends_on ?? {}))
  const first = best.filter(({ service }) => !needed(service))
  const [found] = [...(first.length > 0 ? first : best)].toSorted(
    (a, b) => builtFirst(a) - builtFirst(b) || usual(a.port) - usual(b.port),
  )
  if (found === undefined) return undefined
  const { rank: _, ...exposure } = found
  return exposure

  function builtFirst({ service }: Finding): number {
    return services[service]?.build ? 0 : 1
  }
}

function usual(port: number): number {
  const at = USUAL.indexOf(port)
  return at < 0 ? USUAL.length : at
}

/** Labels of Traefik and of Caddy (lucaslorentz/caddy-docker-proxy). */
function byLabels(service: Service): { port: number; host?: string } | undefined {
  const labels = textsOf(service['labels'])
  const find = (pattern: RegExp) => labels.find(([key]) => pattern.test(key))?.[1]
  if (find(/^traefik\.enable$/) === 'false') return undefined
  const rule = find(/^traefik\.http\.routers\.[^.]+\.rule$/)
  const isDashboard = find(/^traefik\.http\.routers\.[^.]+\.service$/)?.endsWith('@internal')
  const caddy = find(/^caddy(_0)?$/)
  const upstream = find(/^caddy(_0)?\.(\S*\.)?reverse_proxy$/)
  if (rule !== undefined && !isDashboard) {
    const port = Number(find(/^traefik\.http\.services\.[^.]+\.loadbalancer\.server\.port$/)) || onlyPort(service)
    return port === undefined ? undefined : { port, ...hostIn(/Host\(\s*[`"']([^`"']+)/.exec(rule)?.[1]) }
  }
  if (caddy === undefined || upstream === undefined) return undefined
  return { port: Number(/(\d+)/.exec(upstream)?.[1] ?? 80), ...hostIn(caddy) }
}

/** Variables of nginx-proxy; its samples have the name empty, to be filled in. */
function byVariables({ environment, ...rest }: Service): { port: number; host?: string } | undefined {
  if (!environment || !('VIRTUAL_HOST' in environment)) return undefined
  const host = environment['VIRTUAL_HOST'] ?? ''
  return { port: Number(environment?.['VIRTUAL_PORT']) || (onlyPort(rest) ?? 80), ...hostIn(host.split(',')[0]) }
}

/** @returns a name that the proxy could have a certificate for */
function hostIn(text: string | undefined): { host?: string } {
  const host = text?.trim().toLowerCase() ?? ''
  return /^([a-z0-9-]+\.)+[a-z]{2,}$/.test(host) && !/\.(localhost|local)$/.test(host) ? { host } : {}
}

function onlyPort(service: Service): number | undefined {
  const ports = [...new Set([...exposedPorts(service), ...publishedPorts(service)])]
  return ports.length === 1 ? ports[0] : knownPort(service)
}

/** Images for PHP-FPM speak FastCGI to a web server beside them. */
function knownPort({ image = '' }: Service): number | undefined {
  return /:[^/]*fpm/.test(image) ? undefined : WEB_PORTS.get(imageName(image))
}

/** A proxy of its own, which keeps certificates and wants ports 80 and 443 itself. */
function isEdge(service: Service): boolean {
  return PROXY.test(imageName(service.image)) || (service.ports ?? []).some(({ published }) => published === '443')
}

function isBehindEdge(name: string, { services }: ComposeModel): boolean {
  return Object.values(services).some((other) => isEdge(other) && name in (other.depends_on ?? {}))
}

function publishedPorts({ ports = [] }: Service): number[] {
  return ports.flatMap(({ target, protocol = 'tcp' }) => (protocol === 'tcp' && isHttpPort(target) ? [target] : []))
}

function exposedPorts(service: Service): number[] {
  const list: unknown = service['expose']
  const texts = Array.isArray(list) ? list.map(String) : []
  return texts.flatMap((text) => {
    const [, port, protocol = 'tcp'] = /^(\d+)(?:\/(\w+))?$/.exec(text) ?? []
    return port !== undefined && protocol === 'tcp' && isHttpPort(Number(port)) ? [Number(port)] : []
  })
}

const USUAL = [80, 8080, 3000, 8000, 5000, 4000]

function preferred(ports: readonly number[]): number | undefined {
  return USUAL.find((port) => ports.includes(port)) ?? ports.toSorted((a, b) => a - b)[0]
}

function isDatabase({ image, volumes = [] }: Service): boolean {
  const keeps = volumes.some(({ type, read_only }) => ['volume', 'bind'].includes(type) && read_only !== true)
  return keeps && DATABASE.test(imageName(image))
}

function renewedIn({ services }: ComposeModel, directory: string): string[] {
  const binds = Object.values(services).flatMap(({ volumes = [] }) => volumes.filter(({ type }) => type === 'bind'))
  const inside = binds.filter(({ source = '' }) => source !== directory && isInside(directory, source))
  const written = new Set(inside.flatMap(({ source, read_only }) => (read_only === true ? [] : [source])))
  const paths = inside.flatMap(({ source = '' }) => (written.has(source) ? [] : [`./${relative(directory, source)}`]))
  return [...new Set(paths.filter(isRenewed))].toSorted()
}

function textsOf(value: unknown): [string, string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).map(([key, text]) => [key, String(text)])
}
