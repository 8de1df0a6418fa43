import { relative } from 'node:path'
import { isInside } from '../../compose/content-store.ts'
import type { ComposeModel, Mount, Service } from '../../compose/model.ts'
import { NAMESPACES, namespaceOwner } from '../../compose/topology.ts'
import { type ImageFacts, NO_FACTS, tcpPort } from './images/facts.ts'
import { probeOf } from './images/probe.ts'
import { imageName, isHttpPort, isTlsPort, NO_WEBSITE, PROXY, WEB_PORTS } from './known-images.ts'
import { byLabels, byVariables } from './labels.ts'
import { isJob } from './migrations.ts'

/** A service that answers HTTP, and what stands in the way of the proxy. */
export interface Exposure {
  readonly service: string
  readonly port: number
  /** from labels or variables for another proxy */
  readonly host?: string
  /** a path that says whether it is well, from its healthcheck */
  readonly health?: string
  /** the other proxy whose labels it has, or the service that has ports 80 or 443 */
  readonly proxy?: string
  /** the other proxy is not in the Compose file */
  readonly isElsewhere?: true
  /** where it is published on the machine, as in the Compose file: `8080:80` */
  readonly published?: string
  /** it publishes another port too */
  readonly hasOtherPorts?: true
  /** only one container can have it */
  readonly isNamed?: true
  /** data that two containers would both write to */
  readonly data?: string
}

/** `rank` is lower for stronger evidence: first labels of a proxy, last an image alone. */
interface Finding extends Exposure {
  readonly rank: number
}

export type Images = Readonly<Record<string, ImageFacts>>

/** @returns the service that is reached from outside, and where it listens */
export function exposureIn(model: ComposeModel, directory: string, images: Images): Exposure | undefined {
  const names = Object.keys(model.services).toSorted()
  const found = bestOf(
    names.flatMap((name) => findingOf(name, model, images) ?? []),
    model,
  )
  if (found === undefined) return undefined
  const { rank: _, ...exposure } = found
  return { ...exposure, ...circumstances(exposure, model, directory, images) }
}

function findingOf(service: string, model: ComposeModel, images: Images): Finding | undefined {
  const definition = model.services[service] ?? {}
  const facts = images[service] ?? NO_FACTS
  const image = knownName(definition, facts)
  if (isJob(service, model) || (definition.network_mode ?? 'bridge') !== 'bridge') return undefined
  const labelled =
    byLabels(definition, () => onlyPort(definition, facts)) ??
    byVariables(definition, () => onlyPort(definition, facts))
  if (labelled) return { service, rank: 0, ...labelled }
  if (NO_WEBSITE.test(image) || works(service, definition) || isEdge(definition) || lendsNetwork(service, model))
    return undefined
  const known = knownPort(definition, facts)
  const port = (ports: readonly number[], rank: number) => {
    const best = preferred(ports)
    return best === undefined ? undefined : { service, port: best, rank }
  }
  const probed = probeOf(definition, facts)?.port
  return (
    port(likelyPorts(definition, known), 1) ??
    port(exposedPorts(definition), 2) ??
    port(probed !== undefined && isHttpPort(probed) ? [probed] : [], 2) ??
    port(known === undefined ? [] : [known], isBehindEdge(service, model) ? 2 : 3) ??
    port(facts.ports.filter(isHttpPort), 4)
  )
}

/** Names and commands of background services. */
const WORKER =
  /(^|[-_.])(workers?|celery|celery-?beat|beat|sidekiq|scheduler|cron|queue|horizon|consumers?)([-_.]|\d|$)/i
const WORKING =
  /\b(sidekiq|celery|queue:(work|listen)|horizon|schedule:work|rqworker|dramatiq|good_job|resque|solid_queue|run_huey|crond?)\b/

function works(name: string, service: Service): boolean {
  return WORKER.test(name) || WORKING.test([service['entrypoint'], service['command']].flat().join(' '))
}

/** @returns whether other services use its network (a VPN): its ports are theirs, and it cannot be replaced alone. */
function lendsNetwork(name: string, { services }: ComposeModel): boolean {
  return Object.values(services).some((other) => NAMESPACES.some((key) => namespaceOwner(other[key]) === name))
}

/** A service comes before those that it depends on (a frontend before its API); then the one with most dependencies is first. */
function bestOf(findings: readonly Finding[], { services }: ComposeModel): Finding | undefined {
  const rank = Math.min(...findings.map((finding) => finding.rank))
  const best = findings.filter((finding) => finding.rank === rank)
  const needed = (name: string) => best.some(({ service }) => name in (services[service]?.depends_on ?? {}))
  const first = best.filter(({ service }) => !needed(service))
  const [found] = [...(first.length > 0 ? first : best)].toSorted(
    (a, b) =>
      builtFirst(a) - builtFirst(b) ||
      needs(b) - needs(a) ||
      usual(a.port) - usual(b.port) ||
      namedFirst(a) - namedFirst(b),
  )
  return found

  function needs({ service }: Finding): number {
    return Object.keys(services[service]?.depends_on ?? {}).length
  }

  function builtFirst({ service }: Finding): number {
    return services[service]?.build ? 0 : 1
  }

  function namedFirst({ service }: Finding): number {
    return /^(web|www|app|site|frontend|server|nginx)([-_.]|$)/.test(service) ? 0 : 1
  }
}

