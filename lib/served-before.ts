import { modelFile, type ServingRelease, writeModel } from './bundle.ts'
import type { ComposeModel } from './compose.ts'
import { type Stage, stagePlace } from './compose-up.ts'
import { inspectImages } from './docker.ts'
import { byPresentNames, keepImages } from './images.ts'
import { adoptedModel, type Planning } from './planning.ts'
import type { Site } from './run.ts'

/** A model that puts back what runs now, and where it is kept: as `<release>`, or as `<release>/<another model of it>`. */
export interface Served {
  readonly id: string
  readonly stage: Stage
}

/** @returns the serving release's model, or what an adoption knows of it. Written before anything is changed. */
export async function servedBefore(site: Site, planning: Planning): Promise<Served | undefined> {
  if (site.serving) return servingModel(site, site.serving)
  const model = adoptedModel(site.project, planning)
  return model && keepModel(site, `${site.bundle.id}/adopted`, model)
}

/** Where the engine has forgotten an image's digest meanwhile, a model that names it by content. */
async function servingModel(site: Site, { bundle, model, modelFile: file }: ServingRelease): Promise<Served> {
  const references = Object.values(bundle.images).map(({ reference }) => reference)
  const present = await inspectImages(site.docker, [...new Set(references)])
  const images = byPresentNames(bundle.project, bundle.images, present)
  const renamed = Object.entries(images).filter(([service, image]) => image !== bundle.images[service])
  if (renamed.length === 0) return { id: bundle.id, stage: { model, modelFile: file, ...stagePlace(site.project) } }
  await keepImages(site.docker, bundle.project, Object.fromEntries(renamed))
  const services = { ...model.services }
  for (const [service, { reference }] of renamed) services[service] = { ...services[service], image: reference }
  return keepModel(site, `${site.bundle.id}/served`, { ...model, services })
}

function keepModel({ project }: Site, id: string, model: ComposeModel): Served {
  const { stateFile } = project
  writeModel(stateFile, id, model)
  return { id, stage: { model, modelFile: modelFile(stateFile, id), ...stagePlace(project) } }
}
