import { dirname } from 'node:path'
import type { ComposeModel } from '../../compose/model.ts'
import { isDevProject } from '../../config/projects.ts'
import type { Started } from '../../docker/containers.ts'

/** The application that is to be deployed. */
interface Wanted {
  /** the project folder, absolute */
  readonly directory: string
  readonly model: ComposeModel
  /** names that docker compose, or another environment, may have given its Compose project */
  readonly names: readonly string[]
}

/** A Compose project that seems to be the application that is to be deployed, under another name. */
export interface Found {
  readonly project: string
  readonly containers: readonly Started[]
  /** `started from this folder` */
  readonly because: string
}

/** @param started all containers of the engine that Compose made @returns other Compose projects that are this application */
export function findSameApplication(wanted: Wanted, started: readonly Started[]): Found[] {
  const projects = Map.groupBy(started, ({ project }) => project)
  return [...projects].flatMap(([project, containers]) => {
    if (project === wanted.model.name || isDevProject(project) || !PROJECT.test(project) || containers.some(isReleased))
      return []
    const because = evidence(wanted, project, containers)
    return because === undefined ? [] : [{ project, containers, because }]
  })
}

const PROJECT = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** @returns whether a release of Stagecraft made a container */
function isReleased({ files }: Started): boolean {
  return files.some((file) => /\/releases\/rel-[^/]+\//.test(file))
}

function evidence(wanted: Wanted, project: string, containers: readonly Started[]): string | undefined {
  const own = Object.keys(wanted.model.services)
  const names = new Set(containers.map(({ service }) => service))
  if (!own.some((name) => names.has(name))) return undefined
  const { directory } = wanted
  const isHere = ({ folder, files }: Started) =>
    folder === directory || files.some((file) => dirname(file) === directory)
  if (containers.some(isHere)) return 'it was started from this folder'
  if (![...names].every((name) => own.includes(name))) return undefined
  if (wanted.names.includes(project)) return 'it has this name and these services'
  const isWhole = own.every((name) => names.has(name))
  if (!isWhole || !containers.every((one) => hasSameImage(wanted.model, project, one))) return undefined
  if (hasSamePorts(wanted.model, containers)) return 'it has the same services, images and ports'
  const isOwn = ({ service }: Started) => wanted.model.services[service]?.image?.includes('/') === true
  return containers.some(isOwn) ? 'it has the same services and images' : undefined
}

function hasSameImage({ services }: ComposeModel, project: string, { service, image }: Started): boolean {
  const { image: wanted, build } = services[service] ?? {}
  if (wanted !== undefined) return withoutTag(wanted) === withoutTag(image)
  return build != null && [`${project}-${service}`, `${project}_${service}`].includes(withoutTag(image))
}

function withoutTag(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
}

/** @returns whether the same ports of the host are published, at least one. Stopped containers publish none. */
function hasSamePorts({ services }: ComposeModel, containers: readonly Started[]): boolean {
  const published = Object.values(services).flatMap(({ ports = [] }) =>
    ports.flatMap(({ published: port, protocol = 'tcp' }) => (port ? [`${port}/${protocol}`] : [])),
  )
  const taken = new Set(containers.flatMap(({ ports }) => ports.map(({ port }) => port)))
  return published.length > 0 && new Set(published).size === taken.size && published.every((port) => taken.has(port))
}
