import { createHash } from 'node:crypto'
import { contentDigest } from '../../util/canonical.ts'
import type { ComposeModel, FileMount, FileResource, Mount, Port, Resource, Service } from '../model.ts'
import { deployOf, type Rollout } from './deploy.ts'
import { TAKEN } from './keys.ts'

/** A file for `docker stack deploy`. */
export type Stack = Readonly<Record<string, unknown>>

/** A service that is deployed, and how Swarm replaces its tasks. */
interface StackService extends Rollout {
  readonly service: string
}

/**
 * @param model of a release, as Compose reads it @param wanted the services that are deployed: Swarm leaves the others as they are
 * @returns the same for `docker stack deploy`, which reads an older format (spec/core/swarm.md)
 */
export function stackOf(model: ComposeModel, wanted: readonly StackService[]): Stack {
  const services = wanted.map((one) => [one.service, convert(model.services[one.service] ?? {}, one)] as const)
  const used = (kind: 'configs' | 'secrets' | 'networks' | 'volumes') =>
    new Set(wanted.flatMap(({ service }) => namesIn(model.services[service] ?? {}, kind)))
  const of = <T>(all: Readonly<Record<string, T>> | undefined, kind: Parameters<typeof used>[0]) =>
    Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => used(kind).has(key)))
  return {
    version: services.some(([, service]) => hasStartInterval(service)) ? '3.12' : '3.9',
    services: Object.fromEntries(services),
    networks: mapValues(of(model.networks, 'networks'), network),
    volumes: mapValues(of(model.volumes, 'volumes'), volume),
    configs: files(of(model.configs, 'configs')),
    secrets: files(of(model.secrets, 'secrets')),
  }
}

/** @returns the keys of the configs, secrets, networks or volumes that a service uses */
function namesIn(service: Service, kind: 'configs' | 'secrets' | 'networks' | 'volumes'): string[] {
  if (kind === 'networks') return Object.keys(service.networks ?? {})
  if (kind === 'volumes')
    return (service.volumes ?? []).flatMap((mount) => (mount.type === 'volume' && mount.source ? [mount.source] : []))
  return (service[kind] ?? []).map(({ source }) => source)
}

function convert(service: Service, rollout: Rollout): Readonly<Record<string, unknown>> {
  const { environment, volumes, ports, configs, secrets, networks, healthcheck, extra_hosts } = service
  const kept = Object.entries(service).filter(([key, value]) => TAKEN.has(key) && value !== null)
  const set = Object.entries(environment ?? {}).filter(([, value]) => value !== null)
  const converted = {
    ...Object.fromEntries(kept),
    ...(environment ? { environment: Object.fromEntries(set) } : {}),
    ...(extra_hosts ? { extra_hosts: hostsOf(extra_hosts) } : {}),
    ...(networks ? { networks: mapValues(networks, attachment) } : {}),
    ...(volumes ? { volumes: volumes.map(mount) } : {}),
    ...(ports ? { ports: ports.map(port) } : {}),
    ...(configs ? { configs: configs.map(fileMount) } : {}),
    ...(secrets ? { secrets: secrets.map(fileMount) } : {}),
    // With `disable` a test is refused.
    ...(healthcheck?.disable ? { healthcheck: { disable: true } } : {}),
  }
  const deploy = deployOf(service, rollout)
  const { replicas: _, update_config: _u, rollback_config: _r, ...defining } = deploy
  const labels = {
    ...labelsOf(service['labels']),
    [DEFINITION]: contentDigest({ ...converted, deploy: defining }).slice(0, 12),
    ...(rollout.job === undefined ? {} : { [JOB]: rollout.job }),
  }
  return { ...converted, labels, deploy }
}

/** A label of each task: what it was made from. Tasks of an older definition are those that Swarm still has to replace. */
export const DEFINITION = 'stagecraft.definition'

/** A label of each task of a job: the release that runs it. */
export const JOB = 'stagecraft.job'

function labelsOf(labels: unknown): Readonly<Record<string, unknown>> {
  return typeof labels === 'object' && labels !== null && !Array.isArray(labels) ? { ...labels } : {}
}

function hasStartInterval({ healthcheck }: Readonly<Record<string, unknown>>): boolean {
  return typeof healthcheck === 'object' && healthcheck !== null && 'start_interval' in healthcheck
}

