import type { Exec } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import type { ComposeModel, ComposeSource } from './model.ts'
import { composeError, refusalOf } from './refusal.ts'
import { escapeForYaml } from './released/check.ts'
import { refuseOldCompose } from './released/hooks.ts'
import { withoutShell } from './released/variables.ts'
import { composeWarnings } from './warnings.ts'

/**
 * Reads the Compose files with Compose itself, which needs no engine for this.
 * @throws config (3) with Compose's own words; unreachable (8) without the Compose plugin
 */
export async function loadCompose(
  exec: Exec,
  source: ComposeSource,
  warn: (message: string) => void = () => {},
): Promise<ComposeModel> {
  const args = [...sourceFlags(source), 'config', '--format', 'json']
  const run = (env?: Readonly<Record<string, string>>) =>
    exec(['docker', 'compose', ...args], { cwd: source.directory, timeout: 60_000, ...(env ? { env } : {}) })
  const result = await run()
  if (result.code !== 0) throw await refusalOf(result, run, source)
  for (const message of composeWarnings(result.stderr)) warn(message)
  const model = unescapeDollars(JSON.parse(result.stdout), 'keys too')
  if (isModel(model)) {
    refuseReservedNames(model)
    await refuseOldCompose(exec, model, warn)
    return model
  }
  throw new StagecraftError('config', 'Cannot read the Compose file: it defines no services', {
    hint: 'Give it a `services:` section with at least one service.',
  })
}

/** Names that every JavaScript object has: a lookup by service name would find them. @throws config (3) */
function refuseReservedNames(model: ComposeModel): void {
  const reserved = Object.keys(model.services).find((name) => name in Object.prototype)
  if (reserved === undefined) return
  throw new StagecraftError('config', `Cannot use service ${reserved}: Stagecraft reserves that name`, {
    hint: 'Rename the service. Its volumes and networks have names of their own, and stay.',
  })
}

/** @returns the values that Compose substitutes for `${name}`, from the environment and env files. @throws config (3) */
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

/** @returns why Compose cannot split a command into words; undefined: it can */
export async function commandProblem(exec: Exec, command: string, directory: string): Promise<string | undefined> {
  const model = { name: 'none', services: { one: { image: 'none', command } } }
  const argv = ['docker', 'compose', ...actFlags(model.name, directory), '-f', '-', 'config', '--quiet']
  const result = await exec(argv, { cwd: directory, input: modelText(model), timeout: 60_000 })
  return result.code === 0 ? undefined : (composeError(result).detail ?? result.stderr.trim())
}

/** @returns Compose's own hash of every service of a model, which is a label of its containers. @throws config (3) */
export async function configHashes(exec: Exec, model: ComposeModel, directory: string): Promise<Map<string, string>> {
  const argv = ['docker', 'compose', ...actFlags(model.name, directory), '-f', '-', 'config', '--hash', '*']
  const env = withoutShell(model, process.env)
  const result = await exec(argv, { cwd: directory, env, input: modelText(model), timeout: 60_000 })
  if (result.code !== 0) throw composeError(result)
  const pairs = result.stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(pairs.flatMap(([service, hash]) => (service && hash ? [[service, hash]] : [])))
}

/** @returns flags for acting on a rendered model: no `.env` is read. */
export function actFlags(project: string, directory: string, progress: 'plain' | 'quiet' = 'plain'): string[] {
  return ['--progress', progress, '-p', project, '--project-directory', directory, '--env-file', '/dev/null']
}

/** @returns a model as a YAML file, for Compose or `docker stack deploy`: a literal `$` is written `$$`. Keys are not interpolated. */
export function modelText(model: object): string {
  const escaped = (_key: string, value: unknown) => (typeof value === 'string' ? value.replaceAll('$', '$$$$') : value)
  return `${escapeForYaml(JSON.stringify(model, escaped, 2))}\n`
}

/**
 * Compose prints every `$` of a model as `$$`, in paths and keys too, so that it can read the model again.
 * @returns a model as it is in memory, with single `$`
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
