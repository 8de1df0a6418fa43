import { type Stage, toWaves, upArgs } from './compose-up.ts'
import { type Container, listContainers } from './docker.ts'
import { errorText, StagecraftError } from './errors.ts'
import { table } from './format.ts'
import { gate } from './gate.ts'
import type { Planning } from './planning.ts'
import { type Changes, freeNetworks, gateTarget, removeContainers, wantedAsBefore } from './rollout-steps.ts'
import type { Run } from './run.ts'
import type { Topology } from './services.ts'

/**
 * Puts back what served before a rollout that failed: removes what is new, by id, before anything is asked of Compose,
 * then brings the former definition of what was replaced up again.
 * @param served undefined: nothing did, or nothing is known about it
 * @throws not-restored (6), with what runs where
 */
export async function putBack(
  run: Run,
  planning: Planning,
  changes: Changes,
  served: Stage | undefined,
  cause: unknown,
): Promise<void> {
  const restoring = { ...run, docker: run.restoring }
  try {
    const { lost, started } = await removeNew(restoring, planning, changes)
    if (lost.length > 0) await restore(restoring, planning, changes, served, lost)
    await proveWell(restoring, planning, [...lost, ...started])
    if (planning.containers.length === 0) await removeNetworks(restoring, planning.plan.project)
  } catch (error) {
    throw await notRestored(restoring, planning.plan.project, cause, error)
  }
}

/**
 * Removes what is new and starts again what was only stopped, in this order: the new may have taken a port.
 * @returns the services that it started again, and as `lost` those whose former containers are gone, unplugged from a
 * network that was removed, or in the network of one of these. Their new ones stay for now: Compose replaces them by the
 * old definition, and hands their anonymous volumes back.
 */
async function removeNew(run: Run, { containers: before, plan }: Planning, changes: Changes) {
  await finishStops(run, before, changes)
  const now = await listContainers(run.docker, plan.project)
  const touched = [...changes.touched].filter((service) => !topologyBefore(run).jobs.includes(service))
  const hadBefore = (service: string) => before.filter((container) => container.service === service)
  const isGone = ({ id }: Container) => !now.some((container) => container.id === id)
  const lost = touched.filter((service) => {
    const own = hadBefore(service)
    return own.some(isGone) || (own.length > 0 && changes.replaced.length > 0)
  })
  const known = new Set(before.map(({ id }) => id))
  const fresh = now.filter(
    ({ id, service }) => changes.touched.has(service) && !lost.includes(service) && !known.has(id),
  )
  await removeContainers(run.docker, fresh)
  const isStopped = ({ id }: Container) => now.find((container) => container.id === id)?.state !== 'running'
  const started: string[] = []
  if (plan.handovers.length > 0) await stopAll(run, plan.project, lost) // what is started again may want its port back
  for (const service of touched.filter((name) => !lost.includes(name))) {
    const stopped = hadBefore(service).filter((container) => container.state === 'running' && isStopped(container))
    if (stopped.length === 0) continue
    run.emit({ type: 'service', service, step: 'restore' })
    await run.docker.run(`start ${service} again`, ['start', ...stopped.map(({ id }) => id)])
    started.push(service)
  }
  const bereft = followersOf([...lost, ...started], topologyBefore(run)).filter((name) => hadBefore(name).length > 0)
  return { lost: [...new Set([...lost, ...bereft])], started }
}

/**
 * The engine goes on stopping a container when the client that asked for it is gone: for up to its grace period it looks
 * as if it ran, and then it is dead (tried). Waits for those that are on their way, so that they can be started again.
 */
async function finishStops({ docker, clock }: Run, before: readonly Container[], changes: Changes): Promise<void> {
  const own = before.filter(({ service, state }) => changes.touched.has(service) && state === 'running')
  if (own.length === 0) return
  const seconds = (ms: number) => (ms / 1000).toFixed(3)
  const span = ['--since', seconds(changes.started - CLOCK_SKEW), '--until', seconds(clock.now())]
  const filters = ['--filter', 'type=container', '--filter', 'event=kill', '--format', '{{.ID}}']
  const events = await docker.try(['events', ...span, ...filters], { timeout: 30_000 })
  const asked = new Set(events.stdout.split('\n'))
  const stopping = own.flatMap(({ id }) => (asked.has(id) ? [id] : []))
  if (stopping.length > 0) await docker.try(['stop', ...stopping])
}

