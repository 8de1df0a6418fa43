import { expect } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { told } from './shop.ts'

/** What a test sets for the application: the rest is the default. */
export interface Application {
  /** contents of the images */
  readonly web?: string
  readonly api?: string
  readonly db?: string
  readonly services?: Record<string, Service>
  /** by service, `rollout` and `expose` as stagecraft.yml has them: in one line */
  readonly settings?: Record<string, string>
  readonly networks?: Parameters<typeof composeModel>[1]['networks']
  /** next to `services:` of the environment */
  readonly environment?: string
}

export const HOST = 'shop.example.com'
const SETTINGS = {
  web: `{expose: {host: ${HOST}, port: 3000, tls: off}}`,
  api: '{expose: {internal: true, port: 4000}, rollout: {min_ready: 200ms}}',
  db: '{rollout: {min_ready: 200ms}}',
}

/** `web` is routed by a host and has a healthcheck, `api` is called by others, `db` has data. Nothing is deployed. */
export function newRouted(title: string, application: Application = {}): FakeProject {
  const project = new FakeProject(title)
  const { engine } = project
  engine.registry = { 'caddy:2': 'caddy 2', 'caddy:2.10': 'caddy 2.10' }
  engine.behave = ({ service, content }) => {
    if (content.startsWith('bad')) return { after: 100, exit: 1, logs: 'bad indeed' }
    if (content.startsWith('sick')) return { after: 300, health: 'unhealthy' }
    return service === 'web' ? { after: 300 } : undefined
  }
  write(project, application)
  return project
}

/** Writes the Compose file and stagecraft.yml, with images of these contents. */
export function write(project: FakeProject, application: Application = {}): void {
  const { web = 'web one', api = 'api one', db = 'db', services, settings, networks, environment = '' } = application
  for (const [name, content] of Object.entries({ 'web:1': web, 'api:1': api, 'db:1': db }))
    project.engine.addImage(name, content)
  project.engine.model = composeModel('shop', {
    services: services ?? servicesOf(),
    ...(networks ? { networks } : {}),
    volumes: { data: {} },
  })
  const all = Object.entries({ ...SETTINGS, ...settings }).filter(([name]) => (services ?? servicesOf())[name])
  const lines = all.map(([name, setting]) => `      ${name}: ${setting}`)
  project.write('stagecraft.yml', `environments:\n  local:\n    ${environment}\n    services:\n${lines.join('\n')}\n`)
}

export function servicesOf(more: Record<string, Service> = {}): Record<string, Service> {
  return {
    web: { image: 'web:1', healthcheck: { test: ['CMD', 'true'] } },
    api: { image: 'api:1' },
    db: { image: 'db:1', volumes: [{ type: 'volume', source: 'data', target: '/data' }] },
    ...more,
  }
}

/** Another project alongside `project`, on the same engine's host. */
export function newNeighbour(project: FakeProject, host: string, name = 'blog'): FakeProject {
  const other = new FakeProject('rolling')
  const { engine } = other
  Object.assign(engine, { behave: project.engine.behave, registry: project.engine.registry })
  engine.state = project.engine.state
  engine.model = composeModel(name, { services: { web: { image: 'blog:1' }, api: { image: 'api:1' } } })
  engine.addImage('blog:1', 'blog one')
  const api = '{expose: {internal: true, port: 4000}, rollout: {min_ready: 200ms}}'
  const web = `{expose: {host: ${host}, port: 3000, tls: off}, rollout: {min_ready: 200ms}}`
  other.write('stagecraft.yml', `environments: {local: {services: {web: ${web}, api: ${api}}}}`)
  return other
}

/** Deploys, and expects that it succeeds. */
export async function deployed(project: FakeProject) {
  const outcome = await project.deploy()
  expect(told(outcome)).toBe('no error')
  return outcome
}

/** What was answered at each docker command of some work, each different answer once, in order. */
export async function watched<T>(project: FakeProject, look: () => unknown, work: () => Promise<T>) {
  const seen: string[] = []
  const note = () => {
    const now = JSON.stringify(look())
    if (seen.at(-1) !== now) seen.push(now)
  }
  project.engine.watch = note
  const result = await work()
  project.engine.watch = () => {}
  note()
  return { result, seen: seen.map((text) => JSON.parse(text) as unknown) }
}

