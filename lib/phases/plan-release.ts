import type { HostRequest } from './host-run.ts'
import { type Planning, planRollout } from './rollout/planning.ts'
import { planStack } from './swarm/planning.ts'

/** Plans a release on one host, or on a Swarm. @throws config (3), failed (5), unreachable (8) */
export function planRelease(
  request: HostRequest,
  tools: Parameters<typeof planRollout>[1],
  facts: Parameters<typeof planRollout>[2],
): Promise<Planning> {
  const plan = request.project.environment.engine === 'swarm' ? planStack : planRollout
  return plan(request, tools, facts)
}
