import { whileElecting } from '../../docker/swarm/election.ts'
import { deployStack } from '../../docker/swarm/stack.ts'
import type { Step } from '../../plan/input.ts'
import type { Wave } from '../../plan/waves.ts'
import { STEPS } from '../rollout/steps.ts'
import type { StackRollout } from './begin.ts'
import { patienceFor, stageStack } from './stage.ts'
import { openWatch } from './watch.ts'

/**
 * Deploys services wave by wave, and waits until they are ready. What is new, or rolls, comes first: if that fails, nothing that has
 * downtime was touched. @throws failed (5) if one cannot become ready, unreachable (8)
 */
export async function bringUp(
  { hostRun, planning: { plan }, release, recorder }: StackRollout,
  stages: readonly (readonly Wave<Step>[])[],
): Promise<void> {
  const { docker, clock, emit, checkLock } = hostRun.tools
  if (stages.flat().length === 0) return
  const watch = await openWatch({ docker, clock, emit, stack: plan.project })
  const patience = (service: string) => patienceFor(release, service)
  const deploy = (members: readonly Step[], nudges = 0) => {
    const what = `deploy ${members.map(({ service }) => service).join(', ')}`
    return deployStack(docker, plan.project, stageStack(release, members, nudges), what)
  }
  const all = stages.flat().flatMap(({ members }) => members)
  const nudge = (name: string, attempt: number) =>
    deploy(
      all.filter(({ service }) => service === name),
      attempt,
    )
  for (const waves of stages) {
    const open: string[] = []
    for (const { members, awaited } of waves) {
      const names = members.map(({ service }) => service)
      checkLock()
      recorder.touch(names)
      for (const { service, action, why } of plan.services)
        if (names.includes(service)) emit({ type: 'service', service, step: STEPS[action] ?? 'create', note: why })
      await whileElecting(clock, () => deploy(members))
      await watch.until(awaited, patience, nudge)
      open.push(...names.filter((name) => !awaited.includes(name)))
    }
    await watch.until(open, patience, nudge)
  }
}
