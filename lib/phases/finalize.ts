import { modelFile } from '../bundle.ts'
import { listContainers } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { lastWords } from '../gate.ts'
import type { Run } from '../run.ts'
import { replicasOf } from '../services.ts'

/** Verifies that what runs is what was released. */
export async function finalize(run: Run): Promise<string> {
  const { bundle, project } = run
  const containers = await listContainers(run.restoring, bundle.project)
  const services = Object.keys(bundle.images).filter((service) => !bundle.topology.jobs.includes(service))
  for (const service of services) {
    const own = containers.filter((container) => container.service === service)
    const hold = project.environment.services[service]?.rollout.strategy === 'hold'
    const bad = own.find(({ state, image }) => state !== 'running' || (image !== bundle.images[service]?.id && !hold))
    const wanted = replicasOf(project.model.services[service] ?? {}) > 0
    if (bad === undefined && (own.length > 0 || !wanted)) continue
    throw new StagecraftError(
      'after-commit',
      `Cannot confirm that ${service} runs as released: ${bad ? `it is ${bad.state}` : 'it has no container'}`,
      {
        ...(bad ? { detail: await lastWords(run.restoring, bad) } : {}),
        hint: `The release serves. Look at the container; its model is ${modelFile(project.stateFile, bundle.id)}.`,
      },
    )
  }
  return `${services.length} ${services.length === 1 ? 'service runs' : 'services run'} as released`
}
