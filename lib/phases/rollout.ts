import { modelFile, type ServingRelease, writeModel } from '../bundle.ts'
import type { Stage } from '../compose-up.ts'
import { type Container, inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { byPresentNames, keepImages } from '../images.ts'
import { hasLoose, isNothingToDo, type Plan, type ServicePlan } from '../plan.ts'
import { plannedImages, plannedModel } from '../plan-model.ts'
import { networksOf } from '../plan-networks.ts'
import { adoptedModel, type Planning, planRollout } from '../planning.ts'
import { putBack } from '../put-back.ts'
import { bringUp, type Changes, freeNetworks, removeContainers } from '../rollout-steps.ts'
import type { Run } from '../run.ts'

/**
 * All or nothing (design 6): prepare creates what is new and runs jobs, switch replaces what changed, retire removes what
 * is gone. Until the switch has ended a failure puts back what served.
 */
export async function rollout(run: Run): Promise<string> {
  const planning = await planRollout({ ...run, version: run.bundle.version })
  const { plan } = planning
  run.emit({ type: 'plan', plan })
  for (const { service, action, why } of plan.services)
    if (action === 'hold') run.emit({ type: 'service', service, step: 'hold', note: why })
  const stage = await recordTarget(run, planning)
  const changes: Changes = {
    started: run.clock.now(),
    touched: new Set(),
    replaced: plan.networks.filter(({ action }) => action === 'replace'),
  }
  try {
    const prepared = await prepare(run, stage, planning, changes)
    const switched = await switchOver(run, stage, planning, changes)
    commit(run, plan, switched ?? prepared ?? planning.containers)
  } catch (error) {
    await putBack(run, planning, changes, await servedBefore(run, planning), error)
    throw error
  }
  await retire(run, planning)
  return summarize(plan.services, isNothingToDo(plan))
}

/** Everything needed to put this release back is written before anything is changed. */
async function recordTarget(run: Run, planning: Planning): Promise<Stage> {
  const model = plannedModel(planning.input, planning.plan)
  const images = plannedImages(planning.input, planning.plan)
  for (const service of Object.keys(model.services))
    if (images[service] === undefined)
      throw new StagecraftError('failed', `Cannot start ${service}: the engine does not have its image`)
  await keepImages(run.docker, model.name, images)
  const { stateFile, directory, topology } = run.project
  writeModel(stateFile, run.bundle.id, model)
  const withDigests = Object.entries(images).map(([service, image]) => {
    const digest = run.digests[service]
    return [service, digest === undefined ? image : { ...image, digest }] as const
  })
  run.save({ images: Object.fromEntries(withDigests), topology, content: run.rendering.content, plan: planning.plan })
  return { model, modelFile: modelFile(stateFile, run.bundle.id), directory }
}

async function prepare(run: Run, stage: Stage, { plan }: Planning, changes: Changes) {
  const late = waitForSwitch(run, stage, plan)
  const members = plan.services.filter((service) => isNew(service) && !late.has(service.service))
  return bringUp(run, stage, members, changes)
}

async function switchOver(run: Run, stage: Stage, { plan, containers }: Planning, changes: Changes) {
  const late = waitForSwitch(run, stage, plan)
  const members = plan.services.filter(
    ({ service, action }) => ['recreate', 'scale'].includes(action) || late.has(service),
  )
  await freeNetworks(run.docker, plan.project, changes.replaced, () => {
    for (const service of [...members.map(({ service }) => service), ...unplugged(run, plan, changes)])
      changes.touched.add(service)
  })
  await freePorts(run, plan, containers, changes)
  return bringUp(run, stage, members, changes, containers)
}

/** @returns services that are to be removed, and lose a network before that: a put-back must give it back to them. */
function unplugged({ serving }: Run, plan: Plan, { replaced }: Changes): string[] {
  if (serving === undefined) return []
  const lost = new Set(replaced.map(({ network }) => network))
  const { model } = serving
  return removedServices(plan).filter((service) =>
    networksOf(model.services[service] ?? {}, model).some((network) => lost.has(network)),
  )
}

function isNew({ action }: ServicePlan): boolean {
  return action === 'create' || action === 'job'
}

/**
 * @returns what is new and must wait for the switch: it takes a port that something else still has, or is on a network
 * that is made anew, or needs such a service, or is in the namespace of one that is recreated: it would be left in the
 * old one's.
 */
function waitForSwitch({ project }: Run, { model }: Stage, { services, handovers, networks }: Plan): Set<string> {
  const replaced = networks.filter(({ action }) => action === 'replace').map(({ network }) => network)
  const late = new Set(handovers.map(({ to }) => to))
  const recreated = new Set(services.flatMap((plan) => (plan.action === 'recreate' ? [plan.service] : [])))
  for (const { service } of services.filter(isNew)) {
    const needs = project.topology.needs[service] ?? []
    const needsLate = needs.some((need) => late.has(need.service) || (need.follows && recreated.has(need.service)))
    const onReplaced = networksOf(model.services[service] ?? {}, model).some((name) => replaced.includes(name))
    if (needsLate || onReplaced) late.add(service)
  }
  return new Set(services.flatMap((plan) => (isNew(plan) && late.has(plan.service) ? [plan.service] : [])))
}

async function freePorts(
  run: Run,
  { handovers }: Plan,
  containers: readonly Container[],
  changes: Changes,
): Promise<void> {
  for (const service of new Set(handovers.map(({ from }) => from))) {
    changes.touched.add(service)
    const ids = containers.filter((container) => container.service === service).map(({ id }) => id)
    if (ids.length > 0) await run.docker.run(`stop ${service}`, ['stop', ...ids])
  }
}

/** The commit point: from here on this release serves. Compose's hashes tell later what was changed by hand. */
function commit(run: Run, plan: Plan, containers: readonly Container[]): void {
  const hashes = Object.fromEntries(containers.map(({ service, configHash }) => [service, configHash]))
  const removed = removedServices(plan)
  run.save({
    config_hashes: hashes,
    switched_at: new Date(run.clock.now()).toISOString(),
    ...(removed.length > 0 ? { retiring: removed } : {}),
  })
}

function removedServices({ services }: Plan): string[] {
  return services.flatMap(({ service, action }) => (action === 'remove' ? [service] : []))
}

async function retire(run: Run, { plan, containers }: Planning): Promise<void> {
  const removed = removedServices(plan)
  for (const service of removed) {
    run.emit({ type: 'service', service, step: 'remove' })
    await removeContainers(
      run.restoring,
      containers.filter((container) => container.service === service),
    )
  }
  if (removed.length > 0) run.save({ retiring: [] })
  for (const { network, action } of plan.networks)
    if (action === 'remove') {
      const result = await run.restoring.try(['network', 'rm', network])
      if (result.code !== 0 && !/not found|no such network/i.test(result.stderr))
        run.emit({ type: 'warning', message: `network ${network} is not used any more, but could not be removed` })
    }
}

/** @returns the model that puts back what runs now: the serving release's, or what an adoption knows of it. */
async function servedBefore(run: Run, planning: Planning): Promise<Stage | undefined> {
  const { directory, stateFile } = run.project
  if (run.serving) return servingStage(run, run.serving)
  const model = adoptedModel(run.project, planning)
  if (model === undefined) return undefined
  const id = `${run.bundle.id}/adopted`
  writeModel(stateFile, id, model)
  return { model, modelFile: modelFile(stateFile, id), directory }
}

/** Where the engine has forgotten an image's digest meanwhile, a model that names it by content. */
async function servingStage(run: Run, { bundle, model, modelFile: file }: ServingRelease): Promise<Stage> {
  const { directory, stateFile } = run.project
  const asItWas = { model, modelFile: file, directory }
  try {
    const references = Object.values(bundle.images).map(({ reference }) => reference)
    const present = await inspectImages(run.restoring, [...new Set(references)])
    const images = byPresentNames(bundle.project, bundle.images, present)
    const renamed = Object.entries(images).filter(([service, image]) => image !== bundle.images[service])
    if (renamed.length === 0) return asItWas
    await keepImages(run.restoring, bundle.project, Object.fromEntries(renamed))
    const services = { ...model.services }
    for (const [service, { reference }] of renamed) services[service] = { ...services[service], image: reference }
    const id = `${run.bundle.id}/served`
    writeModel(stateFile, id, { ...model, services })
    return { model: { ...model, services }, modelFile: modelFile(stateFile, id), directory }
  } catch {
    return asItWas // an engine that does not answer is told of by what is tried next
  }
}

function summarize(services: readonly ServicePlan[], nothing: boolean): string {
  if (nothing) return hasLoose(services) ? 'nothing to do' : 'nothing to do: everything runs as it should'
  const counts = new Map<string, number>()
  for (const { action } of services) counts.set(action, (counts.get(action) ?? 0) + 1)
  const words = {
    create: 'created',
    recreate: 'recreated',
    scale: 'scaled',
    job: 'run',
    remove: 'removed',
    hold: 'held',
    unchanged: 'unchanged',
  }
  return Object.entries(words)
    .flatMap(([action, word]) => (counts.get(action) ? [`${counts.get(action)} ${word}`] : []))
    .join(', ')
}
