import type { Dependency } from '../../compose/model.ts'
import { compare } from '../../util/format.ts'
import type { Image, Json } from '../inspect.ts'
import { limitsOf } from './limits.ts'
import { mountsOf } from './mounts.ts'
import { networkOf } from './network.ts'
import { type Definition, type Parts, type Surroundings, withoutEmpty } from './surroundings.ts'

/**
 * Describes a container as a service of a Compose file would: Compose makes the same container from it again. What it has
 * from its image is left out.
 * @param json what `docker inspect` prints of it
 */
export function definitionOf(json: Json, image: Image, around: Surroundings): Definition {
  const [config, host] = [json.at('Config'), json.at('HostConfig')]
  const [network, mounts, limits] = [networkOf(json, around), mountsOf(json, image, around), limitsOf(host)]
  const service = withoutEmpty({
    ...processOf(json, image),
    container_name: ownName(json, around.project),
    healthcheck: healthcheckOf(json, image),
    labels: ownLabels(json, image),
    logging: loggingOf(json),
    restart: restartOf(json),
    ...rightsOf(host),
    ...limits.service,
    ...network.service,
    ...mounts.service,
  })
  const lost = [...variablesLost(json, image), ...network.lost, ...mounts.lost, ...limits.lost, ...flagsLost(config)]
  return { service, lost }
}

/** @returns what a service waits for, as Compose noted it in a label: `db:service_healthy:false,cache:service_started:true` */
export function dependenciesOf(json: Json): Record<string, Dependency> {
  const label = json.at('Config', 'Labels', 'com.docker.compose.depends_on').string()
  const parts = label.split(',').flatMap((one): [string, Dependency][] => {
    const [, service = '', condition = '', restart] = /^([\w.-]+):(service_\w+)(?::(\w+))?$/.exec(one) ?? []
    if (!isCondition(condition)) return []
    return [[service, { condition, ...(restart === 'true' ? { restart: true } : {}) }]]
  })
  return Object.fromEntries(parts)
}

function isCondition(word: string): word is Dependency['condition'] {
  return ['service_started', 'service_healthy', 'service_completed_successfully'].includes(word)
}

function processOf(json: Json, image: Image): Parts {
  const config = json.at('Config')
  const differing = (key: string) => {
    const value = config.at(key).string()
    return value === text(image.config[key]) ? undefined : value
  }
  return {
    ...commandOf(json, image),
    environment: variablesOf(json, image),
    user: differing('User'),
    working_dir: differing('WorkingDir'),
    stop_signal: differing('StopSignal'),
    stop_grace_period: config.at('StopTimeout').is() ? `${config.at('StopTimeout').number()}s` : undefined,
    tty: config.at('Tty').true() || undefined,
    stdin_open: config.at('OpenStdin').true() || undefined,
    init: json.at('HostConfig', 'Init').is() ? json.at('HostConfig', 'Init').true() : undefined,
  }
}

/** An entrypoint of one's own drops the image's command (moby, daemon/commit.go). */
function commandOf(json: Json, image: Image): Parts {
  const [entrypoint, command] = ['Entrypoint', 'Cmd'].map((key) => json.at('Config', key).strings())
  const [imageEntrypoint, imageCommand] = ['Entrypoint', 'Cmd'].map((key) => list(image.config[key]))
  const sameEntrypoint = same(entrypoint, imageEntrypoint)
  if (sameEntrypoint && same(command, imageCommand)) return {}
  const isCleared = command?.length === 0 && imageCommand?.length !== 0
  return {
    ...(sameEntrypoint && !isCleared ? {} : { entrypoint }),
    ...(command?.length === 0 ? {} : { command }),
  }
}

function variablesOf(json: Json, image: Image): Record<string, string> {
  const given = new Set(list(image.config['Env']))
  const own = json
    .at('Config', 'Env')
    .strings()
    .filter((entry) => !given.has(entry) && entry.includes('='))
  return Object.fromEntries(own.map((entry) => [nameOf(entry), entry.slice(nameOf(entry).length + 1)]))
}

function variablesLost(json: Json, image: Image): string[] {
  const own = new Set(json.at('Config', 'Env').strings().map(nameOf))
  const gone = list(image.config['Env'])
    .map(nameOf)
    .filter((name) => !own.has(name))
  return gone.map((name) => `its image's variable ${name}, which it does not have, comes back`)
}

