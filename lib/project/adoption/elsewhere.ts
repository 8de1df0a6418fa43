import { projectNameOf } from '../../config/projects.ts'
import type { Docker } from '../../docker/client.ts'
import { listStarted, type Started } from '../../docker/containers.ts'
import { listVolumes } from '../../docker/volumes/commands.ts'
import { readOwners } from '../../hosts/owners.ts'
import { StagecraftError } from '../../util/errors.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import { folderName } from '../load.ts'
import { openReleaseDocker, type Session } from '../session.ts'
import type { Project } from '../settings.ts'
import { type Found, findSameApplication } from './same-application.ts'

/**
 * Refuses the first release of an environment if the application already runs under the name of another Compose project: all
 * would be created once more alongside it, with empty volumes. A `compose_project` in stagecraft.yml is the user's answer.
 * @param parts the project on each of its hosts
 * @throws config (3), with the line for stagecraft.yml
 */
export async function refuseRunningElsewhere(parts: readonly Project[], session: Session): Promise<void> {
  const [first] = parts
  if (first === undefined || first.environment.compose_project !== undefined) return
  const found = await mapConcurrently(parts, async (project) => lookOn(project, openReleaseDocker(project, session)))
  const at = found.findIndex((one) => one !== undefined)
  const [other, part] = [found[at], parts[at]]
  if (other && part) throw refusal(part, other)
}

/** Another Compose project that has the application, or that had it: then only its volumes are left. */
interface Elsewhere extends Found {
  readonly volumes: readonly string[]
}

async function lookOn(project: Project, docker: Docker): Promise<Elsewhere | undefined> {
  const { model, directory } = project
  const started = await listStarted(docker)
  if (started.some((one) => one.project === model.name)) return undefined // that is what is taken over
  const owners = await readOwners(docker)
  // A deploy of this environment that was refused may have recorded itself as the owner.
  const isOwned = (name: string) => owners.has(name) && owners.get(name)?.environment !== project.environment.name
  const strangers = started.filter((one) => !isOwned(one.project))
  const names = namesOf(project).filter((name) => name !== model.name && !isOwned(name))
  const [found] = findSameApplication({ directory, model, names }, strangers)
  const volumes = await volumesOf(found ? [found.project] : names, project, docker)
  const [left] = volumes
  if (found) return { ...found, volumes: volumes.map(({ name }) => name) }
  if (left === undefined) return undefined
  const own = volumes.filter((one) => one.project === left.project)
  return { project: left.project, containers: [], because: '', volumes: own.map(({ name }) => name) }
}

/** @returns the names that the Compose project may have had before there was a stagecraft.yml */
function namesOf({ config, directory, model }: Project): string[] {
  const environments = Object.keys(config.environments)
  const short = environments.flatMap((name) =>
    model.name.endsWith(`-${name}`) ? [model.name.slice(0, -1 - name.length)] : [],
  )
  return [...new Set([config.project.name ?? '', folderName(directory), ...short])].filter(Boolean)
}

/** @returns volumes of other Compose projects that the model has too, none of which exists under its own name */
async function volumesOf(projects: readonly string[], { model }: Project, docker: Docker) {
  const own = Object.entries(model.volumes ?? {}).flatMap(([key, volume]) =>
    volume?.external === true || (volume?.name ?? '') !== `${model.name}_${key}` ? [] : [key],
  )
  if (own.length === 0 || projects.length === 0) return []
  const labels = ['com.docker.compose.project', 'com.docker.compose.volume']
  const rows = await listVolumes(docker, 'com.docker.compose.volume', labels)
  const all = rows.map(([name = '', project = '', key = '']) => ({ name, project, key }))
  if (all.some(({ name }) => own.some((key) => name === `${model.name}_${key}`))) return []
  return all.filter(({ project, key }) => projects.includes(project) && own.includes(key))
}

function refusal(project: Project, found: Elsewhere): StagecraftError {
  const { environment, model, host } = project
  const where = host.isLocal ? '' : ` on ${host.name}`
  const { containers, because, volumes } = found
  const runs =
    containers.length === 0
      ? `the data of ${found.project}${where} would be left behind`
      : `it already runs${where} as ${found.project}`
  const names = containers.map(({ name }) => name).toSorted()
  const detail = [
    ...(names.length > 0 ? [`${because}: ${names.join(', ')}${startedFrom(containers, project)}`] : []),
    ...(volumes.length > 0 ? [`volumes with its data: ${volumes.toSorted().join(', ')}`] : []),
  ]
  return new StagecraftError('config', `Cannot deploy ${environment.name} as Compose project ${model.name}: ${runs}`, {
    detail: detail.join('\n'),
    hint: [
      ...takeOver(project, found.project),
      `To start another one with empty volumes: environments: {${environment.name}: {compose_project: ${model.name}}}`,
      'Nothing has been changed.',
    ].join('\n'),
  })
}

function startedFrom(containers: readonly Started[], { directory }: Project): string {
  const [folder, ...others] = new Set(containers.map((one) => one.folder))
  return folder && folder !== directory && others.length === 0 ? ` (from ${folder})` : ''
}

/** A Compose project belongs to one environment: one that would take it over under that name has to let it go. */
function takeOver({ config, environment, host }: Project, other: string): string[] {
  const line = `{compose_project: ${other}}`
  const holder = Object.entries(config.environments).find(([name, settings]) => {
    const isHere = host.isLocal && settings?.hosts === undefined
    const named = projectNameOf(name, settings, config.project.name) ?? config.project.name
    return name !== environment.name && isHere && named === other
  })?.[0]
  if (holder === undefined)
    return [`To take it over with its data, set in stagecraft.yml: environments: {${environment.name}: ${line}}`]
  return [
    `That is the Compose project of ${holder}. To take it over as ${holder}: stagecraft deploy --env ${holder}`,
    `To take it over as ${environment.name}: environments: {${environment.name}: ${line}, ${holder}: {compose_project: ${other}-${holder}}}`,
  ]
}
