import type { Docker } from '../../docker/client.ts'
import { removeNetwork } from '../../docker/networks.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { listServices } from '../../docker/swarm/services.ts'
import { removeServices } from '../../docker/swarm/stack.ts'
import { summarizePlans } from '../../plan/format.ts'
import { isNothingToDo, servicesOf } from '../../plan/stages.ts'
import type { Bundle } from '../../record/bundle.ts'
import { errorText } from '../../util/errors.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { describeRollout } from '../rollout/describe.ts'
import type { Planning } from '../rollout/planning.ts'
import { openStackRollout } from './begin.ts'
import { bringUp } from './bring-up.ts'
import { undoRun } from './undo-run.ts'

const BOTH = { describe: describeRollout, run: rollout }

/** All or nothing on a Swarm: it replaces the tasks, and a failure brings the whole stack back. */
export const STACK_ROLLOUT: Phase = { name: 'rollout', deploy: BOTH, rollback: BOTH }

async function rollout(run: ReleaseRun): Promise<string> {
  const opened = await openStackRollout(run)
  const { hostRun, planning } = opened
  const { tools, bundle } = hostRun
  const { prepare, switch: switched } = planning.plan.stages
  try {
    await bringUp(opened, [prepare.waves, switched.waves])
    await commit(hostRun, planning)
  } catch (error) {
    throw await undoRun(opened, error)
  }
  await retireStack(tools.undoDocker, bundle.now, tools.emit)
  if (bundle.now.journal) bundle.save({ journal: undefined, retiring: [] })
  return summarizePlans([planning])
}

/** The commit point, one atomic write: the release is live. What Swarm has of each service shows later what was changed by hand. */
async function commit({ request, tools, bundle }: HostRun, { plan }: Planning): Promise<void> {
  const { docker, clock, checkLock } = tools
  const before = request.serving?.bundle.config_hashes ?? {}
  const isChanged = servicesOf([...plan.stages.prepare.waves, ...plan.stages.switch.waves])
  const now = isNothingToDo(plan) ? [] : await whileElecting(clock, () => listServices(docker, plan.project))
  const kept = Object.entries(before).filter(([service]) => !isChanged.includes(service))
  const hashes = now.flatMap(({ service, hash }) => (isChanged.includes(service) ? [[service, hash] as const] : []))
  const { removed: retiring, networks } = plan.stages.retire
  checkLock()
  bundle.save({
    config_hashes: Object.fromEntries([...kept, ...hashes]),
    switched_at: new Date(clock.now()).toISOString(),
    journal:
      retiring.length + networks.length > 0 && bundle.now.journal
        ? { ...bundle.now.journal, step: 'retire' }
        : undefined,
    ...(retiring.length > 0 ? { retiring } : {}),
  })
  if (!isNothingToDo(plan)) await tools.persist?.()
}

/** Removes services and networks that the live release does not have. May be repeated. @throws failed (5), unreachable (8) */
export async function retireStack(
  docker: Docker,
  { project, retiring = [], journal }: Bundle,
  emit: HostRun['tools']['emit'],
): Promise<void> {
  for (const service of retiring) {
    emit({ type: 'service', service, step: 'remove' })
    await removeServices(docker, [`${project}_${service}`], { what: `remove ${service}` })
  }
  for (const network of journal?.unused ?? [])
    await removeNetwork(docker, [network], { what: `remove network ${network}` }).catch((error: unknown) =>
      emit({ type: 'warning', message: errorText(error), hint: `Once no task uses it: docker network rm ${network}` }),
    )
}
