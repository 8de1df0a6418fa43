import type { ServingRelease } from './bundle.ts'
import { sameContent } from './canonical.ts'
import { type ComposeModel, configHashes, type FileResource, type Service } from './compose.ts'
import { storeText } from './content.ts'
import {
  type Container,
  type Docker,
  type Image,
  inspectImages,
  listContainers,
  type ProxyContainer,
} from './docker.ts'
import { withEndedJobs } from './ending.ts'
import type { Exec } from './exec.ts'
import { contentStore } from './host.ts'
import { type BuildTarget, imageNames, type ReleasedImage, releasedImage } from './images.ts'
import { listListeners } from './listeners.ts'
import { refuseObstacles } from './obstacles.ts'
import { isNothingToDo, makePlan, type Plan, type PlanInput } from './plan.ts'
import { routedBefore } from './plan-routes.ts'
import type { Project } from './project.ts'
import { readProxyIfUp } from './proxy.ts'
import { findProxy, outdated } from './proxy-life.ts'
import { remembered, withRemembered } from './remembered.ts'
import { type Rendering, withoutBuildAndOrder } from './render.ts'
import { refuseTakenRoutes } from './route-conflicts.ts'
import { exposedServices, type Routed, routesOf } from './routes.ts'
import { isPlugged } from './routing.ts'
import { NAMESPACES, namespaceOwner } from './services.ts'
import { refuseSharedNames } from './shared-names.ts'
import type { PhaseName } from './state.ts'

/** What a plan is made from, before anything has been asked of the engine. */
export interface PlanningInput {
  readonly project: Project
  readonly rendering: Rendering
  readonly targets: readonly BuildTarget[]
  readonly version: string
  readonly serving: ServingRelease | undefined
  readonly exec: Exec
  readonly docker: Docker
  /** the engine's images by name, as far as they are final: what is still to be built is left out */
  readonly images: ReadonlyMap<string, Image>
  /** a rollback: the images of its target, by service */
  readonly released?: Readonly<Record<string, ReleasedImage>> | undefined
}

export interface Planning {
  readonly plan: Plan
  readonly input: PlanInput
  /** what the project's containers were when the plan was made */
  readonly containers: readonly Container[]
}

/** Looks at what runs and decides what to do: the same for `plan`, `--dry-run` and the real thing. */
export async function planRollout(options: PlanningInput): Promise<Planning> {
  const { project, rendering, targets, version, serving } = options
  const lookFurther = async () => {
    const container = await findProxy(options.docker)
    const seen = await lookAtProxy(options, container)
    await refuseNamesOfOthers(options, container)
    return seen
  }
  const [containers, seen] = await Promise.all([listContainers(options.docker, rendering.model.name), lookFurther()])
  const adoption = serving || containers.length === 0 ? undefined : await observeAdoption(options, containers)
  const input: PlanInput = {
    ...(project.hosts.length > 1 ? { host: project.host.name ?? '' } : {}),
    environment: project.environment,
    version,
    target: rendering,
    topology: withEndedJobs(project.topology, rendering.model, { serving, containers }),
    images: options.released ?? releasedImages(options, adoption?.running ?? new Map(), containers),
    serving,
    containers,
    adoptable: adoption?.adoptable ?? {},
    remembered: adoption ? Object.keys(remembered(project.stateFile, containers).services) : [],
    ...withReach(seen, containers, routedBefore(options), rendering.model.name),
    rollback: options.released !== undefined,
    phases: options.released ? ROLLBACK_PHASES : describePhases(project, targets),
  }
  const plan = makePlan(input)
  const listen = () => listListeners(project.host, options.exec)
  if (!isNothingToDo(plan)) await refuseObstacles(plan, rendering.model, options.docker, listen)
  return { plan, input, containers }
}

/** The host's proxy, where something is or was routed. @throws config (3) for a route that another project has */
async function lookAtProxy(
  options: PlanningInput,
  container: ProxyContainer | undefined,
): Promise<Pick<PlanInput, 'proxy' | 'routed'>> {
  const { project, docker, serving } = options
  const { services, proxy: wanted } = project.environment
  const known = routedBefore(options)
  const isConcerned = exposedServices(services).length > 0 || known.routes.length > 0
  if (!isConcerned || container === undefined) return { proxy: undefined }
  const proxy = { ...container, outdated: outdated(container, wanted?.image), lost: false }
  if (container.state !== 'running') return { proxy }
  const state = await readProxyIfUp(docker)
  if (state === undefined) return { proxy: { ...proxy, state: 'exited' } } // a moment ago: whoever needs it looks again
  const { name } = project.model
  const slots = Object.fromEntries(exposedServices(services).map(([service]) => [service, 'a'] as const))
  const { projects, live } = state
  refuseTakenRoutes(name, routesOf(services, project.model, { slots, before: [] }), projects)
  const routed = { routes: projects[name] ?? [], slots: live[name] ?? {} }
  // Where no release is known to serve, it serves what it serves: that is not taken away before there is something else.
  return serving ? { proxy: { ...proxy, lost: !sameContent(routed, known) } } : { proxy, routed }
}

/** Also of a project that routes nothing: another one may be on its networks. */
async function refuseNamesOfOthers(
  { project, docker }: PlanningInput,
  proxy: ProxyContainer | undefined,
): Promise<void> {
  const { model, environment } = project
  const routesOfAll = async () => (proxy ? ((await readProxyIfUp(docker))?.projects ?? {}) : {})
  await refuseSharedNames({ docker, model, services: environment.services, proxy, routesOfAll })
}

