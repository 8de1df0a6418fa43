import { releaseLines } from '../../lib/cli/commands/release-history.ts'
import type { Service } from '../../lib/compose/model.ts'
import type { LockState } from '../../lib/lock/holder.ts'
import { PHASES, type PhaseName, type PhaseStatus } from '../../lib/plan/six-phases.ts'
import { openSettings } from '../../lib/project/open.ts'
import { currentIds } from '../../lib/record/release-status.ts'
import { openState } from '../../lib/record/releases.ts'
import { type EnvironmentStatus, environmentStatus } from '../../lib/status/environment.ts'
import { formatStatus } from '../../lib/status/format.ts'
import { composeModel } from '../fakes/compose-model.ts'
import type { FakeContainer } from '../fakes/engine-state.ts'
import { FakeProject } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'

export const HOUR = 3_600_000
const CHECK = { healthcheck: { test: ['CMD', 'true'] } }

/** A built `web` of two replicas with a healthcheck, a job, a `db` that is held, and a `cache`. Nothing is deployed. */
function newShop(more: Record<string, Service> = {}): FakeProject {
  const project = new FakeProject('status')
  project.write('.dockerignore', '.stagecraft\n')
  project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
  project.engine.registry = { 'postgres:16': 'postgres', 'redis:7': 'redis' }
  project.engine.sources = { web: 'web one' }
  const services: Record<string, Service> = {
    web: { build: { context: project.folder }, scale: 2, ...CHECK, environment: { TOKEN: 'a very secret value' } },
    cache: { image: 'redis:7' },
    db: { image: 'postgres:16', ...CHECK },
    migrate: { image: 'postgres:16', command: ['exit', '0'] },
    ...more,
  }
  const after = { condition: 'service_completed_successfully' } as const
  project.engine.model = composeModel('shop', {
    services: { ...services, web: { ...services['web'], depends_on: { migrate: after } } },
  })
  return project
}

/** Called at the top of a test file. @returns a function that makes a shop, which is removed after its test */
export function shops() {
  const temporary = temporaries()
  return (more?: Record<string, Service>) => temporary(newShop(more))
}

export async function deployed(project: FakeProject): Promise<FakeProject> {
  const { error } = await project.deploy()
  if (error) throw error
  return project
}

/** What `status` sees. */
export async function look(project: FakeProject, lock: LockState = { locked: false }): Promise<EnvironmentStatus> {
  const settings = await openSettings({
    openSwarm: project.openSwarm,
    ...{ directory: project.folder, environment: undefined, stateOverride: undefined, onSwarm: true },
  })
  const { exec, clock } = project.engine
  return environmentStatus(
    { ...settings, host: { ...settings.host, readLock: () => lock } },
    { exec, clock: clock.now },
  )
}

export function printed(project: FakeProject, status: EnvironmentStatus): string {
  const marks = { currents: currentIds(status.releases), interrupted: status.interruptedIds }
  const now = project.engine.clock.now()
  return formatStatus(status, releaseLines(status.releases.slice(0, 5), marks), now).join('\n')
}

export const drift = ({ drift }: EnvironmentStatus) => drift.map(({ kind, name, why }) => `${kind} ${name}: ${why}`)

/** The containers of a service, to be changed by hand. */
export const containers = (project: FakeProject, service: string) =>
  project.engine.containersOf('shop').filter((container) => container.service === service)

export function changeHand(project: FakeProject, service: string, change: (container: FakeContainer) => object): void {
  const { state } = project.engine
  state.containers = state.containers.map((container) =>
    container.service === service ? { ...container, ...change(container) } : container,
  )
}

/** Another container of the project, as run by hand. */
export function addHand(project: FakeProject, like: string, changes: Partial<FakeContainer>): void {
  const [first] = containers(project, like)
  if (first) project.engine.state.containers.push({ ...first, id: `by-hand-${changes.name}`, file: '', ...changes })
}

/** Writes the phases of the newest release as a run leaves them that dies in this one. */
export function dieIn(project: FakeProject, id: string, dead: PhaseName): void {
  const state = openState(project.stateFile, { clock: project.engine.clock.now })
  const at = PHASES.indexOf(dead)
  const status = (index: number): PhaseStatus => (index < at ? 'completed' : index === at ? 'running' : 'pending')
  state.updatePhases(id, Object.fromEntries(PHASES.map((phase, index) => [phase, status(index)])))
}
