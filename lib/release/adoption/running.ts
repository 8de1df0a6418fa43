import type { ComposeModel, Dependency, FileMount, Resource, Service } from '../../compose/model.ts'
import { modelProblem } from '../../compose/released/check.ts'
import { hooksOf } from '../../compose/released/hooks.ts'
import { classify, type Topology } from '../../compose/topology.ts'
import type { Docker } from '../../docker/client.ts'
import { listDefined } from '../../docker/containers.ts'
import { definitionOf, dependenciesOf } from '../../docker/definition/container.ts'
import type { Surroundings } from '../../docker/definition/surroundings.ts'
import { inspectImages } from '../../docker/image-store.ts'
import { type ReleasedImage, releasedImage } from '../../docker/images.ts'
import { type Container, type Image, isUp, type Json } from '../../docker/inspect.ts'
import { resourceKeys } from '../../plan/model.ts'
import { hasEnded } from '../../plan/services/ending.ts'
import type { Project } from '../../project/settings.ts'
import { bundleProblem } from '../../record/bundle/check.ts'

/** What runs of a Compose project on one host, as a release would have it. */
export interface RunningApp {
  readonly model: ComposeModel
  readonly images: Readonly<Record<string, ReleasedImage>>
  readonly topology: Topology
  readonly config_hashes: Readonly<Record<string, string>>
  readonly containers: readonly Container[]
  /** what Compose could not make again, each a sentence that begins with the service */
  readonly lost: readonly string[]
  /** services of which nothing is lost */
  readonly restorable: readonly string[]
  /** why it cannot be kept as a release; undefined: it can */
  readonly unkept: string | undefined
}

type Defined = Awaited<ReturnType<typeof listDefined>>[number]

/** Reads what runs from the engine alone: `docker inspect` says how each container was made. Changes nothing. */
export async function describeRunning(project: Project, docker: Docker): Promise<RunningApp> {
  const { name } = project.model
  const all = await listDefined(docker, name)
  const present = await inspectImages(docker, [...new Set(all.map(({ container }) => container.image))])
  const around = surroundingsOf(project, all)
  const groups = [...Map.groupBy(all, ({ container }) => container.service)]
  const known = groups.flatMap(([service, own]) => describeService(service, own, { project, present, around }) ?? [])
  const byService = <T>(read: (one: Known) => T | undefined) => {
    const entries = known.map((one) => [one.service, read(one)] as const)
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Record<string, T> // checked
  }
  const services = byService(({ definition }) => definition)
  const model = { name, services, ...resourcesOf(services, project) }
  const needs = byService(({ definition, depends_on }): Service => ({ ...definition, depends_on }))
  const facts = {
    images: byService(({ image }) => image),
    topology: classify({ ...model, services: needs }, jobsOf(project, all)),
    config_hashes: byService(({ hash }) => hash),
  }
  const restorable = known.flatMap(({ service, missing }) => (missing.length === 0 ? [service] : []))
  const lost = known.flatMap(({ service, missing, stopped }) =>
    [...missing, ...stopped].map((what) => `${service}: ${what}`),
  )
  const imageless = groups.map(([service]) => service).filter((service) => services[service] === undefined)
  return {
    model,
    ...facts,
    containers: all.map(({ container }) => container),
    lost,
    restorable,
    unkept: whyUnkept(model, facts, imageless),
  }
}

/** A service whose image the engine has. */
interface Known {
  readonly service: string
  readonly definition: Service
  readonly depends_on: Record<string, Dependency>
  readonly image: ReleasedImage
  /** undefined: its containers have several */
  readonly hash: string | undefined
  /** what is lost of its definition */
  readonly missing: readonly string[]
  readonly stopped: readonly string[]
}

interface Scene {
  readonly project: Project
  readonly present: ReadonlyMap<string, Image>
  readonly around: Surroundings
}

function describeService(
  service: string,
  own: readonly Defined[],
  { project, present, around }: Scene,
): Known | undefined {
  const one = own.find(({ container }) => isUp(container)) ?? own[0]
  const found = one && present.get(one.container.image)
  if (one === undefined || found === undefined) return undefined
  const name = one.json.at('Config', 'Image').string() || found.id
  const image = releasedImage(found, { name, project: project.model.name, service, built: false })
  const { service: parts, lost } = definitionOf(one.json, found, around)
  const [hash, ...others] = new Set(own.map(({ container }) => container.configHash))
  return {
    ...{ service, image, hash: others.length === 0 ? hash : undefined },
    definition: { image: image.reference, ...parts, ...(own.length === 1 ? {} : { scale: own.length }) },
    depends_on: dependenciesOf(one.json),
    missing: [...differing(own, one), ...lost, ...unseen(service, project)],
    stopped: stopped(own, one),
  }
}

