import type { Docker } from '../../docker/client.ts'
import type { Container } from '../../docker/inspect.ts'
import { stop } from '../../docker/lifecycle.ts'
import { summarizePlans } from '../../plan/format.ts'
import { releaseId } from '../../plan/release-id.ts'
import { isNothingToDo, servicesOf } from '../../plan/stages.ts'
import { freeNetworks } from '../../proxy/own-networks.ts'
import { switchRoutes } from '../../proxy/routing.ts'
import { proveReachable } from '../../proxy/slots.ts'
import { logKeeper } from '../../record/bundle/logs.ts'
import type { Recorder } from '../../record/journal.ts'
import { sameContent } from '../../util/canonical.ts'
import { keepAssets } from '../assets.ts'
import { onEachHost } from '../each-host.ts'
import type { ReleaseRun } from '../host-run.ts'
import type { Phase } from '../loop.ts'
import { installSchedules, schedulesNow } from '../schedules.ts'
import { certain, openRollout } from './begin.ts'
import { describeRollout } from './describe.ts'
import type { HostRollout } from './host-rollout.ts'
import { oldVolumesOf } from './renewal.ts'
import { retire } from './retire.ts'
import { bringUp } from './steps.ts'
import { stillLive } from './still-live.ts'
import { undoAll } from './undo/all.ts'

const BOTH = { describe: describeRollout, run: rollout }

export const ROLLOUT: Phase = { name: 'rollout', deploy: BOTH, rollback: BOTH }

/**
 * All or nothing. Prepare creates what is new, runs jobs, and starts rolled services alongside the live ones; switch
 * replaces what cannot roll, then switches the proxy; retire drains and removes old containers. Each begins when the
 * one before has ended on all hosts. A failure before the end of the switch restores the previous release everywhere.
 */
async function rollout(run: ReleaseRun): Promise<string> {
  const rollouts = await openRollout(run).catch(async (error: unknown) => {
    throw await stillLive(run, error)
  })
  const on = <R>(work: (rollout: HostRollout) => Promise<R>, how?: { ordered: boolean }) =>
    onEachHost(run, (_, at) => work(certain(rollouts[at])), how)
  try {
    const prepared = await on(prepare, { ordered: true })
    const switched = await on(switchOver, { ordered: true })
    await commitAll(
      run,
      rollouts.map((rollout, at) => [rollout, switched[at] ?? prepared[at] ?? rollout.planning.containers]),
    )
  } catch (error) {
    throw await undoAll(run, rollouts, error)
  }
  await on(finish)
  return summarizePlans(rollouts.map(({ planning }) => planning))
}

/** From the commit point on, what is left may be repeated: if it fails here, the next command does it. */
async function finish({ hostRun: { request, tools, bundle }, routing }: HostRollout): Promise<void> {
  const { host, stateFile } = request.project
  const docker = tools.undoDocker
  const keepLog = logKeeper(stateFile, releaseId(bundle.now.id), tools.clock)
  const [scheduled, retired] = await Promise.allSettled([
    installSchedules({ host, docker }, bundle.now),
    retire({ ...routing, docker, keepLog }, bundle.now),
  ])
  for (const each of [retired, scheduled]) if (each.status === 'rejected') throw each.reason
  const scheduler = scheduled.status === 'fulfilled' ? scheduled.value : undefined
  if (scheduler || bundle.now.journal) bundle.save({ scheduler, journal: undefined, retiring: [] })
}

async function prepare({ stage, planning, recorder, routing, proxyReady, steps, ...rollout }: HostRollout) {
  const { plan, containers } = planning
  const { waves, prove } = plan.stages.prepare
  const ready = proxyReady().then(() => keepAssets(rollout.hostRun))
  // If one of the two fails, the other one ends before anything is undone.
  const [brought] = await Promise.allSettled([bringUp(steps, { plan, modelFile: stage, waves }, recorder), ready])
  if (brought.status === 'rejected') throw brought.reason
  await ready
  for (const service of prove) {
    const running = containers.filter((container) => container.service === service && container.state === 'running')
    const ids = running.map(({ id }) => id)
    recorder.routes()
    await proveReachable(routing, service, ids)
  }
  return brought.value ?? rollout.brought
}

