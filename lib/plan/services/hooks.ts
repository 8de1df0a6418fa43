import { type Hook, hooksOf, PRE_START_REMEDY } from '../../compose/released/hooks.ts'
import type { PlanInput, ServicePlan } from '../input.ts'

/**
 * Compose runs hooks in `up`, `start` and `stop`, and the containers of a rolled service are started by their ids.
 * @returns why a service with a hook does not roll, and what would make it possible
 */
export function hookObstacle(hook: Hook): { readonly because: string; readonly avoid?: string } {
  const because = `it has a ${hook} hook, which only Compose can run`
  return hook === 'pre_start' ? { because, avoid: PRE_START_REMEDY } : { because }
}

/**
 * Compose runs `pre_start` whenever it creates a service's containers, also where a migration would not be run.
 * @returns notes for a rollback, and for several hosts
 */
export function preStartNotes(input: PlanInput, plans: readonly ServicePlan[]): string[] {
  if (input.rollback !== true && input.host === undefined) return []
  const where = [
    ...(input.rollback ? ['in a rollback too'] : []),
    ...(input.host === undefined ? [] : ['on each host']),
  ]
  return plans.flatMap(({ service, action, replicas }) => {
    const has = hooksOf(input.target.model.services[service]).includes('pre_start')
    if (!has || replicas === 0 || !['create', 'recreate'].includes(action)) return []
    return [
      `Compose runs the pre_start hook of ${service} when it creates its containers, ${where.join(' and ')}: ${PRE_START_REMEDY}`,
    ]
  })
}
