import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { checkConfig } from './config-check.ts'
import { sharedProblem } from './config-projects.ts'
import type { ParsedConfig } from './config-schema.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import { quote } from './format.ts'
import { nearest } from './nearest.ts'
import { type Problem, parseYaml } from './yaml-file.ts'

/** What `stagecraft.yml` says (spec/core/config.md). Durations are milliseconds; paths are as written. */
export interface Config {
  /** Absolute path of the file this came from; absent when the project has none. */
  readonly file?: string
  readonly project: { readonly name?: string; readonly registry?: string }
  /** Compose files, relative to the project folder; empty: what docker compose would find. */
  readonly compose: readonly string[]
  readonly environments: Readonly<Record<string, EnvironmentConfig>>
}

export interface EnvironmentConfig {
  /** where it runs, as lib/host-name.ts has it; empty: on this machine's engine */
  readonly hosts?: readonly string[]
  /** where hosts, or this machine, keep what Stagecraft keeps of it; absolute. Default here: the checkout */
  readonly root?: string
  /** milliseconds for a connection to come about */
  readonly connect_timeout?: number
  readonly env_file: readonly string[]
  readonly compose_project?: string
  readonly data: readonly string[]
  /** completed releases kept besides the current one */
  readonly keep: number
  readonly services: Readonly<Record<string, ServiceConfig>>
  /** the image of the host's proxy; undefined: whatever it has, `caddy:2` for a new one */
  readonly proxy?: { readonly image?: string } | null
}

export interface ServiceConfig {
  /** those of the environment's that it is on, as written there; default: all */
  readonly hosts?: readonly string[]
  /** the host that its data was brought from, to the one that it is on now */
  readonly moved_from?: string
  readonly job?: boolean
  readonly expose?: ExposeConfig
  readonly rollout: RolloutConfig
}

/** What the proxy is to do for a service. One with hosts, or internal, or both. */
export interface ExposeConfig {
  /** in lower case; may begin with `*.` */
  readonly host?: readonly string[]
  /** where its containers listen */
  readonly port: number
  /** default: all paths */
  readonly path?: string
  /** answers 2xx once a container can take requests */
  readonly health?: string
  /** default: auto */
  readonly tls?: 'off' | 'auto' | 'internal'
  /** the proxy answers under the service's own name on its networks */
  readonly internal?: boolean
  /** whose X-Forwarded headers are passed on; default: private ranges with `tls: off`, else nobody's */
  readonly trusted_proxies?: readonly string[]
}

export interface RolloutConfig {
  readonly strategy?: 'rolling' | 'recreate' | 'hold'
  /** of replicas that cannot all run twice: default start-first */
  readonly order?: 'start-first' | 'stop-first'
  readonly health_timeout?: number
  readonly min_ready?: number
  readonly drain_timeout?: number
  readonly drain?: { readonly command?: readonly string[]; readonly wait?: number } | null
}

/** The environment a command acts on. */
export interface Environment extends EnvironmentConfig {
  readonly name: string
}

export const CONFIG_FILE = 'stagecraft.yml'
/** Names under which somebody may have written it. Such a file is never ignored. */
export const OTHER_NAMES = ['stagecraft.yaml', '.stagecraft.yml', '.stagecraft.yaml']
const MAX_BYTES = 1024 * 1024
const SCHEMA_HINT = 'The schema of the file: stagecraft init --schema'
const EMPTY: EnvironmentConfig = { env_file: [], data: [], keep: 5, services: {} }

/**
 * Reads `stagecraft.yml` of a project folder, or gives the default where there is none.
 * @throws StagecraftError `config` with every error in the file, each with line and column.
 */
export async function loadConfig(directory: string): Promise<Config> {
  const file = join(directory, CONFIG_FILE)
  const text = readConfigFile(file)
  if (text === undefined) {
    refuseOtherName(directory)
    return { project: {}, compose: [], environments: { local: EMPTY } }
  }
  return { file, ...parseConfig(text) }
}

/**
 * Parses the text of a `stagecraft.yml`.
 * @throws StagecraftError `config` with every error in it, each with line and column.
 */
