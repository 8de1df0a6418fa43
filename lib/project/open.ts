import { realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { hasMissingOutside } from '../compose/bind-mounts.ts'
import { findLeaks } from '../compose/build-context.ts'
import { resolveVariables } from '../compose/load.ts'
import type { ComposeModel } from '../compose/model.ts'
import { renderAll } from '../compose/render.ts'
import { classify } from '../compose/topology.ts'
import { migrationJobs } from '../config/databases.ts'
import type { HostAddress } from '../config/host-address.ts'
import { type Config, type Environment, loadConfig, selectEnvironment, sharedInFile } from '../config/parse.ts'
import { earlierOnEngine, projectNameOf } from '../config/projects.ts'
import { isEngineElsewhere } from '../hosts/engine-place.ts'
import { type Host, localHost } from '../hosts/host.ts'
import type { RemotePlace } from '../hosts/ssh/host.ts'
import { stateFile, stateFileIn } from '../record/releases.ts'
import { namesOfModel } from '../secrets/find.ts'
import type { SecretSet } from '../secrets/mask.ts'
import { type Exec, exec as execHere } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { namesHint } from '../util/nearest.ts'
import { Problems } from '../util/problems.ts'
import { checkDatabases, secretsOfCommands } from './checks/databases.ts'
import { forbiddenIn, statesBelow } from './checks/forbidden.ts'
import { asScheduled, checkSchedules } from './checks/schedules.ts'
import { asSwarm, openSwarm, type SwarmAccess } from './engine/swarm.ts'
import { asDev, environmentFiles, loadNamed, readNeeded, refuseSharedModel } from './load.ts'
import { renderOptions } from './render-options.ts'
import { namesOfSettings, secretsOfProject, secretsOfSource } from './secrets/known.ts'
import { withVariables } from './secrets/sources.ts'
import type { Project, Settings } from './settings.ts'

export interface ProjectOptions {
  readonly directory: string
  readonly environment: string | undefined
  readonly stateOverride: string | undefined
  readonly warn: (message: string) => void
  /** gets the secrets before anything that was read is printed */
  readonly secrets?: SecretSet | undefined
  /** connects to a host */
  readonly openHost?: (place: RemotePlace, timeout: number) => Promise<Host>
  readonly openSwarm?: SwarmAccess['openSwarm']
  readonly onSwarm?: SwarmAccess['onSwarm']
  /** only the state is needed: connect only to the first host */
  readonly firstOnly?: boolean
  /** for `stagecraft dev`: the environment's model on this machine's engine, as a Compose project of its own */
  readonly dev?: boolean
  /** called for a host, not the first, that cannot be used, and leaves it out; default: its error is thrown */
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
  const known = [...secretsOfSource({ directory, files, envFiles }), ...secretsOfCommands(environment)]
  options.secrets?.add(known)
  options.secrets?.addNames(namesOfSettings(settings))
  const values = await readNeeded(exec, { directory, files, envFiles }, settings, options.secrets)
  known.push(...Object.values(values))
  const execWith = withVariables(exec, values)
  const load = (warn: (message: string) => void) =>
    loadNamed(execWith, { directory, files, envFiles }, config, environment, warn)
  const { source, model: written } = options.dev
    ? await asDev(execWith, await load(() => {}), options.warn)
    : await load(options.warn)
  await refuseSharedModel(exec, { directory, files, envFiles }, settings, written)
  const problems = new Problems()
  problems.try(() => refuseUnknownServices(environment, written))
  checkSchedules(environment, written, problems)
  const isSwarm = environment.engine === 'swarm'
  const scheduled = asScheduled(written, environment)
  const model = isSwarm ? asSwarm(scheduled, directory, problems, options.warn) : scheduled
  await checkDatabases(exec, environment, model, directory).catch((error: unknown) => problems.add(error))
  for (const leak of findLeaks(model, forbiddenIn(stateFile(directory), state), statesBelow)) problems.add(leak)
  const variables = await resolveVariables(execWith, source, environmentFiles(model))
  const secrets = [...new Set([...known, ...secretsOfProject(model, variables)])]
  options.secrets?.add(secrets)
  options.secrets?.addNames(namesOfModel(model))
  const jobs = [
    ...Object.keys(environment.services).filter((name) => environment.services[name]?.job),
    ...migrationJobs(environment),
  ]
  const project = {
    ...settings,
    values,
    source,
    model,
    topology: classify(model, jobs),
    variables,
    data: environment.data.map((path) => resolve(directory, path)),
    secrets,
    elsewhere: isSwarm || (host.isLocal && hasMissingOutside(model, directory) && (await isEngineElsewhere(exec))),
  }
  // Report all problems of the files at once, also those that a release would find later.
  if (problems.found.length > 0) renderAll(model, renderOptions(project, false), problems)
  problems.refuse()
  return project
}

/** Reads stagecraft.yml of a project folder. @throws config (3), not-found (4) for the environment */
export async function openSettings(options: Omit<ProjectOptions, 'warn'>): Promise<Settings> {
  const directory = realpathSync(options.directory)
  const config = await loadConfig(directory)
  const chosen = selectEnvironment(config, options.environment)
  const environment = options.dev ? onThisEngine(chosen) : chosen
  refuseSharedName(config, environment)
  const [host, ...others] =
    environment.engine === 'swarm'
      ? [await openSwarm(config, environment, options, environment.connect_timeout ?? CONNECT_TIMEOUT)]
      : await openHosts(directory, config, environment, options)
  return { directory, config, environment, host, hosts: [host, ...others], stateFile: host.stateFile }
}

/** Milliseconds to wait for a connection, unless stagecraft.yml sets `connect_timeout`. */
export const CONNECT_TIMEOUT = 10_000

async function openHosts(
  directory: string,
  { project }: Config,
  { name, hosts = [], root, connect_timeout: timeout = CONNECT_TIMEOUT }: Environment,
  { stateOverride, openHost, firstOnly, onUnusable }: Omit<ProjectOptions, 'warn'>,
): Promise<[Host, ...Host[]]> {
  const [first, ...others] = hosts
  if (first === undefined && (root === undefined || stateOverride !== undefined))
    return [localHost(execHere, stateFile(directory, stateOverride))]
  if (project.name === undefined)
    throw new StagecraftError(
      'config',
      `Cannot use the ${first ? 'hosts' : 'root'} of ${name}: the project has no name`,
      {
        hint: 'Add `project: {name: …}` to stagecraft.yml: its releases are kept under that name.',
      },
    )
  if (first === undefined) return [localHost(execHere, stateFileIn(join(root ?? '', project.name, name)))]
  if (stateOverride !== undefined)
    throw new StagecraftError('usage', `Cannot use another state file for ${name}: its state is on ${first.written}`, {
      hint: 'Leave --state (STAGECRAFT_STATE_FILE) out. `root:` in stagecraft.yml sets its place there.',
    })
  if (openHost === undefined) throw new StagecraftError('bug', `Cannot connect to ${first.written} from here`)
  const place = { root, project: project.name, environment: name }
  const open = (host: HostAddress) => openHost({ ...place, host }, timeout)
  const openOther = async (host: HostAddress) => {
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
  // Connects to all at once, and reports what one of them lacks once all have answered.
  const opened = await mapConcurrently(firstOnly ? [first] : [first, ...others], (host) =>
    host === first ? open(host).then((one) => [one]) : openOther(host),
  )
  const [head, ...rest] = opened.flat()
  if (head === undefined) throw new StagecraftError('bug', `Cannot connect to ${first.written}: it was not tried`)
  return [head, ...rest]
}

function onThisEngine({ engine: _e, hosts: _, root: _r, ...environment }: Environment): Environment {
  return environment
}

/** @throws config (3) if stagecraft.yml alone shows that another environment on the engine has the same Compose project */
function refuseSharedName(config: Config, { name }: Environment): void {
  const { environments, project } = config
  const nameOf = (one: string) => projectNameOf(one, environments[one] ?? null, project.name)
  const own = nameOf(name)
  const first = own && earlierOnEngine(environments, name).find((other) => nameOf(other) === own)
  if (own && first) throw sharedInFile(config, own, [first, name])
}

function refuseUnknownServices(environment: Environment, model: ComposeModel): void {
  const names = Object.keys(model.services).toSorted()
  const ofDatabases = Object.entries(environment.databases ?? {}).flatMap(([name, database]) => {
    const { via, migrations } = database
    const service = 'service' in migrations ? migrations.service : via
    return service === undefined ? [] : [[service, `use service ${service} for database ${name}`] as const]
  })
  const configured = Object.keys(environment.services).map((name) => [name, `configure service ${name}`] as const)
  for (const [service, what] of [...configured, ...ofDatabases])
    if (!names.includes(service))
      throw new StagecraftError('config', `Cannot ${what}: the Compose file has no such service`, {
        hint: `${namesHint('Services', service, names)}. One with \`profiles:\` counts only while its profile is active (COMPOSE_PROFILES).`,
      })
}
