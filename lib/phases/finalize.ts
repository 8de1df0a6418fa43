import { modelFile } from '../bundle.ts'
import { listContainers } from '../docker.ts'
import { errorText, StagecraftError } from '../errors.ts'
import { lastWords } from '../gate.ts'
import { planPrune, prune } from '../prune.ts'
import type { Run } from '../run.ts'
import { replicasOf } from '../services.ts'

/** Verifies that what runs is what was released, and removes what no rollback needs any more. */
export async function finalize(run: Run): Promise<string> {
  const verified = await verify(run)
  const pruned = await tidy(run)
  return [verified, ...pruned].join('; ')
}

/** A failing prune is a warning: the release serves. */
async function tidy({ state, project, bundle, restoring, emit }: Run): Promise<string[]> {
  try {
    const plan = planPrune(state, bundle.environment, project.environment.keep, bundle.id)
    const { bundles } = await prune(restoring, state, plan)
    return bundles.length === 0
      ? []
      : [`${bundles.length} older ${bundles.length === 1 ? 'release' : 'releases'} pruned`]
  } catch (error) {
    emit({ type: 'warning', message: errorText(error), hint: '`stagecraft prune` tries again.' })
    return []
  }
}

async function verify(run: Run): Promise<string> {
  const { bundle, project } = run
  const containers = await listContainers(run.restoring, bundle.project)
  const services = Object.keys(bundle.images).filter((service) => !bundle.topology.jobs.includes(service))
  for (const service of services) {
    const own = containers.filter((container) => container.service === service)
    if (project.environment.services[service]?.rollout.strategy === 'hold') continue // never touched; the plan says how it is
    const bad = own.find(({ state, image }) => state !== 'running' || image !== bundle.images[service]?.id)
    const wanted = replicasOf(project.model.services[service] ?? {}) > 0
    if (bad === undefined && (own.length > 0 || !wanted)) continue
    throw new StagecraftError(
      'after-commit',
      `Cannot confirm that ${service} runs as released: ${bad ? `it is ${bad.state}` : 'it has no container'}`,
      {
        ...(bad ? { detail: await lastWords(run.restoring, bad) } : {}),
        hint: `Look at the container (docker logs), or deploy again: that recreates it. Its model is ${modelFile(project.stateFile, bundle.id)}.`,
      },
    )
  }
  return `${services.length} ${services.length === 1 ? 'service runs' : 'services run'} as released`
}
