import { expect } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { exitCodeOf } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, type Outcome } from '../fakes/project.ts'

/** An application of three services, of which `web` is built. Nothing has been deployed. */
export function newShop(
  title: string,
  services: Record<string, Service> = {},
  without: readonly string[] = [],
): FakeProject {
  const project = new FakeProject(title)
  project.write('.dockerignore', '.stagecraft\n')
  project.engine.registry = { 'postgres:16': 'postgres', 'redis:7': 'redis' }
  project.engine.sources = { web: 'web one' }
  change(project, services, without)
  return project
}

/** Rewrites the Compose file: the application of `shop`, with these services added or replaced. */
export function change(project: FakeProject, services: Record<string, Service>, without: readonly string[] = []): void {
  const own: Record<string, Service> = {
    web: { build: { context: project.folder, dockerfile: 'Dockerfile' }, environment: { GREETING: 'hello' } },
    cache: { image: 'redis:7' },
    db: { image: 'postgres:16', volumes: [{ type: 'volume', source: 'data', target: '/var/lib/postgresql/data' }] },
  }
  const all = Object.entries({ ...own, ...services }).filter(([name]) => !without.includes(name))
  project.engine.model = composeModel('shop', { services: Object.fromEntries(all), volumes: { data: {} } })
}

/** The error as a user sees it. */
export function told({ error }: Pick<Outcome, 'error'>): string {
  if (error === undefined) return 'no error'
  const { kind, message, detail, hint } = error
  return [`${kind} (exit ${exitCodeOf(error)}): ${message}`, detail, hint && `hint: ${hint}`].filter(Boolean).join('\n')
}

// A change that does everything at once.

/** Recreate web and its sidecar, create api, run job, replace the network back (with worker), remove cache. */
function before(project: FakeProject): void {
  model(project, { label: 'one', step: '1' }, { cache: { image: 'redis:7' } })
}
function after(project: FakeProject): void {
  project.engine.sources = { web: 'web two' }
  model(project, { label: 'two', step: '2' }, { api: { image: 'redis:7', networks: { default: null, back: null } } })
}
function model(
  project: FakeProject,
  { label, step }: { label: string; step: string },
  more: Record<string, Service>,
): void {
  const services: Record<string, Service> = {
    ...more,
    web: { build: { context: '/x' }, depends_on: { job: { condition: 'service_completed_successfully' } } },
    side: { image: 'redis:7', network_mode: 'service:web' },
    job: { image: 'redis:7', command: ['exit', '0'], environment: { STEP: step } },
    worker: { image: 'redis:7', networks: { back: null } },
    db: { image: 'postgres:16' },
  }
  project.engine.model = composeModel('shop', {
    services,
    networks: { back: { labels: { label } } },
  })
}

export const OLD = [
  'cache of redis running on shop_default',
  'db of postgres running on shop_default',
  'side of redis running in web',
  'web of web one running on shop_default',
  'worker of redis running on shop_back',
]
export const NEW = [
  'api of redis running on shop_default+shop_back',
  'db of postgres running on shop_default',
  'side of redis running in web',
  'web of web two running on shop_default',
  'worker of redis running on shop_back',
]
/** A job does not count for the live release: the container of a finished one may have been removed. */
export const serving = (project: FakeProject) => project.view().filter((line) => !line.startsWith('job '))

/** The first version is live. `start` returns to it, with the change in the files; `commands` are all of the change's. */
export async function prepareBigChange(title: string) {
  const project = newShop(title)
  // Each look at the containers is a command: a short wait keeps their number down.
  const settings = (...names: string[]) => {
    const services = names.map((name) => `${name}: {rollout: {min_ready: 200ms}}`).join(', ')
    project.write('stagecraft.yml', `environments: {local: {services: {${services}}}}\n`)
  }
  settings('web', 'side', 'worker', 'db', 'cache')
  before(project)
  expect(told(await project.deploy())).toBe('no error')
  expect(serving(project)).toEqual(OLD)
  const state = structuredClone(project.engine.state)
  project.keep()
  settings('web', 'side', 'worker', 'db', 'api')
  const start = () => {
    project.engine.restore(state)
    project.comeBack()
    after(project)
    return project
  }
  start()
  expect(told(await project.deploy())).toBe('no error')
  expect(serving(project)).toEqual(NEW)
  const calls = project.engine.calls
  expect(calls.length).toBeGreaterThan(30)
  const words = (argv: readonly string[]) => argv.filter((word) => !/^[/]|[0-9a-f]{64}/.test(word)).join(' ')
  return { project, start, calls, commands: calls.map((argv, index) => `${index + 1}. ${words(argv)}`) }
}