/** Milliseconds that the engine's clock may be behind ours. */
const CLOCK_SKEW = 60_000

/** What was a job then, and needed what, not what the release that failed says. */
function topologyBefore(run: Run): Topology {
  return run.serving?.bundle.topology ?? run.project.topology
}

/** @returns the services that lose what they use of others (a network, volumes) when those are made anew or stop. */
function followersOf(services: readonly string[], { order, needs, jobs }: Topology): string[] {
  const all = new Set(services)
  for (const service of order)
    if (!jobs.includes(service) && (needs[service] ?? []).some((need) => need.follows && all.has(need.service)))
      all.add(service)
  return [...all].filter((service) => !services.includes(service))
}

async function restore(
  run: Run,
  { containers: before, plan }: Planning,
  changes: Changes,
  served: Stage | undefined,
  lost: readonly string[],
): Promise<void> {
  const unknown = lost.filter((service) => served?.model.services[service] === undefined)
  if (served === undefined || unknown.length > 0)
    throw new StagecraftError(
      'failed',
      `Cannot put back ${unknown.join(', ')}: it was not deployed by Stagecraft before`,
    )
  await freeNetworks(run.docker, plan.project, changes.replaced)
  if (plan.handovers.length > 0) await stopAll(run, plan.project, lost) // ports pass back
  const { needs } = topologyBefore(run)
  const members = lost.map((service) => wantedAsBefore(service, before))
  for (const wave of toWaves(members, needs)) {
    for (const { service } of wave.members) run.emit({ type: 'service', service, step: 'restore' })
    const names = wave.members.map(({ service }) => service).join(', ')
    await run.docker.run(`put back ${names}`, upArgs(served, wave.members, 'anew'), { cwd: served.directory })
  }
}

/** What was well before must pass the same gate as what is new. */
async function proveWell(run: Run, { containers: before, plan }: Planning, services: readonly string[]): Promise<void> {
  if (services.length === 0) return
  const now = await listContainers(run.docker, plan.project)
  const wereWell = services.filter((service) => isWell(before.filter((container) => container.service === service)))
  const project = { ...run.project, topology: topologyBefore(run) }
  const targets = wereWell.map((service) => gateTarget({ project }, service, now, new Set()))
  await gate(run.docker, targets, run.clock, () => {})
}

async function stopAll(run: Run, project: string, services: readonly string[]): Promise<void> {
  const containers = await listContainers(run.docker, project)
  const ids = containers.filter(({ service }) => services.includes(service)).map(({ id }) => id)
  if (ids.length > 0) await run.docker.run(`stop ${services.join(', ')}`, ['stop', ...ids])
}

function isWell(containers: readonly Container[]): boolean {
  return containers.every(({ state, health }) => state === 'running' && health !== 'unhealthy')
}

/** After a first deploy that failed nothing is left but volumes, which may hold data. */
async function removeNetworks(run: Run, project: string): Promise<void> {
  const filter = `label=com.docker.compose.project=${project}`
  const list = await run.docker.try(['network', 'ls', '-q', '--filter', filter])
  for (const id of list.stdout.split('\n').filter(Boolean)) await run.docker.try(['network', 'rm', id])
}

async function notRestored(run: Run, project: string, cause: unknown, error: unknown): Promise<StagecraftError> {
  const rows = await listContainers(run.docker, project).then(
    (containers) =>
      containers.map(({ service, name, state, health, image }) => [service, name, state, health, image.slice(7, 19)]),
    () => [['the engine does not say']],
  )
  const detail = [
    errorText(cause),
    '',
    errorText(error),
    '',
    'What runs now:',
    ...table([['service', 'container', 'state', 'health', 'image'], ...rows]).map((line) => `  ${line}`),
  ]
  return new StagecraftError(
    'not-restored',
    'Cannot put back what served before: the rollout failed, and so did undoing it',
    {
      cause: error,
      detail: detail.join('\n'),
      hint: 'Mend what the second error names, then deploy again, or start what is missing by hand.',
    },
  )
}
