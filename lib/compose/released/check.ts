import { StagecraftError } from '../../util/errors.ts'
import type { ComposeModel } from '../model.ts'
import { isSettled } from './variables.ts'

/**
 * What the model of a release may contain. Docker compose reads it on the operator's machine, but others can write to the folder
 * that it comes from: a host's, or a shared one. So it is only data: it contains what Stagecraft writes, and nothing that makes
 * Compose read files or variables, or run programs, of the machine that it runs on (spec/core/bundle.md).
 */

/** Keys of a service that define its container. All keys that build, order, pull or read something are left out. */
const SERVICE = new Set(
  `annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
  cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec deploy
  device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint environment expose external_links extra_hosts
  gpus group_add healthcheck hostname image init ipc isolation labels links logging mac_address mem_limit mem_reservation
  mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports
  post_start pre_start pre_stop privileged read_only restart runtime scale secrets security_opt shm_size stdin_open
  stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from
  working_dir`.split(/\s+/),
)
const MODEL = new Set(['name', 'services', 'networks', 'volumes', 'configs', 'secrets'])
const FILE = new Set(['name', 'file', 'content', 'external', 'labels', 'driver', 'driver_opts', 'template_driver'])
const MOUNT = new Set('type source target read_only consistency bind volume tmpfs image cluster'.split(' '))
const INIT = new Set(['command', 'user', 'privileged', 'working_dir', 'environment', 'per_replica'])
const FILE_MOUNT = new Set(['source', 'target', 'uid', 'gid', 'mode'])

/** Names of services and of what they use (Compose spec). Names that every JavaScript object has are refused separately. */
const NAME = /^[a-zA-Z0-9._-]+$/
const PROJECT = /^[a-z0-9][a-z0-9_-]*$/
/** Paths of kept configs and secrets, wherever the state is. */
const CONTENT = /^(?!.*\/\.\.\/)\/.*\bcontent\/[0-9a-f]{32}$/s
const DEEPEST = 32

/** What is wrong in a model, and where. */
export interface Problem {
  /** `services.web.env_file` */
  readonly at: string
  /** the rest of the sentence, after the place */
  readonly is: string
  /** what to do about it */
  readonly hint?: string
}

const UNKNOWN = 'is not allowed in a release'

/**
 * Compose reads a model's file as YAML and substitutes variables, Stagecraft reads it as JSON: both must get the same model.
 * @param text of a file, in JSON @param parsed the same, parsed
 * @returns what makes the two differ: duplicate keys, a `$` that is not doubled, escapes that YAML does not have
 */
export function textProblem(text: string, parsed: unknown): Problem | undefined {
  const odd = treeProblem(parsed, '', 0)
  if (odd) return odd
  const open = findText(parsed, '', (value) => value.replaceAll('$$', '').includes('$'))
  if (open !== undefined) return { at: open, is: 'has a $ that is not doubled: Compose would substitute a variable' }
  const said = text.replace(/("(?:[^"\\]|\\.)*")|[ \t\r\n]+/g, (_, string: string | undefined) => string ?? '')
  if (escapeForYaml(said) === escapeForYaml(JSON.stringify(parsed))) return undefined
  return { at: 'the file', is: 'is not written as Stagecraft writes it (a key twice, or other escapes)' }
}

/** @returns JSON with escapes for characters that JSON allows in strings, and YAML folds or refuses. */
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
 * @param model as it is in memory
 * @param files `content`: files of configs and secrets must be kept content; `any`: an adopted model has them in place
 * @returns the first problem, or undefined if a release may have this model
 */
