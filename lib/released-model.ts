import type { ComposeModel } from './compose.ts'
import { StagecraftError } from './errors.ts'
import { isSettled } from './released-variables.ts'

/**
 * What the model of a release may hold. It is read by docker compose on the operator's machine, and it comes from a folder
 * that others can write to: a host, or a folder that is shared. So it is data: it holds what Stagecraft writes, and nothing
 * that makes Compose read files, variables or programs of the machine that it runs on (spec/core/bundle.md).
 */

/** Keys of a service that say what its container is. Left out: all that builds, orders, pulls, or reads something. */
const SERVICE = new Set(
  `annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
  cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec deploy
  device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint environment expose external_links extra_hosts
  gpus group_add healthcheck hostname image init ipc isolation labels links logging mac_address mem_limit mem_reservation
  mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports
  post_start pre_stop privileged read_only restart runtime scale secrets security_opt shm_size stdin_open
  stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from
  working_dir`.split(/\s+/),
)
const MODEL = new Set(['name', 'services', 'networks', 'volumes', 'configs', 'secrets'])
const FILE = new Set(['name', 'file', 'content', 'external', 'labels', 'driver', 'driver_opts', 'template_driver'])
const MOUNT = new Set('type source target read_only consistency bind volume tmpfs image cluster'.split(' '))
const FILE_MOUNT = new Set(['source', 'target', 'uid', 'gid', 'mode'])

/** Names of services and of what they use (Compose spec), without those that every JavaScript object has. */
const NAME = /^[a-zA-Z0-9._-]+$/
const PROJECT = /^[a-z0-9][a-z0-9_-]*$/
/** Where the files of configs and secrets are, wherever the state is. */
const CONTENT = /^(?!.*\/\.\.\/)\/.*\bcontent\/[0-9a-f]{32}$/s
const DEEPEST = 32

/** A place in a model, and what is wrong there. */
export interface Problem {
  /** `services.web.env_file` */
  readonly at: string
  /** follows the place in a sentence */
  readonly is: string
}

const UNKNOWN = 'is nothing that a release has'

/**
 * @param text of a file, in JSON
 * @returns what makes it another model for Compose, which reads it as YAML and puts variables in, than for who reads it as
 * JSON: keys that are there twice, `$` that is not doubled, escapes that YAML does not have. Spaces do not count
 */
export function textProblem(text: string, parsed: unknown): Problem | undefined {
  const odd = treeProblem(parsed, '', 0)
  if (odd) return odd
  const open = findText(parsed, '', (value) => value.replaceAll('$$', '').includes('$'))
  if (open !== undefined) return { at: open, is: 'has a $ that is not doubled: Compose would put a variable in' }
  const said = text.replace(/("(?:[^"\\]|\\.)*")|[ \t\r\n]+/g, (_, string: string | undefined) => string ?? '')
  if (escapeForYaml(said) === escapeForYaml(JSON.stringify(parsed))) return undefined
  return { at: 'the file', is: 'is not written as Stagecraft writes it (a key twice, or other escapes)' }
}

