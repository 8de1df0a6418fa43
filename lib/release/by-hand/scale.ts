import { isOnEachNode } from '../../compose/topology.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { scaleServices } from '../../docker/swarm/stack.ts'
import type * as contract from '../../output/contract/results.ts'
import { findLiveOn, liveServices, noService } from '../../project/live.ts'
import type { LockedSession } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import type { Of } from '../../util/schema.ts'
import { type LiveStack, openLiveStack } from './live-stack.ts'

/** A service, and how many tasks it is to have. */
export interface ScaleWish {
  readonly service: string
  readonly replicas: number
}

/** How a service was scaled. */
export type Scaled = Of<typeof contract.scaled>

/**
 * Sets numbers of replicas on a Swarm, and waits until the tasks are ready. It is remembered with the release: the next one keeps
 * the number until that in the Compose file changes. If one service does not become ready, all go back.
 * @throws usage (2) for a Compose project, a job, a global service and for 0; not-found (4); failed (5); not-restored (6)
 */
export async function scale(
  settings: Settings,
  wishes: readonly ScaleWish[],
  session: LockedSession,
): Promise<Scaled[]> {
  const live = await openLiveStack(settings, session)
  const all = wishes.map(({ service, replicas }) => ({ service, from: scalable(live, service), to: replicas }))
  const changed = all.filter(({ from, to }) => from !== to)
  if (changed.length === 0) return all
  const { clock, emit, user } = session
  const { docker, stack, bundle } = live
  const [now, before] = [countsOf(changed, 'to'), countsOf(changed, 'from')]
  const at = new Date(clock.now()).toISOString()
  const by = changed.map(({ service, to }) => [service, { by: user, at, replicas: to }] as const)
  live.save({ scaled: { ...bundle.scaled, ...Object.fromEntries(by) } })
  const what = `scale ${Object.keys(now).join(', ')}`
  try {
    const watch = await live.watch(docker)
    for (const { service, from, to } of changed)
      emit({ type: 'service', service, step: 'scale', note: `${from} → ${to} replicas` })
    await whileElecting(clock, () => scaleServices(docker, stack, now, what))
    await watch.until(Object.keys(now))
  } catch (error) {
    throw await goBack(live, before, bundle.scaled, session, error)
  }
  await session.held.persist?.()
  return all
}

/**
 * Before anything is locked: what can never be scaled.
 * @throws usage (2), not-found (4)
 */
export function refuseScale(settings: Settings, wishes: readonly ScaleWish[]): void {
  const { environment } = settings
  const [first] = wishes
  if (environment.engine !== 'swarm')
    throw new StagecraftError('usage', `Cannot scale in ${environment.name}: it is not on a Swarm`, {
      hint: `Set the number in the Compose file (\`scale: ${first?.replicas ?? 2}\` of ${first?.service ?? 'the service'}), then: stagecraft deploy`,
    })
  const live = findLiveOn(settings)
  const [release] = live.map(({ release }) => release)
  for (const { service, replicas } of wishes) {
    if (!liveServices(live).includes(service)) throw noService(live, { service, host: undefined })
    if (release?.bundle.topology.jobs.includes(service))
      throw new StagecraftError('usage', `Cannot scale ${service}: it is a job, which ends by itself`)
    if (isOnEachNode(release?.model.services[service] ?? {}))
      throw new StagecraftError('usage', `Cannot scale ${service}: it is global, with one task on each node`, {
        hint: 'Which nodes: deploy.placement.constraints in the Compose file.',
      })
    if (replicas === 0)
      throw new StagecraftError('usage', `Cannot scale ${service} to 0: a release would start it again`, {
        hint: `Until the next deploy: stagecraft stop ${service}. For good: \`deploy: {replicas: 0}\` in the Compose file.`,
      })
  }
}

/** @returns how many tasks it has now. @throws failed (5) if there is nothing to scale */
function scalable({ services, bundle }: LiveStack, service: string): number {
  const { wanted = 0 } = services.get(service) ?? {}
  if (wanted > 0) return wanted
  const { by } = bundle.stopped?.[service] ?? {}
  throw new StagecraftError(
    'failed',
    `Cannot scale ${service}: ${by ? `it was stopped by ${by}` : 'it has no tasks on the Swarm'}`,
    { hint: `Start it first: stagecraft start ${service}` },
  )
}

function countsOf(all: readonly Scaled[], which: 'from' | 'to'): Record<string, number> {
  return Object.fromEntries(all.map((one) => [one.service, one[which]]))
}

/** @returns the error to end with: not-restored (6) unless all have the number that they had before, else `cause` */
async function goBack(
  live: LiveStack,
  before: Readonly<Record<string, number>>,
  scaled: LiveStack['bundle']['scaled'],
  { clock, emit, held }: LockedSession,
  cause: unknown,
): Promise<unknown> {
  const { undoDocker: docker, stack } = live
  try {
    const watch = await live.watch(docker)
    for (const service of Object.keys(before)) emit({ type: 'service', service, step: 'restore' })
    await whileElecting(clock, () => scaleServices(docker, stack, before, 'restore the number of replicas'))
    live.save({ scaled: scaled ?? {} })
    await held.persist?.()
    await watch.until(Object.keys(before))
  } catch (error) {
    const counts = Object.entries(before).map(([service, count]) => `${service}=${count}`)
    return new StagecraftError(
      'not-restored',
      'Cannot restore the number of replicas: scaling failed, and so did the undo',
      {
        cause: error,
        detail: [errorText(cause), '', errorText(error)].join('\n'),
        hint: `Fix what the second error names, then: stagecraft scale ${counts.join(' ')}`,
      },
    )
  }
  return cause
}