/** What stands in the way of the proxy, and what is good to know of the service. */
function circumstances(
  { service, port, proxy }: Exposure,
  model: ComposeModel,
  directory: string,
  images: Images,
): Partial<Exposure> {
  const { services } = model
  const own = services[service] ?? {}
  const facts = images[service] ?? NO_FACTS
  const edge = Object.keys(services).find((name) => name !== service && hasWebPorts(services[name] ?? {}))
  const fixed = (own.ports ?? []).filter(({ published }) => (published ?? '') !== '')
  const found = fixed.find(({ target }) => target === port)
  const written = own.volumes?.find(({ type, read_only, source = '' }) => isKept(type, source) && read_only !== true)
  const data = written === undefined ? facts.volumes[0] : placeOf(written, directory)
  const probe = probeOf(own, facts)
  return {
    ...(edge === undefined ? {} : { proxy: edge }),
    ...(edge === undefined && proxy !== undefined ? { isElsewhere: true } : {}),
    ...(found === undefined ? {} : { published: `${found.published}:${port}` }),
    ...(fixed.some(({ target }) => target !== port) ? { hasOtherPorts: true } : {}),
    ...(own.container_name === undefined ? {} : { isNamed: true }),
    ...(data === undefined ? {} : { data }),
    ...(probe?.health === undefined || probe.port !== port ? {} : { health: probe.health }),
  }
}

/** A socket is no data. */
function isKept(type: string, source: string): boolean {
  return type === 'volume' || (type === 'bind' && !/\.sock$/.test(source))
}

/** @returns where a mount's data is, for people: `./data`, or `the volume data` */
export function placeOf({ type, source = '' }: Mount, directory: string): string {
  if (type === 'volume') return source === '' ? 'a volume' : `the volume ${source}`
  if (source === directory) return 'the project folder'
  return isInside(directory, source) ? `./${relative(directory, source)}` : source
}

function hasWebPorts(service: Service): boolean {
  return isEdge(service) || (service.ports ?? []).some(({ published }) => published === '80')
}

function usual(port: number): number {
  const at = USUAL.indexOf(port)
  return at < 0 ? USUAL.length : at
}

function onlyPort(service: Service, facts: ImageFacts): number | undefined {
  const ports = [...new Set([...exposedPorts(service), ...publishedPorts(service)])]
  if (ports.length === 1) return ports[0]
  return knownPort(service, facts) ?? (facts.ports.length === 1 ? facts.ports[0] : undefined)
}

/** PHP-FPM images speak FastCGI to a web server alongside. */
function knownPort(service: Service, facts: ImageFacts): number | undefined {
  const image = service.build ? facts.base : service.image
  return /:[^/]*fpm/.test(image ?? '') ? undefined : WEB_PORTS.get(imageName(image))
}

/** @returns the name of the image that a service has, or is built from */
export function knownName(service: Service, facts: ImageFacts): string {
  return imageName(service.build ? facts.base : service.image)
}

/** A proxy of the application, which keeps certificates and needs ports 80 and 443 itself. */
function isEdge(service: Service): boolean {
  return PROXY.test(imageName(service.image)) || (service.ports ?? []).some(({ published }) => published === '443')
}

function isBehindEdge(name: string, { services }: ComposeModel): boolean {
  return Object.values(services).some((other) => isEdge(other) && name in (other.depends_on ?? {}))
}

function publishedPorts({ ports = [] }: Service): number[] {
  return ports.flatMap(({ target, protocol = 'tcp' }) => (protocol === 'tcp' && isHttpPort(target) ? [target] : []))
}

/** Next to ports of other protocols (mail, logs, queries), only a usual HTTP port counts. */
function likelyPorts(service: Service, known: number | undefined): number[] {
  const found = publishedPorts(service)
  const isMixed = (service.ports ?? []).some(({ target }) => !isHttpPort(target) && !isTlsPort(target))
  return isMixed ? found.filter((port) => USUAL.includes(port) || port === known) : found
}

function exposedPorts(service: Service): number[] {
  const list: unknown = service['expose']
  return Array.isArray(list) ? list.map(String).flatMap(tcpPort).filter(isHttpPort) : []
}

const USUAL = [80, 8080, 3000, 8000, 5000, 4000]

function preferred(ports: readonly number[]): number | undefined {
  return USUAL.find((port) => ports.includes(port)) ?? ports.toSorted((a, b) => a - b)[0]
}
