import { render, renderAll } from '../compose/render.ts'
import { buildImages } from '../docker/build.ts'
import type { Docker, Image } from '../docker/client.ts'
import { inspectImages } from '../docker/image-store.ts'
import { modelImages } from '../docker/images.ts'
import { forPlatforms } from '../docker/platforms.ts'
import { platformOf } from '../hosts/host.ts'
import { withConnections } from '../migrations/connection.ts'
import { checkFiles } from '../migrations/raw.ts'
import { outputTo } from '../output/events.ts'
import { namingHost } from '../phases/each-host.ts'
import type { HostRequest } from '../phases/host-run.ts'
import { readPending } from '../phases/migrate/pending.ts'
import { onEngine } from '../phases/on-engine.ts'
import type { Planning } from '../phases/rollout/planning.ts'
import type { PlanInput } from '../plan/input.ts'
import { planNetworks, refuseChangedVolumes } from '../plan/networks.ts'
import { exposedServices } from '../plan/routes/table.ts'
import { awaitLateJobs } from '../plan/stages.ts'
import { refuseRunningElsewhere } from '../project/adoption/elsewhere.ts'
import { openBuilder } from '../project/built-here.ts'
import { warningsAcrossHosts } from '../project/checks/across-hosts.ts'
import { withEdge } from '../project/edge/acme.ts'
import { refuseMissingOnHosts } from '../project/host-mounts.ts'
import { claimHistory, refuseOthers } from '../project/ownership.ts'
import { placeOnHosts } from '../project/placement.ts'
import { renderOptions } from '../project/render-options.ts'
import { execOn, type LockedSession, openReleaseDocker, type Session } from '../project/session.ts'
import type { Project } from '../project/settings.ts'
import type { SourceVersion } from '../project/version.ts'
import { requireModule } from '../proxy/certificates/modules.ts'
import { findProxy } from '../proxy/container.ts'
import { findLive, lastLive } from '../record/bundle.ts'
import { partOn, placeOf } from '../record/bundle-parts.ts'
import { openState } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently, nonEmpty } from '../util/map-concurrently.ts'
import { Problems } from '../util/problems.ts'
import { adopt, planAdoption } from './adoption/adopt.ts'
import { beforeRelease, carryOut, lookAtEngine } from './carry-out.ts'
import { refuseLostData, sayWhatBeginsEmpty } from './data-guard.ts'
import { refuseBeforeBuild } from './engine/before-build.ts'
import { refuseLeftRunning } from './engine/left-running.ts'
import { refuseNodesWithoutImages } from './engine/node-images.ts'
import { refuseOwnStack } from './engine/swarm.ts'
import { absentImages } from './images/absent.ts'
import type { Existing } from './promotion/existing.ts'
import { obtainImages } from './promotion/obtain.ts'
import type { ReleaseRequest } from './request.ts'

/**
 * @param how `build`: builds first, so that it is known which images differ; `existing`: would build nothing
 * @returns what a deploy would do now, on each host. Writes nothing else. @throws as `deploy` does before its release
 */
