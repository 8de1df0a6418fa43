import type { Docker } from '../../docker/client.ts'
import { listContainers } from '../../docker/containers.ts'
import { gate } from '../../docker/gate.ts'
import { type Container, isUp } from '../../docker/inspect.ts'
import { start, stop } from '../../docker/lifecycle.ts'
import { emitSteps } from '../../phases/rollout/steps.ts'
import { chooseHosts, findLiveOn, type LivePart, liveServices, noService } from '../../project/live.ts'
import { refuseForeign } from '../../project/ownership.ts'
import { type LockedSession, openReleaseDocker } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { type Bundle, writeBundle } from '../../record/bundle.ts'
import { StagecraftError } from '../../util/errors.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { Powered, PowerWish } from './power-wish.ts'
import { powerStack } from './stack-power.ts'

/**
 * Starts, stops or restarts the containers of the live release. What is stopped is remembered with the release: `status` and
 * `plan` say who stopped it, and a deploy starts it.
 * @throws not-found (4), usage (2) for a job, failed (5) if one does not become ready
 */
export async function power(settings: Settings, wish: PowerWish, session: LockedSession): Promise<Powered[]> {
  const live = findLiveOn(settings)
  const names = liveServices(live)
  for (const service of wish.services) {
    if (!names.includes(service)) throw noService(live, { service, host: wish.host })
    if (live.some(({ release }) => release.bundle.topology.jobs.includes(service)))
      throw new StagecraftError('usage', `Cannot ${wish.verb} ${service}: it is a job, which ends by itself`, {
        hint: `To run its command: stagecraft run ${service}`,
      })
  }
  if (settings.environment.engine === 'swarm') {
    const done = await powerStack(settings, wish, session)
    await session.held.persist?.()
    return done
  }
  const hosts = chooseHosts(settings, wish.host)
  const parts = live.filter(({ host }) => hosts.includes(host))
  const [first] = parts
  if (first) await refuseForeign(settings, first.release.bundle.project, session)
  const done = await mapConcurrently(parts, (part) => powerOn(part, wish, settings, session))
  await session.held.persist?.()
  return done.flat()
}

async function powerOn(
  { host, release }: LivePart,
  { verb, services }: PowerWish,
  { stateFile }: Settings,
  session: LockedSession,
): Promise<Powered[]> {
  const docker = openReleaseDocker({ secrets: [], host }, session)
  const { topology, project } = release.bundle
  const isWanted = (service: string) =>
    release.model.services[service] !== undefined &&
    !topology.jobs.includes(service) &&
    (services.length === 0 || services.includes(service))
  const order = topology.order.filter(isWanted)
  let { bundle } = release
  const save = (stopped: Bundle['stopped']) => {
    bundle = { ...bundle, ...(stopped ? { stopped } : {}) }
    writeBundle(stateFile, bundle)
  }
  const done: Powered[] = []
  for (const service of verb === 'stop' ? order.toReversed() : order) {
    const own = (await listContainers(docker, project)).filter((container) => container.service === service)
    const { [service]: _, ...others } = bundle.stopped ?? {}
    const containers = verb === 'start' ? own.filter((one) => !isUp(one)).length : own.length
    if (verb === 'stop') {
      // Before it stops, so that its reason is known as soon as it is stopped.
      save({ ...others, [service]: { by: session.user, at: new Date(session.clock.now()).toISOString() } })
      await stop(docker, own.filter(isUp), { what: `stop ${service}` })
    } else {
      if (verb === 'restart') await restartInTurn(docker, own, bundle, session)
      else await startAll(docker, own, bundle, session)
      if (bundle.stopped?.[service]) save(others)
    }
    done.push({ host: host.name, service, containers })
  }
  return done
}

async function startAll(docker: Docker, own: readonly Container[], bundle: Bundle, session: LockedSession) {
  const down = own.filter((container) => !isUp(container))
  const [first] = down
  if (first === undefined) return
  await start(docker, down, { what: `start ${first.service}` })
  await untilReady(docker, down, bundle, session)
}

/** One after the other, so that the others go on answering. */
async function restartInTurn(docker: Docker, own: readonly Container[], bundle: Bundle, session: LockedSession) {
  for (const container of own) {
    const { service } = container
    await stop(docker, [container], { what: `stop ${service}` })
    await start(docker, [container], { what: `start ${service}` })
    await untilReady(docker, [container], bundle, session)
  }
}

async function untilReady(
  docker: Docker,
  started: readonly Container[],
  { services = {} }: Bundle,
  { clock, emit }: LockedSession,
): Promise<void> {
  const service = started[0]?.service ?? ''
  const { rollout = {} } = services[service] ?? {}
  const ids = started.map(({ id }) => id)
  const target = { service, ids, job: false, healthTimeout: rollout.health_timeout, minReady: rollout.min_ready }
  await gate(docker, [target], clock, emitSteps(emit))
}