/** YAML folds or refuses some characters that JSON takes as they are. @param json which may hold them in its texts */
export function escapeForYaml(json: string): string {
  return json.replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

function findText(value: unknown, at: string, matches: (text: string) => boolean): string | undefined {
  if (typeof value === 'string') return matches(value) ? at : undefined
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const found = findText(inner, at === '' ? key : `${at}.${key}`, matches)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * @param files `content`: files of configs and secrets are those that Stagecraft keeps; `any`: a model of what was adopted
 * has them where they are
 * @returns the first thing in a model, as it is in memory, that no release has
 */
export function modelProblem(model: ComposeModel, files: 'content' | 'any' = 'content'): Problem | undefined {
  const parts: unknown = model
  if (!isObject(parts)) return { at: 'the model', is: 'is no object' }
  const { name, services, networks, volumes, configs, secrets } = parts
  if (typeof name !== 'string' || !PROJECT.test(name)) return { at: 'name', is: 'is no name of a Compose project' }
  return (
    unknownKey(parts, '', MODEL) ??
    each(services, 'services', serviceProblem) ??
    each(networks, 'networks', resourceProblem) ??
    each(volumes, 'volumes', resourceProblem) ??
    each(configs, 'configs', (file, at) => fileProblem(file, at, files)) ??
    each(secrets, 'secrets', (file, at) => fileProblem(file, at, files)) ??
    treeProblem(parts, '', 0)
  )
}

/** What would be refused when the release is put back is refused before there is one. @throws config (3) */
export function refuseUnkept(model: ComposeModel): void {
  const problem = modelProblem(model)
  if (problem === undefined) return
  throw new StagecraftError('config', `Cannot release this Compose file: ${problem.at} ${problem.is}`, {
    hint: 'Docker Compose would take it anew from the machine that it runs on each time, or this version does not know it. Leave it out.',
  })
}

function serviceProblem(service: Parts, at: string): Problem | undefined {
  return (
    unknownKey(service, at, SERVICE) ??
    (isWord(service['image']) ? undefined : { at: `${at}.image`, is: 'is no name of an image' }) ??
    variablesProblem(service['environment'], `${at}.environment`) ??
    items(service['volumes'], `${at}.volumes`, mountProblem) ??
    items(service['configs'], `${at}.configs`, (mount, place) => unknownKey(mount, place, FILE_MOUNT)) ??
    items(service['secrets'], `${at}.secrets`, (mount, place) => unknownKey(mount, place, FILE_MOUNT)) ??
    items(service['post_start'], `${at}.post_start`, hookProblem) ??
    items(service['pre_stop'], `${at}.pre_stop`, hookProblem)
  )
}

function hookProblem(hook: Parts, at: string): Problem | undefined {
  return variablesProblem(hook['environment'], `${at}.environment`)
}

/** A variable without a value is taken from the shell of who runs Compose, but for those that it is run without. */
function variablesProblem(variables: unknown, at: string): Problem | undefined {
  if (variables === undefined || variables === null) return undefined
  if (!isObject(variables)) return { at, is: 'is no table of variables' }
  const open = Object.entries(variables).find(([name, value]) => value === null && !isSettled(name))?.[0]
  return open === undefined ? undefined : { at: `${at}.${open}`, is: 'has no value: it would be taken from your shell' }
}

/** A relative path or `~` would be one of the machine that Compose runs on. */
function mountProblem(mount: Parts, at: string): Problem | undefined {
  const unknown = unknownKey(mount, at, MOUNT)
  if (unknown) return unknown
  const { type, source } = mount
  if (!['bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image'].includes(String(type)))
    return { at: `${at}.type`, is: UNKNOWN }
  if (type === 'bind' && !isAbsolute(source)) return { at: `${at}.source`, is: 'is no absolute path' }
  return undefined
}

function fileProblem(file: Parts, at: string, files: 'content' | 'any'): Problem | undefined {
  const unknown = unknownKey(file, at, FILE)
  if (unknown) return unknown
  const { file: path, external } = file
  if (path === undefined || external === true) return undefined
  if (!isAbsolute(path)) return { at: `${at}.file`, is: 'is no absolute path' }
  return files === 'any' || CONTENT.test(path)
    ? undefined
    : { at: `${at}.file`, is: 'leads out of the files that releases keep' }
}

/** Networks and volumes are the engine's: only what Compose makes a path of its own machine is looked at, and the name. */
function resourceProblem({ name, driver_opts: options }: Parts, at: string): Problem | undefined {
  if (name !== undefined && !isWord(name)) return { at: `${at}.name`, is: 'is no name' }
  const device = isObject(options) ? options['device'] : undefined
  if (typeof device === 'string' && /^[.~]/.test(device)) return { at: `${at}.driver_opts`, is: 'is no absolute path' }
  return undefined
}

/** `<<` is YAML's merge key, and Compose reads YAML. */
function treeProblem(value: unknown, at: string, depth: number): Problem | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > DEEPEST) return { at, is: 'is nested too deep' }
  for (const [key, inner] of Object.entries(value)) {
    const place = at === '' ? key : `${at}.${key}`
    if (key === '<<') return { at: place, is: UNKNOWN }
    const problem = treeProblem(inner, place, depth + 1)
    if (problem) return problem
  }
  return undefined
}

type Parts = Readonly<Record<string, unknown>>

function each(entries: unknown, at: string, check: (entry: Parts, at: string) => Problem | undefined) {
  if (entries === undefined || (entries === null && at !== 'services')) return undefined
  if (!isObject(entries)) return { at, is: 'is no table' }
  for (const [key, entry] of Object.entries(entries)) {
    const place = `${at}.${key}`
    if (!NAME.test(key) || key in Object.prototype) return { at: place, is: 'is no name' }
    if (!isObject(entry) && (entry !== null || at === 'services')) return { at: place, is: 'is no table' }
    const problem = check(entry ?? {}, place)
    if (problem) return problem
  }
  return undefined
}

function items(entries: unknown, at: string, check: (entry: Parts, at: string) => Problem | undefined) {
  if (entries === undefined || entries === null) return undefined
  if (!Array.isArray(entries)) return { at, is: 'is no list' }
  for (const [index, entry] of entries.entries()) {
    const place = `${at}[${index}]`
    if (!isObject(entry)) return { at: place, is: 'is no table' }
    const problem = check(entry, place)
    if (problem) return problem
  }
  return undefined
}

function unknownKey(parts: Parts, at: string, known: ReadonlySet<string>): Problem | undefined {
  const key = Object.keys(parts).find((name) => !known.has(name) && !name.startsWith('x-'))
  return key === undefined ? undefined : { at: at === '' ? key : `${at}.${key}`, is: UNKNOWN }
}

function isObject(value: unknown): value is Parts {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isAbsolute(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('/')
}

/** Nothing that a program would take for an option, or two words. */
function isWord(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && /^[^-\s\p{Cc}][^\s\p{Cc}]*$/u.test(value))
}