export async function planDeploy(
  opened: Project,
  version: SourceVersion,
  session: Session,
  how: { readonly build?: boolean; readonly existing?: Existing | undefined } = {},
): Promise<Planning[]> {
  const project = await withEdge(await withConnections(opened, session), session)
  const request = requestDeploy(project, version, session, how.existing)
  const { parts } = request
  await lookAtEngine(request, session)
  await refuseAnother(request, session)
  await refuseMissingOnHosts(parts)
  await refuseNodesWithoutImages(request, session)
  await refuseLostData(request, session)
  const engines = parts.map((part) => openReleaseDocker(part.project, session))
  const pending = await readPending(project, engines, Object.entries(project.environment.databases ?? {}), {
    ofDeploy: true,
  })
  const built = how.build ? await buildFirst(request, session) : new Map<string, Image>()
  const adoption = await planAdoption(request, session)
  const plannings = await mapConcurrently([...parts.entries()], async ([at, part]) => {
    const docker = openReleaseDocker(part.project, session)
    await platformOf(part.project.host, docker)
    await refuseMissingModule(part, docker)
    const { names, platforms } = part.images
    const final = [...new Set(names.values())].filter((name) => !part.images.built.has(name))
    const images = new Map([...forPlatforms(await inspectImages(docker, final), platforms), ...built])
    const absent = final.filter((name) => !images.has(name))
    const obstacles = await absentImages(part.project, absent, docker)
    const exec = execOn(part.project.host, session)
    const known = { version: version.name, rendering: part.rendering, images, obstacles }
    const { adopted, notes = [] } = adoption[at] ?? {}
    const tools = { docker, exec, clock: session.clock }
    const planning = await onEngine(project.environment)
      .plan({ ...part, pending, adopted }, tools, known)
      .catch(namingHost(part.project.host, project.hosts))
    return { ...planning, plan: { ...planning.plan, notes: [...planning.plan.notes, ...notes] } }
  })
  await refuseOthers(project, project.model.name, session)
  return awaitLateJobs(plannings)
}

/** @returns the images that it built, by name */
async function buildFirst({ project, targets }: ReleaseRequest, session: Session): Promise<Map<string, Image>> {
  const docker = await openBuilder(project, targets, session)
  if (targets.length > 0) await buildImages({ project, targets, docker, onOutput: outputTo(session.emit) })
  return inspectImages(
    docker,
    targets.map(({ versionTag }) => versionTag),
  )
}

/**
 * Makes a release of the current Compose file and carries it out.
 * @param existing images that it takes in place of building them
 * @throws what the phase that failed threw; the release is recorded in any case
 */
export async function deploy(
  opened: Project,
  version: SourceVersion,
  session: LockedSession,
  existing?: Existing,
): Promise<Release> {
  const project = await withEdge(await withConnections(opened, session), session)
  checkFiles({ project, engines: [] })
  await beforeRelease(
    mapConcurrently(project.hosts, (host) => platformOf(host, openReleaseDocker({ ...project, host }, session))),
    session,
  )
  const request = requestDeploy(project, version, session, existing)
  const engine = await beforeRelease(lookAtEngine(request, session), session)
  await beforeRelease(refuseAnother(request, session), session)
  const modules = mapConcurrently(request.parts, (part) =>
    refuseMissingModule(part, openReleaseDocker(part.project, session), { pulls: true }),
  )
  const looks = [refuseMissingOnHosts(request.parts), refuseBeforeBuild(request, session), modules]
  await beforeRelease(Promise.all(looks), session)
  await beforeRelease(claimHistory(project, project.model.name, session), session)
  await beforeRelease(refuseLostData(request, session), session)
  await beforeRelease(sayWhatBeginsEmpty(request, session), session)
  for (const host of forgotten(request)) {
    const message = `${host} is no longer a host of ${project.environment.name}: its containers are left as they are`
    const hint = `To remove it, on that host: docker compose -p ${project.model.name} down`
    session.emit({ type: 'warning', message, hint })
  }
  if (existing) await beforeRelease(obtainImages(request, existing, session), session)
  return carryOut(await beforeRelease(adopt({ ...request, engine }, session), session), session)
}

/** @throws config (3) if the proxy's image lacks what `proxy.acme` needs. @param how `pulls`: an image that is not there */
async function refuseMissingModule(
  { project }: ReleaseRequest['parts'][number],
  docker: Docker,
  how: { readonly pulls?: boolean } = {},
): Promise<void> {
  const { services, proxy: config } = project.environment
  if (!config?.acme?.dns || exposedServices(services).length === 0) return
  await requireModule(docker, { config, proxy: await findProxy(docker) }, how).catch(
    namingHost(project.host, project.hosts),
  )
}

