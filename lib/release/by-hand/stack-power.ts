import { isOnEachNode } from '../../compose/topology.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { restartTasks, scaleServices } from '../../docker/swarm/stack.ts'
import type { LockedSession } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { StagecraftError } from '../../util/errors.ts'
import { deployAs, type LiveStack, openLiveStack } from './live-stack.ts'
import type { Powered, PowerWish } from './power-wish.ts'

/**
 * Starts, stops or restarts services of a Swarm: a stopped one has no tasks, and the number that it had is remembered with the
 * release. A restart replaces the tasks as a rollout does.
 * @param services of the live release, without jobs, in the order in which they start
 * @throws usage (2) for one host of several and for a global service that is to be stopped, failed (5)
 */
export async function powerStack(
  settings: Settings,
  { verb, host, services }: PowerWish,
  session: LockedSession,
): Promise<Powered[]> {
  if (host !== undefined)
    throw new StagecraftError('usage', `Cannot ${verb} services of one host: they are on a Swarm`, {
      hint: 'Leave out --host: Swarm places the tasks.',
    })
  const live = await openLiveStack(settings, session)
  const order = live.bundle.topology.order.filter(
    (name) =>
      live.release.model.services[name] !== undefined &&
      !live.release.jobs.includes(name) &&
      (services.length === 0 || services.includes(name)),
  )
  const global =
    verb === 'stop' ? order.find((name) => isOnEachNode(live.release.model.services[name] ?? {})) : undefined
  if (global !== undefined) throw cannotStop(global, order)
  const act = { start, stop, restart }[verb]
  const done: Powered[] = []
  for (const service of verb === 'stop' ? order.toReversed() : order)
    done.push({ host: '', service, containers: await act(live, service, session) })
  return done
}

function cannotStop(service: string, all: readonly string[]): StagecraftError {
  const others = all.filter((name) => name !== service)
  return new StagecraftError('usage', `Cannot stop ${service}: it is global, so Swarm runs it on each node`, {
    hint:
      others.length === 0
        ? `Leave it out of the Compose file and deploy, or give it a constraint that no node fulfils.`
        : `Name the others: stagecraft stop ${others.join(' ')}`,
  })
}

async function stop(live: LiveStack, service: string, { clock, user }: LockedSession): Promise<number> {
  const { docker, stack, bundle, services } = live
  const had = services.get(service)?.wanted ?? 0
  if (had === 0) return 0
  // Before it stops, so that its reason is known as soon as it is stopped.
  const by = { by: user, at: new Date(clock.now()).toISOString(), replicas: had }
  live.save({ stopped: { ...bundle.stopped, [service]: by } })
  const watch = await live.watch(docker, true)
  await whileElecting(clock, () => scaleServices(docker, stack, { [service]: 0 }, `stop ${service}`))
  await watch.until([service])
  return had
}

async function start(live: LiveStack, service: string, { clock }: LockedSession): Promise<number> {
  const { docker, stack, release, bundle, services } = live
  const { [service]: stopped, ...others } = bundle.stopped ?? {}
  const planned = bundle.plan?.services.find((one) => one.service === service)?.replicas ?? 1
  const replicas = stopped?.replicas ?? planned
  const isThere = services.get(service)?.wanted !== 0 && services.has(service)
  if (!isThere && replicas > 0) {
    const watch = await live.watch(docker)
    await whileElecting(clock, () => deployAs(docker, stack, release, { service, replicas }))
    await watch.until([service], () => replicas)
  }
  if (stopped) live.save({ stopped: others })
  return isThere ? 0 : replicas
}

async function restart(live: LiveStack, service: string, session: LockedSession): Promise<number> {
  const { docker, stack, services } = live
  const { wanted } = services.get(service) ?? { wanted: 0 }
  if (wanted === 0) return start(live, service, session)
  const watch = await live.watch(docker)
  const name = `${stack}_${service}`
  await whileElecting(session.clock, () => restartTasks(docker, [name], { what: `restart ${service}` }))
  await watch.until([service], () => wanted ?? 1)
  return wanted ?? 1
}
