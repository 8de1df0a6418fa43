import type { ComposeModel } from '../../compose/model.ts'
import { openDocker } from '../../docker/client.ts'
import { listStarted } from '../../docker/containers.ts'
import { findSameApplication } from '../../project/adoption/same-application.ts'
import { folderName } from '../../project/load.ts'
import type { Mask } from '../../secrets/mask.ts'
import { exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'

/** What runs of the application on this machine's engine, and was not released by Stagecraft. */
export interface Running {
  /** the Compose project */
  readonly project: string
  /** names of its containers */
  readonly containers: readonly string[]
  /** stagecraft.yml must name the Compose project: the environment's own would be another one */
  readonly isNamed: boolean
}

/** Milliseconds: an engine that does not answer is no reason to wait. */
const PATIENCE = 5_000

/** @param name the project's, as stagecraft.yml will have it @returns undefined: nothing runs, or no engine answers */
export async function findRunning(
  model: ComposeModel,
  { directory, name, mask }: { readonly directory: string; readonly name: string; readonly mask: Mask },
): Promise<Running | undefined> {
  const own = model.name === folderName(directory) ? name : model.name
  try {
    const started = await listStarted(openDocker(exec, mask, { timeout: PATIENCE }))
    const isOwn = started.filter(
      ({ project, files }) => project === own && !files.some((file) => /\/releases\/rel-/.test(file)),
    )
    if (isOwn.length > 0) return { project: own, containers: namesOf(isOwn), isNamed: false }
    if (started.some(({ project }) => project === own)) return undefined
    const wanted = { directory, model: { ...model, name: own }, names: [model.name, folderName(directory)] }
    const [found] = findSameApplication(wanted, started)
    return found && { project: found.project, containers: namesOf(found.containers), isNamed: true }
  } catch (error) {
    if (error instanceof StagecraftError) return undefined
    throw error
  }
}

function namesOf(containers: readonly { readonly name: string }[]): string[] {
  return containers.map(({ name }) => name).toSorted()
}