export function parseConfig(text: string): Omit<Config, 'file'> {
  const yaml = parseYaml(text)
  if (isProblems(yaml)) throw configError(yaml)
  const checked = checkConfig(yaml)
  if (isProblems(checked)) throw configError(checked)
  return {
    project: checked.project ?? {},
    compose: checked.compose ?? [],
    environments: mapValues(checked.environments ?? { local: null }, toEnvironment),
  }
}

/**
 * Chooses the environment: the one named, or the only one there is.
 * @throws StagecraftError `not-found` for an unknown name, `usage` when there are several and none is named.
 */
export function selectEnvironment(config: Config, name: string | undefined): Environment {
  const names = Object.keys(config.environments).toSorted()
  const chosen = name ?? (names.length === 1 ? names[0] : undefined)
  if (chosen === undefined) {
    throw new StagecraftError('usage', `Cannot choose an environment: there are ${names.length} and none is named`, {
      hint: `Add --env <name>. Environments: ${names.join(', ')}`,
    })
  }
  const found = Object.hasOwn(config.environments, chosen) ? config.environments[chosen] : undefined
  if (found === undefined) throw unknownEnvironment(chosen, names)
  return { name: chosen, ...found }
}

/** The error for an environment that is not there. `names` are those there are; they are listed in alphabetical order. */
export function unknownEnvironment(name: string, names: readonly string[]): StagecraftError {
  const sorted = names.toSorted()
  const meant = nearest(name, sorted)
  const suggestion = meant === undefined ? '' : `Did you mean ${quote(meant)}? `
  return new StagecraftError('not-found', `Cannot find environment ${quote(name)}`, {
    hint: `${suggestion}Environments: ${sorted.join(', ')}`,
  })
}

function readConfigFile(file: string): string | undefined {
  const fail = (reason: string, cause?: unknown) =>
    new StagecraftError('config', `Cannot use ${basename(file)}: ${reason}`, { cause, hint: `The file: ${file}` })
  try {
    const stat = statSync(file)
    if (!stat.isFile()) throw fail('it is not a file')
    if (stat.size > MAX_BYTES) throw fail('it is larger than 1 MiB')
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
  } catch (error) {
    if (error instanceof StagecraftError) throw error
    if (errnoOf(error) === 'ENOENT') return undefined
    const system = errnoOf(error)?.startsWith('E') && !errnoOf(error)?.startsWith('ERR')
    throw fail(system ? `it cannot be read (${errnoOf(error)})` : 'it is not UTF-8 text', error)
  }
}

function refuseOtherName(directory: string): void {
  const other = OTHER_NAMES.find((name) => existsSync(join(directory, name)))
  if (other === undefined) return
  throw new StagecraftError('config', `Cannot use ${other}: the file is called ${CONFIG_FILE}`, {
    hint: `Rename it: mv ${other} ${CONFIG_FILE}`,
  })
}

/** @param names of two environments of the file that come to the same Compose project */
export function sharedInFile({ file }: Config, project: string, names: readonly [string, string]): StagecraftError {
  const yaml = parseYaml((file && readConfigFile(file)) ?? '')
  return configError(isProblems(yaml) ? yaml : [sharedProblem(yaml, project, names)])
}

function configError(problems: readonly Problem[]): StagecraftError {
  const count = problems.length === 1 ? '1 error' : `${problems.length} errors`
  const lines = problems.map(({ line, column, message }) => `${CONFIG_FILE}:${line}:${column}: ${message}`)
  return new StagecraftError('config', `Cannot use ${CONFIG_FILE}: ${count}`, {
    detail: lines.join('\n'),
    hint: SCHEMA_HINT,
  })
}

type ParsedEnvironment = NonNullable<ParsedConfig['environments']>[string]
type ParsedService = NonNullable<NonNullable<ParsedEnvironment>['services']>[string]

function toEnvironment(parsed: ParsedEnvironment): EnvironmentConfig {
  return { ...EMPTY, ...parsed, services: mapValues(parsed?.services ?? {}, toService) }
}

function toService(parsed: ParsedService): ServiceConfig {
  return { ...parsed, rollout: parsed?.rollout ?? {} }
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, change: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}

function isProblems(value: object): value is readonly Problem[] {
  return Array.isArray(value)
}
