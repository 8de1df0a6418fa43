import { storeText } from '../../compose/content-store.ts'
import { configHashes } from '../../compose/load.ts'
import type { ComposeModel, FileResource, Service } from '../../compose/model.ts'
import { refuseOldCompose } from '../../compose/released/hooks.ts'
import { withoutBuildAndOrder, withoutOrder } from '../../compose/render.ts'
import type { Rendering } from '../../compose/rendering.ts'
import { NAMESPACES, namespaceOwner } from '../../compose/topology.ts'
import type { Docker, Image } from '../../docker/client.ts'
import { listContainers } from '../../docker/containers.ts'
import { inspectImages } from '../../docker/image-store.ts'
import { type ReleasedImage, releasedImage } from '../../docker/images.ts'
import type { Container, ProxyContainer } from '../../docker/inspect.ts'
import { contentStore } from '../../hosts/host.ts'
import { listListeners } from '../../hosts/listeners.ts'
import { requireScheduler } from '../../hosts/schedules/host.ts'
import type { Plan, PlanInput } from '../../plan/input.ts'
import { hasLoose, makePlan } from '../../plan/make.ts'
import { acmeOf, changesRoutes, routedBefore } from '../../plan/routes/change.ts'
import { refuseTakenRoutes } from '../../plan/routes/conflicts.ts'
import { exposedServices, type RoutingTable, routesOf } from '../../plan/routes/table.ts'
import { withEndedJobs } from '../../plan/services/ending.ts'
import { isNothingToDo } from '../../plan/stages.ts'
import { digestsOf } from '../../project/edge/digests.ts'
import type { Project } from '../../project/settings.ts'
import { type ProxyState, readProxyIfUp, refuseIfOlder } from '../../proxy/api.ts'
import { checkHandlers } from '../../proxy/caddy/check.ts'
import { findProxy, outdated } from '../../proxy/container.ts'
import { parsePortsLabel, refuseMove, wantedPorts } from '../../proxy/ports.ts'
import { isConnected } from '../../proxy/routing.ts'
import { refuseSharedNames } from '../../proxy/shared-names.ts'
import { readModel } from '../../record/bundle.ts'
import { remembered, withRemembered } from '../../record/remembered.ts'
import type { Exec } from '../../system/exec.ts'
import { sameContent } from '../../util/canonical.ts'
import { planHooks } from '../hooks.ts'
import type { HostRequest, HostTools } from '../host-run.ts'
import { planMigrations } from '../migrate/describe.ts'
import { lookForScheduler } from '../schedules.ts'
import { describePhases } from './describe.ts'
import { type Obstacle, refuseObstacles } from './obstacles.ts'

/** What was found out for a release on one host before it is planned. */
export interface PlanningFacts {
  readonly version: string
  readonly rendering: Rendering
  /** the engine's images by name, without those that are still to be built */
  readonly images: ReadonlyMap<string, Image>
  /** obstacles that were found before */
  readonly obstacles?: readonly Obstacle[]
}

export interface Planning {
  readonly plan: Plan
  /** a held service is not as it should be */
  readonly isLoose: boolean
  readonly input: PlanInput
  /** the project's containers when the plan was made */
  readonly containers: readonly Container[]
}

/** Plans a host's rollout, also for `plan` and `--dry-run`. @throws config (3) for taken names, failed (5) */
export async function planRollout(
  request: HostRequest,
  { docker, exec, clock }: Pick<HostTools, 'docker' | 'exec' | 'clock'>,
  { version, rendering, images, obstacles = [] }: PlanningFacts,
): Promise<Planning> {
  const { project, serving, target, awaits } = request
  await refuseOldCompose(exec, rendering.model)
  const lookFurther = async () => {
    const isRouted = routedBefore(request).routes.length > 0
    const isConcerned = isRouted || exposedServices(project.environment.services).length > 0
    const [container, read] = await Promise.all([findProxy(docker), isRouted ? readProxyIfUp(docker) : undefined])
    const state = isConcerned && container?.state === 'running' ? (read ?? (await readProxyIfUp(docker))) : undefined
    const seen = await lookAtProxy(request, docker, isConcerned ? container : undefined, state)
    await refuseNamesOfOthers(project, docker, container)
    return { seen, state }
  }
  const [containers, { seen, state }, found] = await Promise.all([
    listContainers(docker, rendering.model.name),
    lookFurther(),
    lookForScheduler(project, docker),
  ])
  const adoption =
    serving || containers.length === 0 ? undefined : await observeAdoption(project, containers, docker, exec)
  const runs = adoption?.running ?? new Map()
  const input: PlanInput = {
    ...(project.hosts.length > 1 ? { host: project.host.name } : {}),
    environment: project.environment,
    version,
    target: rendering,
    awaits,
    // What a completed release has recorded is what its services turned out to be.
    topology: target ? project.topology : withEndedJobs(project.topology, rendering.model, { serving, containers }),
    images: target?.bundle.images ?? releasedImages(request, images, runs, containers),
    serving,
    containers,
    adoptable: adoption?.adoptable ?? {},
    remembered: adoption ? Object.keys(remembered(project.stateFile, containers).services) : [],
    restorable: request.adopted?.restorable ?? [],
    ...withReach(seen, containers, routedBefore(request), rendering.model.name),
    rollback: target !== undefined,
    acme: project.edge?.acme,
    phases: describePhases(request),
    migrations: target ? [] : planMigrations(request),
    needed: request.needed,
    hooks: planHooks(project, docker.mask),
    ...(found && 'by' in found.scheduler ? { scheduler: found.scheduler } : {}),
  }
  const plan = makePlan(input)
  if (state && changesRoutes(input, plan.services, state.projects)) refuseIfOlder(project.model.name, state)
  const listen = () => listListeners(project.host, exec)
  if (!isNothingToDo(plan) || obstacles.length > 0)
    await refuseObstacles(
      plan,
      rendering.model,
      { docker, clock, listen },
      { known: obstacles, ports: wantedPorts(project.environment.proxy) },
    )
  if (found && plan.services.some(({ action }) => action === 'schedule')) requireScheduler(found, project.host)
  return { plan, isLoose: hasLoose(plan, input), input, containers }
}

