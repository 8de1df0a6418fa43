import { join } from 'node:path'
import { findServing } from './bundle.ts'
import { enginePlatform, inspectImages } from './docker.ts'
import { StagecraftError } from './errors.ts'
import { contentStore } from './host.ts'
import { buildTargets, imageNames } from './images.ts'
import type { Plan, PlanInput } from './plan.ts'
import { planNetworks, refuseChangedVolumes } from './plan-networks.ts'
import { planRollout } from './planning.ts'
import type { Project } from './project.ts'
import { beforeRelease, carryOut, type Locked, type Order, openReleaseDocker, type World } from './release.ts'
import { type Rendering, render } from './render.ts'
import { openState, type Release } from './state.ts'
import type { Version } from './version.ts'

/** What a deploy would do now. Reads; writes nothing, anywhere. */
export async function planDeploy(project: Project, version: Version, world: World): Promise<Plan> {
  const order = orderDeploy(project, version, world)
  const docker = openReleaseDocker(project, world)
  await enginePlatform(docker)
  const names = [...new Set(imageNames(project.model, order.targets).values())]
  const final = names.filter((name) => !order.targets.some(({ versionTag }) => versionTag === name))
  const images = await inspectImages(docker, final)
  return (await planRollout({ ...order, images, docker, exec: world.exec, version: version.version })).plan
}

/**
 * Makes a release of what the Compose file says now.
 * @throws what the first phase that failed threw; the release is recorded either way
 */
export async function deploy(project: Project, version: Version, world: Locked): Promise<Release> {
  const docker = openReleaseDocker(project, world)
  await beforeRelease(enginePlatform(docker), world)
  return carryOut(orderDeploy(project, version, world), docker, world)
}

function orderDeploy(project: Project, version: Version, world: World): Order {
  const state = openState(project.stateFile, { clock: () => world.clock.now() })
  const serving = findServing(project.stateFile, state.listReleases({ environment: project.environment.name }))
  const targets = buildTargets(project.model, version.version)
  const rendering = renderProject(project, false)
  refuseImpossible({ target: rendering, serving, environment: project.environment })
  return { project, version, state, serving, targets, rendering, keepContent: () => renderProject(project, true) }
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

/** @param write keep the content files */
function renderProject(project: Project, write: boolean): Rendering {
  return render(project.model, {
    directory: project.directory,
    store: contentStore(project.host, write),
    dataAt: project.host.folder && join(project.host.folder, 'data'),
    data: project.data,
    variables: project.variables,
  })
}
