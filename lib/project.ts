import { realpathSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { hasMissingOutside } from './bind-mounts.ts'
import { refuseLeakyContexts } from './build-context.ts'
import { type ComposeModel, type ComposeSource, loadCompose, resolveVariables } from './compose.ts'
import { type Config, type Environment, loadConfig, selectEnvironment, sharedInFile } from './config.ts'
import { earlierOnEngine, projectNameOf } from './config-projects.ts'
import { isEngineElsewhere } from './engine-place.ts'
import { StagecraftError } from './errors.ts'
import { type Exec, exec as execHere } from './exec.ts'
import { forbiddenIn } from './forbidden.ts'
import { type Host, localHost } from './host.ts'
import { type HostName, parseHostName } from './host-name.ts'
import { namesOfSettings, secretsOfProject, secretsOfSource } from './known-secrets.ts'
import type { SecretSet } from './mask.ts'
import { onEach } from './on-each.ts'
import { Problems } from './problems.ts'
import type { RemotePlace } from './remote-host.ts'
import { renderAll } from './render.ts'
import { renderOptions } from './render-options.ts'
import { namesOfModel } from './secrets.ts'
import { classify, type Topology } from './services.ts'
import { stateFile, stateFileIn } from './state.ts'

/** A project folder and the environment that a command is about, without its Compose file. Paths are absolute. */
export interface Settings {
  /** the first host of the environment: it has the state. Or this machine */
  readonly host: Host
  /** all of them, the first first */
  readonly hosts: readonly Host[]
  readonly directory: string
  readonly config: Config
  readonly environment: Environment
  readonly stateFile: string
}

/** One Compose application and the environment that a command is about. */
export interface Project extends Settings {
  readonly source: ComposeSource
  /** as the Compose file says now */
  readonly model: ComposeModel
  readonly topology: Topology
  /** values of the `environment:` configs and secrets, by variable */
  readonly variables: Readonly<Record<string, string>>
  /** paths that are never content */
  readonly data: readonly string[]
  /** everything that must not be shown */
  readonly secrets: readonly string[]
  /** the engine is on another machine than this, though no host is named (DOCKER_HOST, a context) */
  readonly elsewhere?: boolean
}

export interface ProjectOptions {
  readonly directory: string
  readonly environment: string | undefined
  readonly stateOverride: string | undefined
  readonly warn: (message: string) => void
  /** learns what is secret, before anything that was read is said */
  readonly secrets?: SecretSet | undefined
  /** connects to a host of an environment that is not this machine's */
  readonly openHost?: (place: RemotePlace, timeout: number) => Promise<Host>
  /** the state is all that is asked for: only the first host is connected to */
  readonly firstOnly?: boolean
  /** told of a host, not the first, that cannot be used, which is left out then; default: nothing can be done without it */
  readonly onUnusable?: (host: string, error: StagecraftError) => void
}

/**
 * Reads stagecraft.yml and the Compose files of a project folder.
 * @throws config (3), not-found (4) for the environment, unreachable (8) without docker compose
 */
export async function openProject(exec: Exec, options: ProjectOptions): Promise<Project> {
  const settings = await openSettings(options)
  const { directory, config, environment, host, stateFile: state } = settings
  const files = config.compose.map((file) => resolve(directory, file))
  const envFiles = environment.env_file.map((file) => resolve(directory, file))
  const ofFiles = secretsOfSource({ directory, files, envFiles })
  options.secrets?.add(ofFiles)
  options.secrets?.addNames(namesOfSettings(settings))
  const { source, model } = await loadNamed(exec, { directory, files, envFiles }, config, environment, options.warn)
  await refuseSharedModel(exec, { directory, files, envFiles }, settings, model)
  const problems = new Problems()
  problems.try(() => refuseUnknownServices(environment, model))
  problems.try(() => refuseLeakyContexts(model, forbiddenIn(stateFile(directory), state)))
  const variables = await resolveVariables(exec, source, environmentFiles(model))
  const secrets = [...new Set([...ofFiles, ...secretsOfProject(model, variables)])]
  options.secrets?.add(secrets)
  options.secrets?.addNames(namesOfModel(model))
  const jobs = Object.keys(environment.services).filter((name) => environment.services[name]?.job)
  const project = {
    ...settings,
    source,
    model,
    topology: classify(model, jobs),
    variables,
    data: environment.data.map((path) => resolve(directory, path)),
    secrets,
    elsewhere: host.name === undefined && hasMissingOutside(model, directory) && (await isEngineElsewhere(exec)),
  }
  // What a release would refuse besides is said with it: nobody corrects a file twice.
  if (problems.found.length > 0) renderAll(model, renderOptions(project, false), problems)
  problems.refuse()
  return project
}

/** Reads stagecraft.yml of a project folder. @throws config (3), not-found (4) for the environment */
export async function openSettings(options: Omit<ProjectOptions, 'warn'>): Promise<Settings> {
  const directory = realpathSync(options.directory)
  const config = await loadConfig(directory)
  const environment = selectEnvironment(config, options.environment)
  refuseSharedName(config, environment)
  const [host, ...others] = await openHosts(directory, config, environment, options)
  return { directory, config, environment, host, hosts: [host, ...others], stateFile: host.stateFile }
}

/** Milliseconds for a connection to come about, unless stagecraft.yml says otherwise. */
export const CONNECT_TIMEOUT = 10_000

async function openHosts(
  directory: string,
  { project }: Config,
  { name, hosts = [], root, connect_timeout: timeout = CONNECT_TIMEOUT }: Environment,
  { stateOverride, openHost, firstOnly, onUnusable }: Omit<ProjectOptions, 'warn'>,
): Promise<[Host, ...Host[]]> {
  const [first, ...others] = hosts.flatMap((text) => parseHostName(text) ?? [])
  if (first === undefined && (root === undefined || stateOverride !== undefined))
    return [localHost(execHere, stateFile(directory, stateOverride))]
  if (project.name === undefined)
    throw new StagecraftError(
      'config',
      `Cannot use the ${first ? 'hosts' : 'root'} of ${name}: the project has no name`,
      {
        hint: 'Add `project: {name: …}` to stagecraft.yml: what is kept of it stands under that name.',
      },
    )
  if (first === undefined) return [localHost(execHere, stateFileIn(join(root ?? '', project.name, name)))]
  if (stateOverride !== undefined)
    throw new StagecraftError('usage', `Cannot use another state file for ${name}: its state is on ${first.written}`, {
      hint: 'Leave --state (STAGECRAFT_STATE_FILE) out. `root:` in stagecraft.yml says where it is there.',
    })
  if (openHost === undefined) throw new StagecraftError('bug', `Cannot connect to ${first.written} from here`)
  const place = { root, project: project.name, environment: name }
  const open = (host: HostName) => openHost({ ...place, host }, timeout)
  const openOther = async (host: HostName) => {
    if (onUnusable === undefined) return [await open(host)]
    return open(host).then(
      (opened) => [opened],
      (error: unknown) => {
        if (!(error instanceof StagecraftError)) throw error
        onUnusable(host.written, error)
        return []
      },
    )
  }
  // All are connected to at once, and what one of them lacks is told once the others have been heard.
  const opened = await onEach(firstOnly ? [first] : [first, ...others], (host) =>
    host === first ? open(host).then((one) => [one]) : openOther(host),
  )
  const [head, ...rest] = opened.flat()
  if (head === undefined) throw new StagecraftError('bug', `Cannot connect to ${first.written}: it was not tried`)
  return [head, ...rest]
}

/**
 * The Compose project's name (design 5): `compose_project`; for `local` what Compose says, unless that is only the
 * folder's name and stagecraft.yml has one; `<project>-<env>` for the others.
 */
async function loadNamed(
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

/** As far as stagecraft.yml alone says it. @throws config (3) for the Compose project of another environment on the same engine */
function refuseSharedName(config: Config, { name }: Environment): void {
  const { environments, project } = config
  const nameOf = (one: string) => projectNameOf(one, environments[one] ?? null, project.name)
  const own = nameOf(name)
  const first = own && earlierOnEngine(environments, name).find((other) => nameOf(other) === own)
  if (own && first) throw sharedInFile(config, own, [first, name])
}

/**
 * The same with what only the Compose file says: `name:` in it, or COMPOSE_PROJECT_NAME. What cannot be read of another
 * environment is not this one's error: the engine knows whose the project is (lib/ownership.ts).
 */
async function refuseSharedModel(
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

/** As Compose makes a project name of a folder (compose-go, NormalizeProjectName). */
function folderName(directory: string): string {
  return basename(directory)
    .toLowerCase()
    .replaceAll(/[^-_a-z0-9]/g, '')
    .replace(/^[-_]+/, '')
}

function environmentFiles(model: ComposeModel): string[] {
  const files = [...Object.values(model.configs ?? {}), ...Object.values(model.secrets ?? {})]
  return [...new Set(files.flatMap((file) => (file.environment === undefined ? [] : [file.environment])))].toSorted()
}

function refuseUnknownServices(environment: Environment, model: ComposeModel): void {
  const names = Object.keys(model.services).toSorted()
  for (const service of Object.keys(environment.services))
    if (!names.includes(service))
      throw new StagecraftError('config', `Cannot configure service ${service}: the Compose file has no such service`, {
        hint: `Services: ${names.join(', ')}.`,
      })
}
