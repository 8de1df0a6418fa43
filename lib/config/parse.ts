import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import { compare, quote } from '../util/format.ts'
import { namesHint } from '../util/nearest.ts'
import { checkConfig } from './check.ts'
import { type DatabaseConfig, toDatabase } from './databases.ts'
import { earlierKeys } from './earlier.ts'
import type { ExposeConfig } from './edge/expose.ts'
import type { ProxyConfig } from './edge/proxy.ts'
import type { EngineName } from './engine.ts'
import { type HookConfig, type HookName, toHooks } from './hooks.ts'
import type { HostAddress } from './host-address.ts'
import { refuseIfTooOld } from './minimum-version.ts'
import type { NotifyConfig } from './notify.ts'
import { sharedProblem } from './projects.ts'
import type { ParsedConfig } from './schema.ts'
import type { SecretSource } from './secrets.ts'
import type { JobConfig } from './services/jobs.ts'
import { type Problem, parseYaml, type YamlPath } from './yaml-file.ts'

/** The content of `stagecraft.yml` (spec/core/config.md). Durations are milliseconds; paths are as written. */
export interface Config {
  /** The file's absolute path; absent if the project has none. */
  readonly file?: string
  readonly project: { readonly name?: string; readonly registry?: string }
  /** Compose files, relative to the project folder; empty: what docker compose would find. */
  readonly compose: readonly string[]
  readonly environments: Readonly<Record<string, EnvironmentConfig>>
}

interface EnvironmentConfig {
  /** what places its containers; default: compose */
  readonly engine?: EngineName
  /** where it runs; default: this machine's engine */
  readonly hosts?: readonly HostAddress[]
  /** the folder where hosts, or this machine, keep state and releases; absolute. Default on this machine: the checkout */
  readonly root?: string
  /** milliseconds for opening a connection */
  readonly connect_timeout?: number
  readonly env_file: readonly string[]
  readonly compose_project?: string
  readonly data: readonly string[]
  /** completed releases kept besides the current one */
  readonly keep: number
  readonly services: Readonly<Record<string, ServiceConfig>>
  /** in the order of their names */
  readonly databases?: Readonly<Record<string, DatabaseConfig>>
  /** programs that run around the phases of a release */
  readonly hooks?: Readonly<Partial<Record<HookName, HookConfig>>>
  /** where finished releases are sent */
  readonly notify?: readonly NotifyConfig[]
  /** where the values of variables come from */
  readonly secrets?: Readonly<Record<string, SecretSource>> | null
  /** of the host's proxy */
  readonly proxy?: ProxyConfig | null
}

export interface ServiceConfig {
  /** its hosts, as written in the environment's; default: all of them */
  readonly hosts?: readonly HostAddress[]
  /** the host from which its data was moved to its present one */
  readonly moved_from?: HostAddress
  /** ends when its work is done */
  readonly job?: JobConfig
  readonly expose?: ExposeConfig
  readonly rollout: RolloutConfig
}

export interface RolloutConfig {
  readonly strategy?: 'rolling' | 'recreate' | 'hold'
  /** for replicas that cannot all run twice; default: start-first */
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
/** Likely mistakes for the file's name. Such a file is an error, never ignored. */
export const OTHER_NAMES = ['stagecraft.yaml', '.stagecraft.yml', '.stagecraft.yaml']
const MAX_BYTES = 1024 * 1024
const SCHEMA_HINT = 'The schema of the file: stagecraft init --schema'
const EMPTY: EnvironmentConfig = { env_file: [], data: [], keep: 5, services: {} }

/**
 * Reads `stagecraft.yml` of a project folder, or returns the default if there is none.
 * @throws config (3) with every error in the file, each with line and column
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
 * @throws config (3) with every error in it, each with line and column
 */
export function parseConfig(text: string): Omit<Config, 'file'> {
  const yaml = parseYaml(text)
  if (isProblems(yaml)) throw configError(yaml)
  refuseIfTooOld(yaml.value)
  const earlier = earlierKeys(yaml.value)
  if (earlier) throw earlierFile(earlier)
  const checked = checkConfig(yaml)
  if (isProblems(checked)) throw configError(checked)
  return {
    project: checked.project ?? {},
    compose: checked.compose ?? [],
    environments: mapValues(checked.environments ?? { local: null }, toEnvironment),
  }
}

/**
 * Chooses the environment: the named one, or the only one.
 * @throws not-found (4) for an unknown name; usage (2) if there are several and none is named
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

/** @returns the error (4) for an environment that does not exist. @param names of the existing ones, in any order */
export function unknownEnvironment(name: string, names: readonly string[]): StagecraftError {
  const hint = namesHint('Environments', name, names.toSorted())
  return new StagecraftError('not-found', `Cannot find environment ${quote(name)}`, { hint })
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
  throw new StagecraftError('config', `Cannot use ${other}: the file must be called ${CONFIG_FILE}`, {
    hint: `Rename it: mv ${other} ${CONFIG_FILE}`,
  })
}

/** @param names of two environments that have the same Compose project @returns the error (3), with line and column */
export function sharedInFile({ file }: Config, project: string, names: readonly [string, string]): StagecraftError {
  const yaml = parseYaml((file && readConfigFile(file)) ?? '')
  return configError(isProblems(yaml) ? yaml : [sharedProblem(yaml, project, names)])
}

/** @param path of the wrong value in the environment @returns the error (3), with line and column */
export function errorInFile({ file }: Config, environment: string, path: YamlPath, message: string): StagecraftError {
  const yaml = parseYaml((file && readConfigFile(file)) ?? '')
  const place = isProblems(yaml) ? yaml : [{ ...yaml.locate(['environments', environment, ...path], 'value'), message }]
  return configError(place)
}

/** @param keys lines that say what became of each key */
function earlierFile(keys: readonly string[]): StagecraftError {
  return new StagecraftError(
    'config',
    `Cannot use ${CONFIG_FILE}: it is that of the earlier Stagecraft, written in Go`,
    {
      detail: ['What became of its keys:', ...keys.map((line) => `  ${line}`)].join('\n'),
      hint: `Keep it under another name (mv ${CONFIG_FILE} ${CONFIG_FILE}.old), then: stagecraft init. The releases of that version are still listed.`,
    },
  )
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
  const { databases, hooks, ...rest } = parsed ?? {}
  const named = Object.entries(databases ?? {}).toSorted(([a], [b]) => compare(a, b))
  return {
    ...EMPTY,
    ...rest,
    services: mapValues(parsed?.services ?? {}, toService),
    ...(hooks ? { hooks: toHooks(hooks) } : {}),
    ...(named.length > 0 ? { databases: mapValues(Object.fromEntries(named), toDatabase) } : {}),
  }
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
