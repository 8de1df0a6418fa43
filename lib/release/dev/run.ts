import type { DatabaseConfig } from '../../config/databases.ts'
import type { Docker } from '../../docker/client.ts'
import { buildDev, type DevModel, stopDev, upDev } from '../../docker/compose/dev.ts'
import { listContainers } from '../../docker/containers.ts'
import { askEngine } from '../../docker/engine/facts.ts'
import { gate } from '../../docker/gate.ts'
import { ensureDisconnected } from '../../docker/networks.ts'
import { sayEngine } from '../../hosts/engine-place.ts'
import { withConnections } from '../../migrations/connection.ts'
import { outputTo } from '../../output/events.ts'
import { runMigration } from '../../phases/migrate/run.ts'
import { emitSteps } from '../../phases/rollout/steps.ts'
import { PROXY, type Route, routeNetwork, type Slots } from '../../plan/routes/table.ts'
import type { PhaseName } from '../../plan/six-phases.ts'
import { neededBy } from '../../plan/stages.ts'
import { type LockedSession, openReleaseDocker, openUndoDocker } from '../../project/session.ts'
import type { Project } from '../../project/settings.ts'
import { removeUnneeded } from '../../proxy/connect.ts'
import { repairRouting, restoreRoutes } from '../../proxy/routing.ts'
import { devModel, devRoutes, withoutMigrationJobs } from './model.ts'
import { refuseTaken } from './taken.ts'

/** What `stagecraft dev` runs, and how. */
export interface Dev {
  readonly project: Project
  readonly session: LockedSession
  /** a signal ends its commands */
  readonly docker: Docker
  /** for the end: no signal ends its commands */
  readonly undoDocker: Docker
  /** what Compose brings up and watches */
  readonly services: DevModel
  /** the same, with the jobs that migrate databases */
  readonly all: DevModel
  readonly routes: readonly Route[]
}

/** Opens what `dev` needs, and refuses what is in its way. Changes nothing. @throws config (3), failed (5), locked (7), unreachable (8) */
export async function openDev(opened: Project, session: LockedSession): Promise<Dev> {
  const project = await withConnections(opened, session)
  // Compose reads the values of `environment:` configs and secrets from its own environment.
  const exec: LockedSession['exec'] = (argv, options) =>
    session.exec(argv, { ...options, env: { ...options?.env, ...project.variables } })
  const docker = openReleaseDocker(project, { ...session, exec })
  const undoDocker = openUndoDocker(project.host, docker.mask, { ...session, exec })
  const { directory, environment } = project
  const model = devModel(project)
  const all = { model, directory }
  const services = { model: withoutMigrationJobs(model, environment), directory }
  const dev = { project, session, docker, undoDocker, services, all, routes: devRoutes(environment.services) }
  await sayWhere(project, docker, session.emit)
  await refuseTaken({ project, model: services.model, routes: dev.routes, docker, session })
  return dev
}

/** The addresses are those of the engine's machine. */
async function sayWhere(
  { environment, elsewhere }: Project,
  docker: Docker,
  emit: LockedSession['emit'],
): Promise<void> {
  const now = await askEngine(docker)
  const name = `dev of ${environment.name}`
  if (now) sayEngine({ environment: name, now, before: undefined, hasFiles: elsewhere === true }, emit)
}

/** Builds, migrates, brings all up and routes it. @throws failed (5), config (3), unreachable (8) */
export async function startDev(dev: Dev): Promise<void> {
  const { docker, services, all, session, routes } = dev
  const onOutput = outputTo(session.emit)
  const built = Object.keys(all.model.services).filter((name) => all.model.services[name]?.build)
  if (built.length > 0)
    await asPhase(dev, 'build', async () => {
      await buildDev(docker, all, built, (line) => onOutput('build', line))
      return built.join(', ')
    })
  await migrate(dev, 'migrate_pre', 'pre_deploy')
  await asPhase(dev, 'rollout', async () => {
    await upDev(docker, services, [], (line) => onOutput('rollout', line))
    if (routes.length > 0) await openRoutes(dev)
    return `${Object.keys(services.model.services).join(', ')} run`
  })
  await migrate(dev, 'migrate_post', 'post_deploy')
}