export function modelProblem(model: ComposeModel, files: 'content' | 'any' = 'content'): Problem | undefined {
  const parts: unknown = model
  if (!isObject(parts)) return { at: 'the model', is: 'is no object' }
  const { name, services, networks, volumes, configs, secrets } = parts
  if (typeof name !== 'string' || !PROJECT.test(name))
    return { at: 'name', is: 'is not a valid name of a Compose project' }
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

/** Refuses now what would be refused when the release is restored. @throws config (3) */
export function refuseUnkept(model: ComposeModel): void {
  const problem = modelProblem(model)
  if (problem === undefined) return
  throw new StagecraftError('config', `Cannot release this Compose file: ${problem.at} ${problem.is}`, {
    hint:
      problem.hint ??
      'Docker Compose would read it from its own machine each time, or this version of Stagecraft does not know it. Leave it out.',
  })
}

function serviceProblem(service: Parts, at: string): Problem | undefined {
  return (
    unknownKey(service, at, SERVICE) ??
    (isWord(service['image']) ? undefined : { at: `${at}.image`, is: 'is not a valid name of an image' }) ??
    variablesProblem(service['environment'], `${at}.environment`) ??
    items(service['volumes'], `${at}.volumes`, mountProblem) ??
    items(service['configs'], `${at}.configs`, (mount, place) => unknownKey(mount, place, FILE_MOUNT)) ??
    items(service['secrets'], `${at}.secrets`, (mount, place) => unknownKey(mount, place, FILE_MOUNT)) ??
    items(service['post_start'], `${at}.post_start`, hookProblem) ??
    items(service['pre_stop'], `${at}.pre_stop`, hookProblem) ??
    items(service['pre_start'], `${at}.pre_start`, initProblem)
  )
}

/** A `pre_start` hook runs in a container of its own. Its image would be neither kept nor known to be the same later. */
function initProblem(hook: Parts, at: string): Problem | undefined {
  const { image, per_replica } = hook
  if (image !== undefined)
    return {
      at: `${at}.image`,
      is: 'is an image of its own, which a release does not keep for a rollback',
      hint: 'Leave it out: the hook then runs in the image of its service. Or make it a service of its own that others wait for with service_completed_successfully.',
    }
  if (per_replica === true)
    return {
      at: `${at}.per_replica`,
      is: 'is not supported: Docker Compose 5.3 refuses it when it starts the service',
      hint: 'Leave it out: the hook then runs once, before any container of the service starts.',
    }
  return unknownKey(hook, at, INIT) ?? hookProblem(hook, at)
}

function hookProblem(hook: Parts, at: string): Problem | undefined {
  return variablesProblem(hook['environment'], `${at}.environment`)
}

/** Compose takes a variable without a value from its shell, except for those that it runs without (variables.ts). */
function variablesProblem(variables: unknown, at: string): Problem | undefined {
  if (variables === undefined || variables === null) return undefined
  if (!isObject(variables)) return { at, is: 'is not a mapping of variables' }
  const open = Object.entries(variables).find(([name, value]) => value === null && !isSettled(name))?.[0]
  return open === undefined
    ? undefined
    : { at: `${at}.${open}`, is: 'has no value: Compose would take it from your shell' }
}

/** A relative path or `~` would be resolved on the machine that Compose runs on. */
function mountProblem(mount: Parts, at: string): Problem | undefined {
  const unknown = unknownKey(mount, at, MOUNT)
  if (unknown) return unknown
  const { type, source } = mount
  if (!['bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image'].includes(String(type)))
    return { at: `${at}.type`, is: UNKNOWN }
  if (type === 'bind' && !isAbsolute(source)) return { at: `${at}.source`, is: 'is not an absolute path' }
  return undefined
}

function fileProblem(file: Parts, at: string, files: 'content' | 'any'): Problem | undefined {
  const unknown = unknownKey(file, at, FILE)
  if (unknown) return unknown
  const { file: path, external } = file
  if (path === undefined || external === true) return undefined
  if (!isAbsolute(path)) return { at: `${at}.file`, is: 'is not an absolute path' }
  return files === 'any' || CONTENT.test(path)
    ? undefined
    : { at: `${at}.file`, is: 'points outside the files that releases keep' }
}

/** Networks and volumes are the engine's: only the name is checked, and paths that Compose would resolve on its own machine. */
function resourceProblem({ name, driver_opts: options }: Parts, at: string): Problem | undefined {
  if (name !== undefined && !isWord(name)) return { at: `${at}.name`, is: 'is no name' }
  const device = isObject(options) ? options['device'] : undefined
  if (typeof device === 'string' && /^[.~]/.test(device))
    return { at: `${at}.driver_opts`, is: 'is not an absolute path' }
  return undefined
}

/** Finds YAML's merge key `<<` and excessive nesting. */
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

/** @returns whether a program takes it for one word, and not for an option. */
function isWord(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && /^[^-\s\p{Cc}][^\s\p{Cc}]*$/u.test(value))
}