async function switchOver({ hostRun, stage, planning, recorder, routing, steps }: HostRollout) {
  const { tools, bundle } = hostRun
  recorder.switch()
  const { plan, containers } = planning
  const { networks, disconnect, stop, waves, proxy, slots } = plan.stages.switch
  await freeNetworks(tools.docker, plan.project, networks, () => recorder.touch([...servicesOf(waves), ...disconnect]))
  await freePorts(tools.docker, stop, containers, recorder)
  const switched = await bringUp(steps, { plan, modelFile: stage, waves }, recorder)
  const before = recorder.journal.routing
  if (proxy && before) {
    tools.checkLock()
    recorder.routes()
    await tools.persist?.() // the next run must be able to undo the switch
    // No signal cancels this: a change would continue inside the proxy, and the undo must come after it.
    const routes = await switchRoutes({ ...routing, docker: tools.undoDocker }, before)
    bundle.now = { ...bundle.now, routes, slots: routing.slots } // written with the commit point
    for (const service of Object.keys(slots))
      tools.emit({ type: 'service', service, step: 'switch', note: `requests go to ${bundle.now.version}` })
  }
  return switched
}

async function freePorts(
  docker: Docker,
  services: readonly string[],
  containers: readonly Container[],
  recorder: Recorder,
): Promise<void> {
  for (const service of services) {
    recorder.touch([service])
    const own = containers.filter((container) => container.service === service)
    await stop(docker, own, { what: `stop ${service}` })
  }
}

/** The commit point, one atomic write: the release is live. Compose's hashes show later what was changed by hand. */
function commit(
  { hostRun: { request, tools, bundle }, planning, recorder: { journal }, gaps }: HostRollout,
  containers: readonly Container[],
): void {
  tools.checkLock()
  const live = request.serving?.bundle
  const { rolling = [], before } = journal
  const { removed: retiring, networks, unroute } = planning.plan.stages.retire
  const old = new Set(before.flatMap(({ id, service }) => (rolling.includes(service) ? [id] : [])))
  const hashes = containers.flatMap(({ id, service, configHash }) => (old.has(id) ? [] : [[service, configHash]]))
  const schedules = schedulesNow(planning.input, planning.plan, containers, new Set(before.map(({ id }) => id)))
  const isMoved = !sameContent(schedules ?? {}, live?.schedules ?? {})
  const isLeft = isMoved || [...retiring, ...networks, ...rolling, ...unroute].length > 0
  const measured = { ...live?.gaps, ...gaps }
  const old_volumes = oldVolumesOf(containers, planning.containers, live?.old_volumes)
  const { routes = live?.routes, slots = live?.slots } = bundle.now
  bundle.save({
    config_hashes: Object.fromEntries(hashes),
    switched_at: new Date(tools.clock.now()).toISOString(),
    journal: isLeft ? { ...journal, step: 'retire' } : undefined,
    ...(Object.keys(measured).length > 0 ? { gaps: measured } : {}),
    ...(routes && slots ? { routes, slots } : {}),
    ...(schedules ? { schedules } : {}),
    ...(live?.scheduler ? { scheduler: live.scheduler } : {}),
    ...(old_volumes.length > 0 ? { old_volumes } : {}),
    ...(retiring.length > 0 ? { retiring } : {}),
  })
}

/** Commits on all hosts. The first host's bundle decides, and is written last; if that fails, no write counts. */
async function commitAll(
  run: ReleaseRun,
  rollouts: readonly (readonly [HostRollout, readonly Container[]])[],
): Promise<void> {
  const before = run.hostRuns.map(({ bundle }) => bundle.now)
  try {
    for (const [rollout, containers] of rollouts.toReversed()) commit(rollout, containers)
    // If nothing was changed, no other run has to know of it before the end.
    if (rollouts.some(([{ planning }]) => !isNothingToDo(planning.plan))) await run.tools.persist?.()
  } catch (error) {
    for (const [at, { bundle }] of run.hostRuns.entries()) {
      bundle.now = before[at] ?? bundle.now
      bundle.save({}) // without the commit point; the undo persists it if it can
    }
    throw error
  }
}
