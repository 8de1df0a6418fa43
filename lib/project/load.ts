import { basename, resolve } from 'node:path'
import { loadCompose } from '../compose/load.ts'
import type { ComposeModel, ComposeSource } from '../compose/model.ts'
import { type Config, type Environment, sharedInFile } from '../config/parse.ts'
import { devProject, earlierOnEngine, projectNameOf } from '../config/projects.ts'
import type { SecretSet } from '../secrets/mask.ts'
import type { Exec } from '../system/exec.ts'
import { namesUsed, readSources, withVariables } from './secrets/sources.ts'
import type { Settings } from './settings.ts'

/**
 * Loads the model under the Compose project's name (spec/core/config.md): `compose_project`; for `local` Compose's own name, unless
 * that is only the folder's and stagecraft.yml has one; `<project>-<env>` for the others.
 */
export async function loadNamed(
  exec: Exec,
  source: ComposeSource,
  config: Config,
  environment: Environment,
  warn: (message: string) => void,
): Promise<{ source: ComposeSource; model: ComposeModel }> {
  const load = async (project: string | undefined) => {
    const named = { ...source, project }
    return { source: named, model: await loadCompose(exec, named, warn) }
  }
  if (environment.compose_project !== undefined) return load(environment.compose_project)
  if (environment.name !== 'local' && config.project.name !== undefined)
    return load(`${config.project.name}-${environment.name}`)
  const warnings: string[] = []
  const found = await loadCompose(exec, source, (message) => warnings.push(message))
  const base = found.name === folderName(source.directory) ? (config.project.name ?? found.name) : found.name
  const name = environment.name === 'local' ? base : `${config.project.name ?? found.name}-${environment.name}`
  if (name !== found.name) return load(name)
  for (const message of warnings) warn(message)
  return { source: { ...source, project: name }, model: found }
}

/** Loads the model again as that of `stagecraft dev`. */
export async function asDev(
  exec: Exec,
  { source, model }: { source: ComposeSource; model: ComposeModel },
  warn: (message: string) => void,
) {
  const named = { ...source, project: devProject(model.name) }
  return { source: named, model: await loadCompose(exec, named, warn) }
}

/**
 * Reads the secrets that the Compose application or a database needs from their sources.
 * @returns values by variable @throws config (3) with every one that cannot be read
 */
export async function readNeeded(
  exec: Exec,
  source: ComposeSource,
  { config, environment, directory, host }: Settings,
  secrets: SecretSet | undefined,
): Promise<Record<string, string>> {
  const names = Object.keys(environment.secrets ?? {})
  if (names.length === 0) return {}
  const load = async (variables: Readonly<Record<string, string>>) =>
    (await loadNamed(withVariables(exec, variables), source, config, environment, () => {})).model
  const ofDatabases = Object.values(environment.databases ?? {}).map((database) => database.connection_env)
  const needed = names.filter((name) => ofDatabases.includes(name))
  const used = await namesUsed(names, load)
  return readSources(environment, [...used, ...needed], { exec: host.local, directory, secrets })
}

/**
 * Like refuseSharedName, for names that only Compose knows: `name:` in its file, or COMPOSE_PROJECT_NAME. Another environment whose
 * files cannot be read is no error here: the engine has recorded the owner (lib/project/ownership.ts).
 */
export async function refuseSharedModel(
  exec: Exec,
  source: ComposeSource,
  { config, environment, directory }: Pick<Settings, 'config' | 'environment' | 'directory'>,
  { name: project }: ComposeModel,
): Promise<void> {
  const { environments } = config
  const isOpen = (one: string) => projectNameOf(one, environments[one] ?? null, config.project.name) === undefined
  for (const other of earlierOnEngine(environments, environment.name)) {
    const settings = environments[other]
    if (settings === undefined || !(isOpen(other) || isOpen(environment.name))) continue
    const envFiles = settings.env_file.map((file) => resolve(directory, file))
    const named = { name: other, ...settings }
    const found = await loadNamed(exec, { ...source, envFiles }, config, named, () => {}).catch(() => undefined)
    if (found?.model.name === project) throw sharedInFile(config, project, [other, environment.name])
  }
}

/** @returns the project name that Compose derives from a folder (compose-go, NormalizeProjectName) */
export function folderName(directory: string): string {
  return basename(directory)
    .toLowerCase()
    .replaceAll(/[^-_a-z0-9]/g, '')
    .replace(/^[-_]+/, '')
}

/** @returns the variables that `environment:` of configs and secrets names */
export function environmentFiles(model: ComposeModel): string[] {
  const files = [...Object.values(model.configs ?? {}), ...Object.values(model.secrets ?? {})]
  return [...new Set(files.flatMap((file) => (file.environment === undefined ? [] : [file.environment])))].toSorted()
}
