import { dirname } from 'node:path'
import { type Bundle, contentFolder, findServing, writeBundle } from './bundle.ts'
import { enginePlatform, inspectImages, listContainers, openDocker } from './docker.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import type { Emit, TellOutput } from './events.ts'
import type { Exec } from './exec.ts'
import type { Clock } from './gate.ts'
import { buildTargets, imageNames } from './images.ts'
import { createMask } from './mask.ts'
import { SIX_PHASES } from './phases/index.ts'
import { runPhases } from './phases/loop.ts'
import type { Plan } from './plan.ts'
import { planRollout } from './planning.ts'
import type { Project } from './project.ts'
import { type Rendering, render } from './render.ts'
import type { Run } from './run.ts'
import { openState, type Release } from './state.ts'
import type { Version } from './version.ts'

/** The outside world, as a deploy needs it. */
export interface World {
  readonly exec: Exec
  readonly clock: Clock
  readonly emit: Emit
  readonly tell?: TellOutput | undefined
  /** asks to stop: its reason is the number of a signal */
  readonly signal: AbortSignal
}

/** What a release would do now. Reads; writes nothing, anywhere. */
export async function planDeploy(project: Project, version: Version, world: World): Promise<Plan> {
  const { serving, rendering, targets } = prepareDeploy(project, version, world)
  const docker = openDocker(world.exec, createMask(project.secrets), world.signal)
  await enginePlatform(docker)
  const names = imageNames(project.model, targets)
  const final = [...new Set(names.values())].filter((name) => !targets.some(({ versionTag }) => versionTag === name))
  const images = await inspectImages(docker, final)
  const planning = { project, rendering, targets, serving, images, docker, exec: world.exec, version: version.version }
  return (await planRollout(planning)).plan
}

/**
 * Makes a release and takes it through its six phases.
 * @throws what the first phase that failed threw; the release is recorded either way
 */
export async function deploy(project: Project, version: Version, world: World): Promise<Release> {
  const mask = createMask(project.secrets)
  const docker = openDocker(world.exec, mask, world.signal)
  const signalled = () => (world.signal.aborted ? Number(world.signal.reason) : undefined)
  await enginePlatform(docker).catch((error: unknown) => {
    const signal = signalled()
    throw signal === undefined ? error : endedBeforeRelease(signal)
  })
  const { state, serving, rendering, targets } = prepareDeploy(project, version, world)
  const adopting = serving === undefined && (await listContainers(docker, project.model.name)).length > 0
  const release = state.createRelease({ environment: project.environment.name, ...version })
  const { emit } = world
  emit({
    type: 'release',
    id: release.id,
    version: release.version,
    environment: release.environment,
    project: project.model.name,
  })
  const run: Run = {
    project,
    rendering,
    keepContent: () => renderProject(project, true),
    targets,
    serving,
    adopting,
    exec: world.exec,
    docker,
    restoring: openDocker(world.exec, mask),
    clock: world.clock,
    emit,
    tell: world.tell,
    images: new Map(),
    digests: {},
    bundle: newBundle(project, release),
    save(changes) {
      const next = { ...run.bundle, ...changes }
      saveBundle(project.stateFile, next)
      run.bundle = next // what could not be written is not so: the commit point above all
    },
  }
  await runPhases(SIX_PHASES, run, release, state, signalled)
  return state.getRelease(release.id) ?? release
}

function endedBeforeRelease(signal: number): StagecraftError {
  const hint = 'Nothing has been done, and no release was made.'
  return new StagecraftError('failed', `Cannot start the release: ended by signal ${signal}`, { signal, hint })
}

/** What `plan` and a deploy have in common before the engine is asked. Writes nothing. */
function prepareDeploy(project: Project, { version }: Version, world: World) {
  const state = openState(project.stateFile, { clock: () => world.clock.now() })
  const serving = findServing(project.stateFile, state.listReleases({ environment: project.environment.name }))
  const rendering = renderProject(project, false)
  return { state, serving, rendering, targets: buildTargets(project.model, version) }
}

/** @param write keep the content files */
function renderProject(project: Project, write: boolean): Rendering {
  return render(project.model, {
    directory: project.directory,
    store: { folder: contentFolder(project.stateFile), write },
    data: project.data,
    variables: project.variables,
  })
}

function newBundle(project: Project, release: Release): Bundle {
  const { id, environment, version, commit_sha } = release
  const { topology, model } = project
  const empty = { phases: {}, images: {}, content: [], config_hashes: {} }
  return { v: 1, id, environment, version, commit_sha, project: model.name, topology, ...empty }
}

function saveBundle(stateFile: string, bundle: Bundle): void {
  try {
    writeBundle(stateFile, bundle)
  } catch (error) {
    throw new StagecraftError('state', `Cannot write release ${bundle.id}: ${errnoOf(error) ?? String(error)}`, {
      cause: error,
      hint: `Make ${dirname(stateFile)} writable, with room left, then deploy again.`,
    })
  }
}
