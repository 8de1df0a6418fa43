import { servicesOf } from '../../plan/stages.ts'
import type { HostRollout } from '../rollout/host-rollout.ts'
import { bringUp } from '../rollout/steps.ts'

/** Creates what migrations need and what has no container yet, such as the database on a first deploy, and waits until it is ready. */
export async function bringUpNeeded(rollout: HostRollout): Promise<void> {
  const { planning, stage, recorder, steps } = rollout
  const { plan } = planning
  const { waves } = plan.stages.migrate ?? { waves: [] }
  if (servicesOf(waves).length === 0) return
  const { services } = steps.project.environment
  // The proxy is left for the rollout: what is not exposed does not need it.
  const onReady = async (service: string, ids: readonly string[], cancelled: () => boolean) => {
    if (services[service]?.expose) await steps.onReady?.(service, ids, cancelled)
  }
  rollout.brought = await bringUp({ ...steps, onReady }, { plan, modelFile: stage, waves }, recorder)
}