/** @returns why what runs cannot be kept: also names that only somebody who means harm gives */
function whyUnkept(
  model: ComposeModel,
  facts: Pick<RunningApp, 'images' | 'topology' | 'config_hashes'>,
  imageless: readonly string[],
): string | undefined {
  if (imageless.length > 0) return `the engine does not have the image of ${imageless.join(', ')} any more`
  const wrong = modelProblem(model)
  if (wrong !== undefined) return `${wrong.at} ${wrong.is}`
  const rest = { id: 'x', environment: '', version: '', commit_sha: '', phases: {}, content: [] }
  return bundleProblem({ ...rest, project: model.name, ...facts }, 'x')
}

/**
 * What the engine does not know of: hooks, and the configs and secrets without a file that Compose writes into the container.
 */
function unseen(service: string, { model }: Project): string[] {
  const definition = model.services[service] ?? {}
  const { configs = [], secrets = [] } = definition
  const named = (kind: 'configs' | 'secrets', files: readonly FileMount[]) =>
    files.flatMap(({ source }) => {
      const { content, environment } = model[kind]?.[source] ?? {}
      return content === undefined && environment === undefined ? [] : [source]
    })
  const all = [...hooksOf(definition), ...named('configs', configs), ...named('secrets', secrets)]
  return all.length === 0
    ? []
    : [
        `only the Compose file has ${all.join(', ')}, which a rollback restores only if it was started from the Compose file as it is now`,
      ]
}

/** Each container of a service is made from the same definition. */
function differing(own: readonly Defined[], { container: one }: Defined): string[] {
  const differs = own.some(({ container }) => container.configHash !== one.configHash || container.image !== one.image)
  return differs ? [`its containers differ; all of them get the definition of ${one.name}`] : []
}

function stopped(own: readonly Defined[], one: Defined): string[] {
  const down = own.flatMap(({ container }) => (isUp(container) ? [] : [container]))
  if (down.length === 0 || (hasEnded(down) && endsByItself(one.json))) return []
  return [`${down.map(({ name }) => name).join(', ')} does not run; a rollback starts it`]
}

/** One that has ended with 0, and may, is a job: a rollback leaves it alone. */
function jobsOf({ topology }: Project, all: readonly Defined[]): string[] {
  const services = [...Map.groupBy(all, ({ container }) => container.service)]
  const ended = services.filter(
    ([, own]) => hasEnded(own.map(({ container }) => container)) && own.every(({ json }) => endsByItself(json)),
  )
  return [...new Set([...topology.jobs, ...ended.map(([service]) => service)])]
}

function endsByItself(json: Json): boolean {
  return ['', 'no', 'on-failure'].includes(json.at('HostConfig', 'RestartPolicy', 'Name').string())
}

function surroundingsOf({ model }: Project, all: readonly Defined[]): Surroundings {
  const services = new Map(all.map(({ container }: { container: Container }) => [container.id, container.service]))
  const isCarried = (service: string, path: string) =>
    (model.services[service]?.volumes ?? []).some(
      ({ type, source, target }) => type === 'volume' && !source && target === path,
    )
  const keyOf = (kind: 'networks' | 'volumes', name: string) => keyIn(model, kind, name) ?? `${ADOPTED}${name}`
  return { project: model.name, services, isCarried, keyOf }
}

const ADOPTED = 'adopted-'

/** @returns the key that the Compose file has for a network or volume of the engine */
function keyIn(
  { name: project, ...model }: ComposeModel,
  kind: 'networks' | 'volumes',
  name: string,
): string | undefined {
  const found = Object.entries(model[kind] ?? {}).find(
    ([key, resource]) => (resource?.name ?? `${project}_${key}`) === name,
  )
  return found?.[0]
}

/**
 * What the Compose file has too is defined as there: Compose takes it for the same. The rest is external: it exists, and
 * Compose neither changes nor removes it.
 */
function resourcesOf(
  services: ComposeModel['services'],
  { model }: Project,
): Pick<ComposeModel, 'networks' | 'volumes'> {
  const used = (kind: 'networks' | 'volumes') => {
    const keys = [...new Set(Object.values(services).flatMap((service) => resourceKeys(service, kind)))]
    const own = keys.map((key): [string, Resource | null] => {
      if (key.startsWith(ADOPTED)) return [key, { name: key.slice(ADOPTED.length), external: true }]
      return [key, model[kind]?.[key] ?? null]
    })
    return own.length === 0 ? {} : { [kind]: Object.fromEntries(own) }
  }
  return { ...used('networks'), ...used('volumes') }
}