/** Compose 2.40 prints `name=address`. */
function hostsOf(hosts: unknown): unknown {
  if (!Array.isArray(hosts)) return hosts
  return hosts.map((entry) => String(entry).replace(/^([^:=]+)=/, '$1:'))
}

function attachment(settings: unknown): Readonly<Record<string, unknown>> {
  const { aliases, driver_opts } = Object(settings)
  return { ...(aliases ? { aliases } : {}), ...(driver_opts ? { driver_opts } : {}) }
}

function mapValues<T, R>(all: Readonly<Record<string, T>>, change: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, change(value)]))
}

function mount({ type, source, target, read_only, bind, ...more }: Mount): Readonly<Record<string, unknown>> {
  const propagation = bind?.['propagation']
  const { nocopy } = Object(more['volume'])
  const { size } = Object(more['tmpfs'])
  return {
    type,
    ...(source ? { source } : {}),
    target,
    ...(read_only ? { read_only } : {}),
    ...(propagation ? { bind: { propagation } } : {}),
    ...(nocopy ? { volume: { nocopy } } : {}),
    ...(size ? { tmpfs: { size: Number(size) } } : {}),
  }
}

function port({ target, published, protocol, mode }: Port): Readonly<Record<string, unknown>> {
  return {
    target,
    ...(published ? { published: Number(published) } : {}),
    ...(protocol ? { protocol } : {}),
    mode: mode ?? 'ingress',
  }
}

/** Compose 2.40 prints a mode as text in octal. */
function fileMount({ source, target, uid, gid, mode }: FileMount): Readonly<Record<string, unknown>> {
  return {
    source,
    ...(target ? { target } : {}),
    ...(uid === undefined ? {} : { uid: String(uid) }),
    ...(gid === undefined ? {} : { gid: String(gid) }),
    ...(mode === undefined ? {} : { mode: typeof mode === 'string' ? Number.parseInt(mode, 8) : mode }),
  }
}

function network(resource: Resource | null): Readonly<Record<string, unknown>> {
  const { name, external, internal, attachable, labels, driver_opts, ipam } = resource ?? {}
  if (external) return { external: true, ...(name ? { name } : {}) }
  const { driver, config } = Object(ipam)
  const subnets = Array.isArray(config) ? config.flatMap(({ subnet }) => (subnet ? [{ subnet }] : [])) : []
  return {
    ...(name ? { name } : {}),
    driver: 'overlay',
    ...(driver_opts ? { driver_opts } : {}),
    ...(driver || subnets.length > 0
      ? { ipam: { ...(driver ? { driver } : {}), ...(subnets.length > 0 ? { config: subnets } : {}) } }
      : {}),
    ...(internal ? { internal } : {}),
    ...(attachable ? { attachable } : {}),
    ...(labels ? { labels } : {}),
  }
}

function volume(resource: Resource | null): Readonly<Record<string, unknown>> {
  const { name, external, driver, driver_opts, labels } = resource ?? {}
  if (external) return { external: true, ...(name ? { name } : {}) }
  return {
    ...(name ? { name } : {}),
    ...(driver ? { driver } : {}),
    ...(driver_opts ? { driver_opts } : {}),
    ...(labels ? { labels } : {}),
  }
}

function files(all: Readonly<Record<string, FileResource>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(all).map(([key, one]) => [key, file(key, one)]))
}

function file(key: string, { name, file, external, labels }: FileResource): Readonly<Record<string, unknown>> {
  if (external) return { external: true, ...(name ? { name } : {}) }
  return { name: objectName(name ?? key), file, ...(labels ? { labels } : {}) }
}

/** Characters of the name of a config or secret: the most that Swarm takes. */
const LONGEST = 64

/** The name has the hash of the content at its end: a longer one is cut in front of that, and gets one of its own. */
export function objectName(name: string): string {
  return shortName(name, LONGEST)
}

/** @param most characters @returns the name; a longer one is cut, and ends with a hash of all of it */
export function shortName(name: string, most: number): string {
  if (name.length <= most) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12)
  return `${name.slice(0, most - 1 - hash.length)}-${hash}`
}

/** @returns the names of the configs, or secrets, of a release that are its own */
export function objectNames(model: ComposeModel, kind: 'configs' | 'secrets'): string[] {
  const own = Object.entries(model[kind] ?? {}).filter(([, { external }]) => external !== true)
  return own.map(([key, { name }]) => objectName(name ?? key))
}