/** @param work returns what is printed of it */
async function asPhase({ session }: Dev, phase: PhaseName, work: () => Promise<string>): Promise<void> {
  const { clock, emit } = session
  const began = clock.now()
  emit({ type: 'phase', phase, status: 'running' })
  const end = (status: 'completed' | 'failed', note?: string) =>
    emit({ type: 'phase', phase, status, duration_ms: clock.now() - began, ...(note === undefined ? {} : { note }) })
  try {
    end('completed', await work())
  } catch (error) {
    end('failed')
    throw error
  }
}

async function migrate(dev: Dev, phase: PhaseName, strategy: string): Promise<void> {
  const { project, docker, undoDocker, all, session } = dev
  const { clock, emit, signal } = session
  const databases = Object.entries(project.environment.databases ?? {})
  const chosen = databases.filter(([, { migrations }]) => migrations.strategy === strategy)
  if (chosen.length === 0) return
  await asPhase(dev, phase, async () => {
    if (strategy === 'pre_deploy') await bringUpNeeded(dev, chosen)
    const tools = { docker, undoDocker, emit }
    const migrating = {
      project,
      engines: [tools],
      bundle: undefined,
      phase,
      tools: { clock, persist: undefined, signal },
    }
    for (const [name, database] of chosen) await runMigration(migrating, { name, database, stage: all, tools })
    return chosen.map(([name]) => name).join(', ')
  })
}

/** Brings up what migrations need, such as the database, and waits until it is ready. */
async function bringUpNeeded(dev: Dev, databases: readonly (readonly [string, DatabaseConfig])[]): Promise<void> {
  const { project, docker, services, session } = dev
  const { topology, model, environment } = project
  const needed = [...new Set(databases.flatMap(([, database]) => neededBy(database, topology)))]
  const known = needed.filter((name) => services.model.services[name])
  if (known.length === 0) return
  await upDev(docker, services, known, (line) => outputTo(session.emit)('migrate_pre', line))
  const containers = await listContainers(docker, model.name)
  const targets = known.map((service) => {
    const ids = containers.filter((one) => one.service === service).map(({ id }) => id)
    const { health_timeout: healthTimeout, min_ready: minReady } = environment.services[service]?.rollout ?? {}
    return { service, ids, job: topology.jobs.includes(service), healthTimeout, minReady }
  })
  await gate(docker, targets, session.clock, emitSteps(session.emit))
}

function routing({ project, session }: Dev, docker: Docker) {
  const { clock, emit } = session
  return { docker, clock, emit, name: project.model.name, proxy: project.environment.proxy }
}

async function openRoutes(dev: Dev): Promise<void> {
  const slots: Slots = Object.fromEntries(dev.routes.map(({ service }) => [service, 'a']))
  await repairRouting(routing(dev, dev.docker), { routes: dev.routes, slots })
}

/** Ends all that was begun. At once, as nobody waits for it after a second signal. Data stays. @throws failed (5), unreachable (8) */
export async function endDev(dev: Dev): Promise<void> {
  const ended = await Promise.allSettled([stopDev(dev.undoDocker, dev.services), removeRoutes(dev)])
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}

async function removeRoutes(dev: Dev): Promise<void> {
  const { undoDocker, services, routes } = dev
  if (routes.length === 0 || !(await restoreRoutes(routing(dev, undoDocker), { routes: [], slots: {} }))) return
  await ensureDisconnected(undoDocker, [routeNetwork(services.model.name), PROXY])
  await removeUnneeded(undoDocker)
}

/** Milliseconds between two looks at the containers. */
const LOOK = 1_000

/** Reports containers that have ended, until a signal; not jobs that have ended well, nor what is just recreated. */
export async function reportEnds({ project, docker, session, services }: Dev): Promise<void> {
  const { clock, emit, signal } = session
  const { jobs } = project.topology
  const looks = new Map<string, number>()
  while (!signal.aborted) {
    const all = await listContainers(docker, services.model.name).catch(() => [])
    for (const { id, name, service, state, exitCode, startedAt } of all) {
      if (state !== 'exited' || (exitCode === 0 && jobs.includes(service))) continue
      const end = `${id} ${startedAt}`
      looks.set(end, (looks.get(end) ?? 0) + 1)
      if (looks.get(end) === 2) emit({ type: 'warning', message: `${name} has ended, with exit code ${exitCode}` })
    }
    await clock.sleep(LOOK)
  }
}
