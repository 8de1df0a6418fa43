import { composeWarnings } from './compose-warnings.ts'
import { StagecraftError } from './errors.ts'
import type { Exec, Result } from './exec.ts'
import { escapeForYaml } from './released-model.ts'
import { withoutShell } from './released-variables.ts'

/** A Compose model as `docker compose config --format json` prints it: interpolated, absolute, in long forms. */
export interface ComposeModel {
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
  readonly networks?: Readonly<Record<string, Resource | null>>
  readonly volumes?: Readonly<Record<string, Resource | null>>
  readonly configs?: Readonly<Record<string, FileResource>>
  readonly secrets?: Readonly<Record<string, FileResource>>
}

/** One service. Only what Stagecraft reads is typed; everything else is kept as it is. */
export interface Service {
  readonly image?: string
  readonly build?: Build | null
  readonly pull_policy?: string
  readonly platform?: string
  readonly container_name?: string
  readonly depends_on?: Readonly<Record<string, Dependency>>
  readonly environment?: Readonly<Record<string, string | null>> | null
  readonly volumes?: readonly Mount[]
  readonly ports?: readonly Port[]
  readonly configs?: readonly FileMount[]
  readonly secrets?: readonly FileMount[]
  readonly networks?: Readonly<Record<string, unknown>> | null
  readonly network_mode?: string
  readonly ipc?: string
  readonly pid?: string
  readonly volumes_from?: readonly string[]
  readonly links?: readonly string[]
  readonly scale?: number
  readonly deploy?: { readonly replicas?: number; readonly [key: string]: unknown } | null
  readonly healthcheck?: Healthcheck | null
  readonly [key: string]: unknown
}

export interface Build {
  readonly context: string
  readonly dockerfile?: string
  readonly dockerfile_inline?: string
  readonly additional_contexts?: Readonly<Record<string, string>> | readonly string[]
  readonly args?: Readonly<Record<string, string | null>> | null
  readonly tags?: readonly string[]
  readonly platforms?: readonly string[]
  readonly [key: string]: unknown
}

export interface Dependency {
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully'
  readonly restart?: boolean
  readonly required?: boolean
}

export interface Mount {
  readonly type: string
  readonly source?: string
  readonly target: string
  readonly read_only?: boolean
  readonly bind?: Readonly<Record<string, unknown>> | null
  readonly [key: string]: unknown
}

/** `published` is a text, also where it is a number or a range. */
export interface Port {
  readonly target: number
  readonly published?: string
  readonly host_ip?: string
  readonly protocol?: string
}

export interface FileMount {
  readonly source: string
  readonly target?: string
  readonly mode?: number | string
  readonly [key: string]: unknown
}

/** Durations as Compose prints them: `30s`, `1m30s`. */
export interface Healthcheck {
  readonly test?: readonly string[]
  readonly interval?: string
  readonly timeout?: string
  readonly start_period?: string
  readonly retries?: number
  readonly disable?: boolean
}

export interface Resource {
  readonly name?: string
  readonly external?: boolean
  readonly [key: string]: unknown
}

export interface FileResource extends Resource {
  readonly file?: string
  readonly content?: string
  readonly environment?: string
}

/** What Compose is to read. Paths are absolute, or relative to `directory`. */
export interface ComposeSource {
  readonly directory: string
  /** empty: what docker compose would find */
  readonly files: readonly string[]
  readonly envFiles: readonly string[]
  /** undefined: what docker compose would call it */
  readonly project?: string | undefined
}

/**
 * Reads the Compose files with Compose itself, which needs no engine for it.
 * @throws config (3) with what Compose says.
 */
export async function loadCompose(
  exec: Exec,
  source: ComposeSource,
  warn: (message: string) => void = () => {},
): Promise<ComposeModel> {
  const args = [...sourceFlags(source), 'config', '--format', 'json']
  const result = await exec(['docker', 'compose', ...args], { cwd: source.directory, timeout: 60_000 })
  if (result.code !== 0) throw composeError(result)
  for (const message of composeWarnings(result.stderr)) warn(message)
  const model = unescapeDollars(JSON.parse(result.stdout), 'keys too')
  if (isModel(model)) return refuseReservedNames(model)
  throw new StagecraftError('config', 'Cannot read the Compose file: it defines no services', {
    hint: 'Give it a `services:` section with at least one service.',
  })
}

