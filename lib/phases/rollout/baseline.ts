import type { ComposeModel } from '../../compose/model.ts'
import { type ModelFile, stagePlace } from '../../docker/compose/up.ts'
import { inspectImages } from '../../docker/image-store.ts'
import { byPresentNames, keepImages } from '../../docker/images.ts'
import type { Project } from '../../project/settings.ts'
import { type BundleRef, modelFile, modelRef } from '../../record/bundle/ref.ts'
import { type LiveRelease, writeModel } from '../../record/bundle.ts'
import type { HostRun } from '../host-run.ts'
import { adoptedModel, type Planning } from './planning.ts'

/** The model that restores what runs now. */
export interface Baseline {
  readonly ref: BundleRef
  readonly stage: ModelFile
}

/** @returns the live release's model, or what an adoption knows of what runs. Written before anything is changed. */
export async function findBaseline(hostRun: HostRun, planning: Planning): Promise<Baseline | undefined> {
  const { request, bundle } = hostRun
  if (request.serving) return liveModel(hostRun, request.serving)
  const model = adoptedModel(request, planning)
  return model && keepModel(request.project, modelRef(bundle.now.id, 'adopted'), model)
}

/** @returns the live release's model; if the engine has lost an image's digest, one that names the image by content */
async function liveModel(
  { request: { project }, tools: { docker }, bundle: { now } }: HostRun,
  { bundle, model, modelFile: file }: LiveRelease,
): Promise<Baseline> {
  const references = Object.values(bundle.images).map(({ reference }) => reference)
  const present = await inspectImages(docker, [...new Set(references)])
  const images = byPresentNames(bundle.project, bundle.images, present)
  const renamed = Object.entries(images).filter(([service, image]) => image !== bundle.images[service])
  if (renamed.length === 0) return { ref: bundle.id, stage: { model, modelFile: file, ...stagePlace(project) } }
  await keepImages(docker, bundle.project, Object.fromEntries(renamed))
  const services = { ...model.services }
  for (const [service, { reference }] of renamed) services[service] = { ...services[service], image: reference }
  return keepModel(project, modelRef(now.id, 'served'), { ...model, services })
}

function keepModel(project: Project, ref: BundleRef, model: ComposeModel): Baseline {
  const { stateFile } = project
  writeModel(stateFile, ref, model)
  return { ref, stage: { model, modelFile: modelFile(stateFile, ref), ...stagePlace(project) } }
}
