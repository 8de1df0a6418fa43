import { findServing } from './bundle.ts'
import { partOn, placeOf } from './bundle-parts.ts'
import { refuseLostData, sayWhatBeginsEmpty } from './data-guard.ts'
import { type Docker, inspectImages, openDocker } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { platformOf } from './host.ts'
import { refuseMissingOnHosts } from './host-mounts.ts'
import { buildTargets, imageNames } from './images.ts'
import { atLeastOne, onEach } from './on-each.ts'
import { claim, refuseOthers } from './ownership.ts'
import { placeOnHosts } from './placement.ts'
import type { Plan, PlanInput } from './plan.ts'
import { planNetworks, refuseChangedVolumes } from './plan-networks.ts'
import { planRollout } from './planning.ts'
import { forPlatforms, platformsOf } from './platforms.ts'
import { Problems } from './problems.ts'
import type { Project } from './project.ts'
import { beforeRelease, carryOut, lookAtEngine, type Order, type Part } from './release.ts'
import { render, renderAll } from './render.ts'
import { renderOptions } from './render-options.ts'
import { openState, type Release } from './state.ts'
import type { Version } from './version.ts'
import { execOn, type Locked, openReleaseDocker, type World } from './world.ts'

/** What a deploy would do now, on each host. Reads; writes nothing, anywhere. */
export async function planDeploy(project: Project, version: Version, world: World): Promise<Plan[]> {
  const order = orderDeploy(project, version, world)
  const { parts } = order
  await lookAtEngine(order, world)
  await refuseMissingOnHosts(parts)
  await refuseLostData(order, world)
  const plans = await onEach(parts, async (part) => {
    const docker = openReleaseDocker(part.project, world)
    await platformOf(part.project.host, docker)
    const targets = buildTargets(part.project.model, version.version)
    const named = imageNames(part.project.model, targets)
    const final = [...new Set(named.values())].filter((name) => !targets.some(({ versionTag }) => versionTag === name))
    const images = forPlatforms(await inspectImages(docker, final), platformsOf(part.project.model, named))
    await refuseAbsent(
      part.project,
      final.filter((name) => !images.has(name)),
      docker,
    )
    const exec = execOn(part.project.host, world)
    return (await planRollout({ ...part, targets, images, docker, exec, version: version.version })).plan
  })
  await refuseOthers(project, project.model.name, world)
  return plans
}

/** What is never pulled must be there, or here, from where it is sent. @throws failed (5) as the push would */
async function refuseAbsent({ model, host }: Project, absent: readonly string[], docker: Docker): Promise<void> {
  const never = Object.entries(model.services).filter(
    ([, { image = '', pull_policy: policy }]) => policy === 'never' && absent.includes(image),
  )
  if (never.length === 0) return
  const names = never.map(([, { image = '' }]) => image)
  const here = host.name === undefined ? new Map() : await inspectImages(openDocker(host.local, docker.mask), names)
  const [service, { image }] = never.find(([, { image = '' }]) => !here.has(image)) ?? ['', {}]
  if (image === undefined) return
  throw new StagecraftError('failed', `Cannot find the image of ${service}: the engine has no ${image}`, {
    hint: 'Its pull_policy is `never`: build or load the image first.',
  })
}

/**
 * Makes a release of what the Compose file says now.
 * @throws what the first phase that failed threw; the release is recorded either way
 */
export async function deploy(project: Project, version: Version, world: Locked): Promise<Release> {
  await beforeRelease(
    onEach(project.hosts, (host) => platformOf(host, openReleaseDocker({ ...project, host }, world))),
    world,
  )
  const order = orderDeploy(project, version, world)
  const engine = await beforeRelease(lookAtEngine(order, world), world)
  await beforeRelease(refuseMissingOnHosts(order.parts), world)
  await beforeRelease(claim(project, project.model.name, world), world)
  await beforeRelease(refuseLostData(order, world), world)
  await beforeRelease(sayWhatBeginsEmpty(order, world), world)
  for (const host of forgotten(order)) {
    const message = `${host} is no host of ${project.environment.name} any more: what runs there is left as it is`
    const hint = `To remove it, on that host: docker compose -p ${project.model.name} down`
    world.emit({ type: 'warning', message, hint })
  }
  return carryOut({ ...order, engine }, world)
}

/** @returns the hosts on which the serving release is, and that are not named any more */
function forgotten({ serving, project }: Order): string[] {
  const { hosts = [] } = serving?.bundle ?? {}
  return hosts.filter((key) => !project.hosts.some((host) => host.key === key))
}

function orderDeploy(project: Project, version: Version, world: World): Order {
  const state = openState(project.stateFile, { clock: () => world.clock.now() })
  const serving = findServing(project.stateFile, state.listReleases({ environment: project.environment.name }))
  const problems = new Problems()
  const parts = placeOnHosts(project).map((placed): Part => {
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
  const targets = buildTargets(project.model, version.version)
  problems.try(() => platformsOf(project.model, imageNames(project.model, targets)))
  problems.refuse()
  const warnings = parts.flatMap((part) => [...(part.rendering.warnings ?? []), ...vanished(part)])
  for (const message of new Set(warnings)) world.emit({ type: 'warning', message })
  return { project, version, state, serving, targets, parts: atLeastOne(parts) }
}

/** A folder that the live release mounts and that is gone would come back empty: that is said, whoever made it so. */
function vanished({ rendering, serving }: Part): string[] {
  const mounted = new Set(
    Object.values(serving?.model.services ?? {}).flatMap(({ volumes = [] }) => volumes.map(({ source }) => source)),
  )
  const gone = rendering.data.filter(({ creates, source }) => creates === true && mounted.has(source))
  return gone.map(
    ({ path }) => `${path} is gone, which ${serving?.bundle.version} mounts: what is recreated finds it empty`,
  )
}

/** What no build can mend is refused before there is a release. @throws config (3) */
function refuseImpossible(input: Pick<PlanInput, 'target' | 'serving' | 'environment'>): void {
  refuseOtherProject(input)
  refuseChangedVolumes(input)
  planNetworks(input)
}

/** Under another name everything would be created once more, with empty volumes, beside what runs. */
function refuseOtherProject({ target, serving }: Pick<PlanInput, 'target' | 'serving'>): void {
  const [is, was] = [target.model.name, serving?.bundle.project]
  if (was === undefined || was === is) return
  throw new StagecraftError('config', `Cannot deploy as Compose project ${is}: what serves is ${was}`, {
    hint:
      `Set \`compose_project: ${was}\` for the environment in stagecraft.yml to go on with what runs. ` +
      `To start anew as ${is}, take ${was} down first (docker compose -p ${was} down) and use another environment.`,
  })
}