/** A proxy that does not reach what is live is repaired before anything is built on it. */
function withReach(
  seen: Pick<PlanInput, 'proxy' | 'routed'>,
  containers: readonly Container[],
  live: Routed,
  name: string,
): Pick<PlanInput, 'proxy' | 'routed'> {
  if (seen.proxy === undefined || live.routes.length === 0 || isPlugged(seen.proxy, containers, name, live)) return seen
  return { ...seen, proxy: { ...seen.proxy, lost: true } }
}

const ROLLBACK_PHASES: Readonly<Record<PhaseName, string>> = {
  build: 'nothing is built: the images are there',
  push: 'nothing: the engine has the images',
  migrate_pre: 'nothing: databases are not rolled back',
  rollout: 'as follows',
  migrate_post: 'nothing: databases are not rolled back',
  finalize: 'check that what runs is what was released, and prune',
}

/** What each phase will do, in one line. */
function describePhases(project: Project, targets: readonly BuildTarget[]): Record<PhaseName, string> {
  const names = targets.map(({ service }) => service).join(', ')
  return {
    build: targets.length === 0 ? NOTHING_BUILT : `build ${names}`,
    push: describePush(project, names),
    migrate_pre: 'nothing: no databases are configured',
    rollout: 'as follows',
    migrate_post: 'nothing: no databases are configured',
    finalize: 'check that what runs is what was released, and prune',
  }
}

const NOTHING_BUILT = 'nothing: no service has a build section'

/** @param names of the services that are built, or nothing */
function describePush({ config, host }: Project, names: string): string {
  const { registry } = config.project
  if (names !== '' && registry !== undefined) return `push ${names} to ${registry}`
  if (host.name === undefined) return 'nothing: the engine that builds the images runs them'
  return names === '' ? NOTHING_BUILT : `send ${names} to ${host.name}`
}

/** Containers that Compose started by hand: what their labels would say if the Compose file is still as it was. */
async function observeAdoption(options: PlanningInput, containers: readonly Container[]) {
  const { project, exec, docker } = options
  const model = withOwners(project.model, containers)
  const hashes = await Promise.all(
    [model, withoutOrder(model)].map((model) => configHashes(exec, model, project.directory)),
  )
  const adoptable: Record<string, string[]> = {}
  for (const service of Object.keys(project.model.services))
    adoptable[service] = hashes.flatMap((found) => found.get(service) ?? [])
  const running = await inspectImages(docker, [...new Set(containers.map(({ image }) => image))])
  return { adoptable, running }
}

/** Compose hashes `network_mode: service:x` as the id of the container that it comes to. */
function withOwners(model: ComposeModel, containers: readonly Container[]): ComposeModel {
  const services = Object.entries(model.services).map(([name, service]) => {
    const modes = NAMESPACES.flatMap((key) => {
      const owner = namespaceOwner(service[key])
      const id = containers.find((container) => container.service === owner)?.id
      return owner === undefined || id === undefined ? [] : [[key, `container:${id}`]]
    })
    return [name, { ...service, ...Object.fromEntries(modes) }] as const
  })
  return { ...model, services: Object.fromEntries(services) }
}

/** `build` is not part of the hash, but Compose refuses a service that has neither it nor an image. */
function withoutOrder(model: ComposeModel): ComposeModel {
  const reduced = withoutBuildAndOrder(model)
  const services = Object.entries(reduced.services).map(([name, service]) => {
    const build = model.services[name]?.build
    return [name, service.image === undefined && build ? { ...service, build } : service] as const
  })
  return { ...reduced, services: Object.fromEntries(services) }
}

/** @returns the image of each service as the release records it; of equal ones, the one that already runs. */
function releasedImages(
  { project, targets, images }: PlanningInput,
  running: ReadonlyMap<string, Image>,
  containers: readonly Container[],
): Record<string, ReleasedImage> {
  const found: Record<string, ReleasedImage> = {}
  for (const [service, name] of imageNames(project.model, targets)) {
    const image = images.get(name)
    if (image === undefined) continue
    const built = targets.some(({ versionTag }) => versionTag === name)
    const facts = { name, project: project.model.name, service, built }
    const mine = releasedImage(image, facts)
    const runs = running.get(containers.find((container) => container.service === service)?.image ?? '')
    const adopted = runs && releasedImage(runs, facts)
    found[service] = adopted?.fingerprint === mine.fingerprint ? adopted : mine
  }
  return found
}

/** Makes a model that runs what is running now, for the services whose definition is known: to put them back. */
export function adoptedModel(project: Project, { input, containers }: Planning): ComposeModel | undefined {
  const reduced = withoutBuildAndOrder(project.model)
  const kept = remembered(project.stateFile, containers)
  const known: Record<string, Service> = { ...kept.services }
  for (const [service, definition] of Object.entries(reduced.services)) {
    const own = containers.filter((container) => container.service === service)
    const image = own[0]?.image
    if (image && own.every(({ configHash }) => input.adoptable[service]?.includes(configHash)))
      known[service] = { ...definition, image }
  }
  if (Object.keys(known).length === 0) return undefined
  const files = (kind: 'configs' | 'secrets') => (reduced[kind] ? { [kind]: filesOf(reduced[kind], project) } : {})
  return withRemembered({ ...reduced, services: known, ...files('configs'), ...files('secrets') }, kept)
}

/** Compose acts on the model without the environment that `environment:` files come from: their values become files. */
function filesOf(resources: Readonly<Record<string, FileResource>>, project: Project): Record<string, FileResource> {
  const store = contentStore(project.host, true)
  const entries = Object.entries(resources).map(([key, { environment, ...rest }]) => {
    if (environment === undefined) return [key, rest] as const
    return [key, { ...rest, file: storeText(store, project.variables[environment] ?? '', 0o444).path }] as const
  })
  return Object.fromEntries(entries)
}