/** Names that every JavaScript object has: what is kept by service name would find something that is not there. */
function refuseReservedNames(model: ComposeModel): ComposeModel {
  const reserved = Object.keys(model.services).find((name) => name in Object.prototype)
  if (reserved === undefined) return model
  throw new StagecraftError('config', `Cannot use service ${reserved}: Stagecraft reserves that name`, {
    hint: 'Give the service another name. Its volumes and networks have names of their own, and stay.',
  })
}

/** @returns the values that Compose would put in for `${name}`, as it reads them from the environment and env files. */
export async function resolveVariables(
  exec: Exec,
  source: ComposeSource,
  names: readonly string[],
): Promise<Record<string, string>> {
  if (names.length === 0) return {}
  const environment = Object.fromEntries(names.map((name) => [name, `\${${name}?the variable is not set}`]))
  const input = JSON.stringify({ services: { variables: { image: 'none', environment } } })
  const flags = [...sourceFlags({ ...source, files: [] }), '--project-directory', source.directory]
  const argv = ['docker', 'compose', ...flags, '-f', '-', 'config', '--format', 'json']
  const result = await exec(argv, { cwd: source.directory, input, timeout: 60_000 })
  if (result.code !== 0) throw composeError(result)
  const model = unescapeDollars(JSON.parse(result.stdout), 'keys too')
  const values = isModel(model) ? model.services['variables']?.environment : undefined
  return Object.fromEntries(names.map((name) => [name, values?.[name] ?? '']))
}

/** @returns Compose's own hash of every service of a model: the label it would give their containers. */
export async function configHashes(exec: Exec, model: ComposeModel, directory: string): Promise<Map<string, string>> {
  const argv = ['docker', 'compose', ...actFlags(model.name, directory), '-f', '-', 'config', '--hash', '*']
  const env = withoutShell(model, process.env)
  const result = await exec(argv, { cwd: directory, env, input: modelText(model), timeout: 60_000 })
  if (result.code !== 0) throw composeError(result)
  const pairs = result.stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(pairs.flatMap(([service, hash]) => (service && hash ? [[service, hash]] : [])))
}

/** Flags for acting on a model that has nothing left to interpolate: no `.env` is read. */
export function actFlags(project: string, directory: string): string[] {
  return ['--progress', 'plain', '-p', project, '--project-directory', directory, '--env-file', '/dev/null']
}

/** @returns a model as a file for Compose, which reads YAML: a `$` that is meant is written `$$`. Keys are not interpolated. */
export function modelText(model: ComposeModel): string {
  const escaped = (_key: string, value: unknown) => (typeof value === 'string' ? value.replaceAll('$', '$$$$') : value)
  return `${escapeForYaml(JSON.stringify(model, escaped, 2))}\n`
}

/**
 * Compose prints every `$` of a model as `$$`, paths and keys included, so that it can be read again; a model in memory
 * has the text itself.
 */
export function unescapeDollars(value: unknown, keys?: 'keys too'): unknown {
  if (typeof value === 'string') return value.replaceAll('$$', '$')
  if (Array.isArray(value)) return value.map((entry) => unescapeDollars(entry, keys))
  if (typeof value !== 'object' || value === null) return value
  const name = (key: string) => (keys ? key.replaceAll('$$', '$') : key)
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [name(key), unescapeDollars(entry, keys)]))
}

function sourceFlags(source: ComposeSource): string[] {
  return [
    ...(source.project === undefined ? [] : ['-p', source.project]),
    ...source.files.flatMap((file) => ['-f', file]),
    ...source.envFiles.flatMap((file) => ['--env-file', file]),
  ]
}

function isModel(value: unknown): value is ComposeModel {
  if (typeof value !== 'object' || value === null || !('services' in value)) return false
  const { services } = value
  return typeof services === 'object' && services !== null && Object.keys(services).length > 0
}

function composeError(result: Result): StagecraftError {
  const said = result.stderr.trim()
  if (/is not a docker command|Usage:\s+docker \[OPTIONS\] COMMAND/.test(said))
    return new StagecraftError('unreachable', 'Cannot run docker compose: the Compose plugin is not installed', {
      detail: said,
      hint: 'Install Docker Compose 2.20 or later as a plugin of the docker command (package docker-compose-plugin).',
    })
  if (said.includes('no configuration file provided'))
    return new StagecraftError('config', 'Cannot find a Compose file in this folder', {
      hint: 'Run it where compose.yaml is, or name the folder with -C, or the file with `compose:` in stagecraft.yml.',
    })
  return new StagecraftError('config', 'Cannot read the Compose file: docker compose refuses it', { detail: said })
}