/** Before the first release of an environment: the application may run under another name already. @throws config (3) */
async function refuseAnother(request: ReleaseRequest, session: Session): Promise<void> {
  const { project, state, parts } = request
  await refuseLeftRunning(request, session)
  if (project.environment.engine === 'swarm') return refuseOwnStack(request, session)
  const releases = state.listReleases({ environment: project.environment.name })
  if (lastLive(project.stateFile, releases) !== undefined) return
  await refuseRunningElsewhere(nonEmpty(parts.map((part) => part.project)), session)
}

/** @returns the hosts of the live release that are no longer configured. */
function forgotten({ serving, project }: ReleaseRequest): string[] {
  const { hosts = [] } = serving?.bundle ?? {}
  return hosts.filter((key) => !project.hosts.some((host) => host.key === key))
}

function requestDeploy(
  project: Project,
  version: SourceVersion,
  session: Session,
  existing?: Existing,
): ReleaseRequest {
  const state = openState(project.stateFile, { clock: () => session.clock.now() })
  const serving = findLive(project.stateFile, state.listReleases({ environment: project.environment.name }))
  const problems = new Problems()
  const placement = placeOnHosts(project)
  const parts = placement.map((placed) => {
    const { host } = placed.project
    const part = {
      ...placed,
      serving: serving && partOn(project.stateFile, serving, placeOf(host, project.hosts)),
      rendering: renderAll(placed.project.model, renderOptions(placed.project, false), problems),
      keepContent: () => render(placed.project.model, renderOptions(placed.project, true)),
    }
    problems.try(() =>
      refuseImpossible({ target: part.rendering, serving: part.serving, environment: placed.project.environment }),
    )
    return part
  })
  const { targets } = problems.try(() => modelImages(project.model, version.name)) ?? { targets: [] }
  problems.refuse()
  const warnings = parts.flatMap((part) => [...(part.rendering.warnings ?? []), ...vanished(part)])
  for (const message of new Set(warnings)) session.emit({ type: 'warning', message })
  for (const warning of warningsAcrossHosts({ project, placed: placement }))
    session.emit({ type: 'warning', ...warning })
  const taken = existing ? { existing: existing.text } : {}
  const withImages = parts.map((part) => ({ ...part, ...taken, images: modelImages(part.project.model, version.name) }))
  return { project, version, state, serving, targets, ...(existing ? { existing } : {}), parts: nonEmpty(withImages) }
}

/** @returns warnings for folders that the live release mounts and that are gone: they would be created again, empty. */
function vanished({ rendering, serving }: Pick<HostRequest, 'rendering' | 'serving'>): string[] {
  const mounted = new Set(
    Object.values(serving?.model.services ?? {}).flatMap(({ volumes = [] }) => volumes.map(({ source }) => source)),
  )
  const gone = rendering.data.filter(({ creates, source }) => creates === true && mounted.has(source))
  return gone.map(
    ({ path }) => `${path}, which ${serving?.bundle.version} mounts, is gone: recreated containers find it empty`,
  )
}

/** Refuses what no build could change, before there is a release. @throws config (3) */
function refuseImpossible(input: Pick<PlanInput, 'target' | 'serving' | 'environment'>): void {
  refuseOtherProject(input)
  refuseChangedVolumes(input)
  planNetworks(input)
}

/** Under another project name everything would be created once more, with empty volumes, alongside what runs. */
function refuseOtherProject({ target, serving }: Pick<PlanInput, 'target' | 'serving'>): void {
  const [is, was] = [target.model.name, serving?.bundle.project]
  if (was === undefined || was === is) return
  throw new StagecraftError('config', `Cannot deploy as Compose project ${is}: the live release is ${was}`, {
    hint:
      `Set \`compose_project: ${was}\` for the environment in stagecraft.yml to continue with what runs. ` +
      `To start over as ${is}, take ${was} down first (docker compose -p ${was} down) and use another environment.`,
  })
}