function nameOf(entry: string): string {
  return entry.split('=', 1)[0] ?? ''
}

function ownLabels(json: Json, image: Image): Record<string, string> {
  const given = record(image.config['Labels'])
  const own = Object.entries(json.at('Config', 'Labels').record()).filter(
    ([name, value]) => !name.startsWith('com.docker.compose.') && given[name] !== value,
  )
  return Object.fromEntries(own.map(([name, value]) => [name, text(value)]))
}

/** @returns its name, unless it is the one that Compose gives */
function ownName(json: Json, project: string): string | undefined {
  const name = json.at('Name').string().replace(/^\//, '')
  const service = json.at('Config', 'Labels', 'com.docker.compose.service').string()
  const isGiven = [`${project}-${service}-`, `${project}_${service}_`].some(
    (start) => name.startsWith(start) && /^\d+$/.test(name.slice(start.length)),
  )
  return isGiven ? undefined : name
}

function healthcheckOf(json: Json, image: Image): Parts | undefined {
  const check = json.at('Config', 'Healthcheck')
  if (
    !check.is() ||
    JSON.stringify(sorted(check.record())) === JSON.stringify(sorted(record(image.config['Healthcheck'])))
  )
    return undefined
  const test = check.at('Test').strings()
  if (test[0] === 'NONE') return { disable: true }
  const time = (key: string) => duration(check.at(key).number())
  return withoutEmpty({
    test,
    interval: time('Interval'),
    timeout: time('Timeout'),
    start_period: time('StartPeriod'),
    start_interval: time('StartInterval'),
    retries: check.at('Retries').number() || undefined,
  })
}

/** @param ns nanoseconds */
function duration(ns: number): string | undefined {
  if (ns === 0) return undefined
  if (ns % 1e9 === 0) return `${ns / 1e9}s`
  return ns % 1e6 === 0 ? `${ns / 1e6}ms` : `${ns}ns`
}

/** `json-file` without options is the default of nearly every engine. */
function loggingOf(json: Json): Record<string, unknown> | undefined {
  const { Type: driver, Config: options } = json.at('HostConfig', 'LogConfig').record()
  const all = record(options)
  if (text(driver) === '' || (driver === 'json-file' && Object.keys(all).length === 0)) return undefined
  return { driver, ...(Object.keys(all).length > 0 ? { options: all } : {}) }
}

function restartOf(json: Json): string | undefined {
  const policy = json.at('HostConfig', 'RestartPolicy')
  const [name, most] = [policy.at('Name').string(), policy.at('MaximumRetryCount').number()]
  if (name === '' || name === 'no') return undefined
  return name === 'on-failure' && most > 0 ? `${name}:${most}` : name
}

/** What it may do, and with what. */
function rightsOf(host: Json): Parts {
  const unconfined =
    host.at('MaskedPaths').is() && host.at('MaskedPaths').strings().length === 0 && !host.at('Privileged').true()
  return {
    privileged: host.at('Privileged').true() || undefined,
    read_only: host.at('ReadonlyRootfs').true() || undefined,
    cap_add: host.at('CapAdd').strings(),
    cap_drop: host.at('CapDrop').strings(),
    group_add: host.at('GroupAdd').strings(),
    security_opt: [...host.at('SecurityOpt').strings(), ...(unconfined ? ['systempaths=unconfined'] : [])],
    userns_mode: host.at('UsernsMode').string(),
    uts: host.at('UTSMode').string(),
    cgroup: host.at('CgroupnsMode').string() === 'private' ? undefined : host.at('CgroupnsMode').string(),
    cgroup_parent: host.at('CgroupParent').string(),
    sysctls: host.at('Sysctls').record(),
    runtime: ['', 'runc'].includes(host.at('Runtime').string()) ? undefined : host.at('Runtime').string(),
  }
}

function flagsLost(config: Json): string[] {
  return config.at('StdinOnce').true() ? ['it ends once its input has ended (docker run -i)'] : []
}

function same(a: readonly string[] = [], b: readonly string[] = []): boolean {
  return a.length === b.length && a.every((word, at) => word === b[at])
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function sorted(value: Record<string, unknown>): unknown {
  return Object.entries(value)
    .filter(([, inner]) => inner !== 0)
    .toSorted(([a], [b]) => compare(a, b))
}