// A change that a run dies in.

/** An application before and after a change, and the words in which a request may be answered meanwhile. */
export interface Scenario {
  readonly before: Application
  readonly after: Application
  /** default: a deploy */
  readonly work?: (project: FakeProject) => Promise<unknown>
  readonly answers: readonly string[]
  readonly calls: readonly string[]
  /** the new version never goes live */
  readonly fails?: true
  /** the service that is called is recreated */
  readonly gap?: true
}

const TWO = { scale: 2 }
const pair = (more: Record<string, Service> = {}) =>
  servicesOf({ web: { ...servicesOf()['web'], ...TWO }, cache: { image: 'db:1' }, ...more })
const settings = { cache: '{rollout: {min_ready: 200ms}}', worker: '{rollout: {min_ready: 200ms}}' }
const worker = { image: 'api:1', networks: { back: null } }
const back = (label: string) => ({ back: { labels: { label } } })
const hidden = { web: '{}', api: '{rollout: {min_ready: 200ms}}', ...settings }

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a new version of two services': {
    before: { services: pair(), settings },
    after: { web: 'web two', api: 'api two', services: pair(), settings },
    answers: ['web one', 'web two'],
    calls: ['api one', 'api two'],
  },
  'a new version that fails': {
    before: { services: pair(), settings },
    after: { web: 'sick web', api: 'api two', services: pair(), settings },
    answers: ['web one'],
    calls: ['api one'],
    fails: true,
  },
  'a rollback': {
    before: { web: 'web two', api: 'api two', services: pair(), settings },
    after: { web: 'web two', api: 'api two', services: pair(), settings },
    work: (project) => project.rollback(),
    answers: ['web one', 'web two'],
    calls: ['api one', 'api two'],
  },
  'a first expose of what runs': {
    before: { services: pair(), settings: hidden },
    after: { services: pair(), settings },
    answers: ['nobody', '404', '503', 'web one'],
    calls: ['api one'],
  },
  'the end of all exposes': {
    before: { services: pair(), settings },
    after: { services: pair(), settings: hidden },
    answers: ['nobody', '404', '503', 'web one'],
    calls: ['nobody', 'api one'],
    gap: true, // api is recreated: until the switch the proxy answers in its place
  },
  'another port, a network made anew, a service that goes and one that is recreated': {
    before: { services: pair({ worker }), settings, networks: back('one') },
    after: {
      web: 'web two',
      services: servicesOf({ web: { ...servicesOf()['web'], ...TWO, user: '1' }, worker }),
      settings: { ...settings, web: `{expose: {host: ${HOST}, port: 5000, tls: off}}` },
      networks: back('two'),
    },
    answers: ['web one', 'web two'],
    calls: ['api one'],
  },
}

/** All that lasts, in words: what runs, what would answer, what the proxy does, which networks there are. */
export function snapshot(project: FakeProject) {
  const { engine } = project
  return {
    runs: project.view(),
    answers: engine.proxy.answer(HOST),
    calls: engine.proxy.call('shop_default', 'api', 4000),
    proxy: engine.proxy.view(),
    aliases: engine.proxy.aliases('shop'),
    networks: Object.entries(engine.state.networks)
      .map(([name, { definition }]) => `${name} ${definition}`)
      .toSorted(),
  }
}

/** `before` is live. `start` returns to it, with the change in the files; `calls` are all that it takes. */
export async function prepareScenario({ before, after, work = (project) => project.deploy() }: Scenario) {
  const project = newRouted('scenario', before)
  if (work.toString().includes('rollback')) {
    write(project, { ...before, web: 'web one', api: 'api one' })
    await deployed(project)
    write(project, before)
  }
  await deployed(project)
  const old = snapshot(project)
  const state = structuredClone(project.engine.state)
  project.keep()
  const start = () => {
    project.engine.restore(state)
    project.comeBack()
    write(project, after)
    return project
  }
  start()
  await work(project)
  const calls = project.engine.calls
  const words = (argv: readonly string[]) =>
    argv.filter((word) => !/^[/]|[0-9a-f]{64}|\n/.test(word) && word.length < 100).join(' ')
  return {
    ...{ project, old, now: snapshot(project), start, calls },
    work: () => work(project),
    commands: calls.map((argv, index) => `${index + 1}. ${words(argv)}`),
  }
}