/** @returns the host's proxy, if the project has or had routes. @throws config (3) for a route of another project */
async function lookAtProxy(
  request: HostRequest,
  docker: Docker,
  container: ProxyContainer | undefined,
  state: ProxyState | undefined,
): Promise<Pick<PlanInput, 'proxy' | 'routed' | 'given'>> {
  const { project, serving, target } = request
  const { services, proxy: wanted } = project.environment
  const known = routedBefore(request)
  if (container === undefined) return { proxy: undefined }
  const proxy = { ...container, outdated: outdated(container, wanted), lost: false }
  if (container.state !== 'running') return { proxy }
  if (state === undefined) return { proxy: { ...proxy, state: 'exited' } } // it has just stopped
  const { name } = project.model
  const slots = Object.fromEntries(exposedServices(services).map(([service]) => [service, 'a'] as const))
  const { projects, live, files } = state
  const routing = Object.keys(projects).filter((other) => (projects[other] ?? []).length > 0)
  refuseMove(name, { ports: parsePortsLabel(container.ports), wanted: wantedPorts(wanted), projects: routing })
  const acme = target ? acmeOf(known.routes) : project.edge?.acme
  const routes = routesOf(project.environment, project.model, { slots, before: [], acme })
  refuseTakenRoutes(name, routes, projects)
  await checkHandlers(docker, routes, projects[name] ?? [])
  const routed = { routes: projects[name] ?? [], slots: live[name] ?? {} }
  // If no live release is known, the proxy's own routes count as live: they stay until the switch.
  const given = { wanted: digestsOf(project), found: files[name] ?? {} }
  return serving ? { given, proxy: { ...proxy, lost: !sameContent(routed, known) } } : { given, proxy, routed }
}

/** Also for a project without routes: another project may be on its networks. @throws config (3) */
async function refuseNamesOfOthers(
  { model, environment }: Project,
  docker: Docker,
  proxy: ProxyContainer | undefined,
): Promise<void> {
  const routesOfAll = async () => (proxy ? ((await readProxyIfUp(docker))?.projects ?? {}) : {})
  await refuseSharedNames({ docker, model, services: environment.services, proxy, routesOfAll })
}

/** Marks the proxy as lost if it does not reach the live containers: then it is repaired first. */
function withReach(
  seen: Pick<PlanInput, 'proxy' | 'routed' | 'given'>,
  containers: readonly Container[],
  live: RoutingTable,
  name: string,
): Pick<PlanInput, 'proxy' | 'routed' | 'given'> {
  if (seen.proxy === undefined || live.routes.length === 0 || isConnected(seen.proxy, containers, name, live))
    return seen
  return { ...seen, proxy: { ...seen.proxy, lost: true } }
}

/** For containers that were started by hand: the hashes that their labels have if the Compose file is unchanged. */
async function observeAdoption(project: Project, containers: readonly Container[], docker: Docker, exec: Exec) {
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

/** Compose hashes `network_mode: service:x` with the id of the container of x. */
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

/** @returns the image of each service as the release records it; if its content already runs, the running one. */
function releasedImages(
  { project, images }: HostRequest,
  present: ReadonlyMap<string, Image>,
  running: ReadonlyMap<string, Image>,
  containers: readonly Container[],
): Record<string, ReleasedImage> {
  const found: Record<string, ReleasedImage> = {}
  for (const [service, name] of images.names) {
    const image = present.get(name)
    if (image === undefined) continue
    const facts = { name, project: project.model.name, service, built: images.built.has(name) }
    const mine = releasedImage(image, facts)
    const runs = running.get(containers.find((container) => container.service === service)?.image ?? '')
    const adopted = runs && releasedImage(runs, facts)
    found[service] = adopted?.fingerprint === mine.fingerprint ? adopted : mine
  }
  return found
}

/** @returns a model that restores what runs now, of services whose definition is known; undefined if none is. */
export function adoptedModel(
  { project, adopted }: Pick<HostRequest, 'project' | 'adopted'>,
  { input, containers }: Planning,
): ComposeModel | undefined {
  const reduced = withoutBuildAndOrder(project.model)
  const before = remembered(project.stateFile, containers)
  const read = adopted?.ref === undefined ? undefined : readModel(project.stateFile, adopted.ref)
  const readable = adopted?.restorable.flatMap((name) => (read?.services[name] ? [[name, read.services[name]]] : []))
  const kept = read ? { ...before, models: [...before.models, read] } : before
  const known: Record<string, Service> = { ...Object.fromEntries(readable ?? []), ...kept.services }
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

/** Compose runs without the variables that `environment:` files come from, so their values become files. */
function filesOf(resources: Readonly<Record<string, FileResource>>, project: Project): Record<string, FileResource> {
  const store = contentStore(project.host, true)
  const entries = Object.entries(resources).map(([key, { environment, ...rest }]) => {
    if (environment === undefined) return [key, rest] as const
    return [key, { ...rest, file: storeText(store, project.variables[environment] ?? '', 0o444).path }] as const
  })
  return Object.fromEntries(entries)
}
