import { afterEach, describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { RollbackRequest } from '../../lib/record/rollback-target.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, type Outcome, story } from '../fakes/project.ts'
import { newFleet, removeFleets } from '../scenes/shop-fleet.ts'
import { expectGolden } from '../support/golden.ts'

// Which jobs a rollback runs: none, unless stagecraft.yml asks for it.

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
  removeFleets()
})

const completed = (...jobs: string[]) => ({
  depends_on: Object.fromEntries(jobs.map((job) => [job, { condition: 'service_completed_successfully' as const }])),
})

/** `app` waits for `migrate`; both differ from step to step. */
const job = (step: string): Record<string, Service> => ({
  migrate: { image: 'busybox:1', command: ['exit', '0'], environment: { STEP: step } },
  app: { image: 'busybox:1', environment: { STEP: step }, ...completed('migrate') },
})

const INIT: Service = { image: 'busybox:1', restart: 'on-failure', command: ['exit', '0'] }

function shop(services: Record<string, Service>): FakeProject {
  const project = new FakeProject('rollback-jobs')
  projects.push(project)
  project.engine.registry = { 'busybox:1': 'busybox' }
  project.engine.addImage('busybox:1', 'busybox')
  return change(project, services)
}

function change(project: FakeProject, services: Record<string, Service>): FakeProject {
  project.engine.model = composeModel('shop', { services: { web: { image: 'busybox:1' }, ...services } })
  return project
}

/** Two versions, one after the other. */
async function twoReleases(one: Record<string, Service>, two: Record<string, Service>): Promise<FakeProject> {
  const project = shop(one)
  for (const services of [one, two]) expect(told(await change(project, services).deploy())).toBe('no error')
  return project
}

const told = ({ error }: Outcome) => error?.message ?? 'no error'
const ids = (project: FakeProject, service: string) => project.engine.ids('shop', service)
const settings = (project: FakeProject, services: string) =>
  project.write('stagecraft.yml', `environments: {local: {services: ${services}}}`)
const RUN = '{migrate: {job: {rollback: run}}}'

async function planned(project: FakeProject, request?: RollbackRequest): Promise<string[]> {
  const { services, notes } = await project.planRollback(request)
  return [...services.map(({ service, action, why }) => `${service} ${action}: ${why}`), ...notes]
}

const LEFT = 'migrate unchanged: left alone: it completed in v1, and runs only in a deploy'

describe('a rollback', () => {
  test('leaves jobs alone that completed in the release it goes to, and says so', async () => {
    const project = await twoReleases(job('1'), job('2'))
    project.engine.behave = ({ service }) => (service === 'migrate' ? { exit: 1 } : undefined) // too new for it
    const before = ids(project, 'migrate')
    const [migrate, app, web, note] = await planned(project)
    expect([migrate, app, web]).toEqual([
      LEFT,
      'app recreate: environment changed (STEP)',
      'web unchanged: nothing changed',
    ])
    expectGolden('commands/rollback.md', 'jobs-left-out', `note: ${note}`)
    const first = project.model(project.releases()[1])
    const outcome = await project.rollback()
    expect([told(outcome), ids(project, 'migrate')]).toEqual(['no error', before])
    expect(story(outcome.events)).toContain('  migrate keep')
    expect(project.model(outcome.release)).toEqual(first)
  })

  test('leaves them alone if their containers are removed, or all containers (docker compose down)', async () => {
    const project = await twoReleases(job('1'), job('2'))
    await project.engine.exec(['docker', 'rm', '--force', '--volumes', ...ids(project, 'migrate')])
    expect((await planned(project))[0]).toBe(LEFT)
    const all = ['app', 'web'].flatMap((service) => ids(project, service))
    await project.engine.exec(['docker', 'rm', '--force', '--volumes', ...all])
    expect((await planned(project))[0]).toBe(LEFT)
    expect(told(await project.rollback())).toBe('no error')
    expect(ids(project, 'migrate')).toEqual([])
    expect(ids(project, 'app')).toHaveLength(1)
  })

  test('leaves them alone where they have another image, or are not in the live release at all', async () => {
    const project = shop({})
    project.engine.registry['busybox:2'] = 'newer'
    const image = (name: string): Record<string, Service> => ({
      ...job('1'),
      migrate: { ...job('1')['migrate'], image: name },
    })
    for (const services of [image('busybox:1'), image('busybox:2')]) await change(project, services).deploy()
    expect((await planned(project))[0]).toBe(LEFT)
    await change(project, {}).deploy()
    const plan = await project.planRollback({ to: 'version', version: 'v1' })
    expect(plan.services.map(({ service, action }) => `${service} ${action}`)).toEqual([
      'migrate unchanged',
      'app create',
      'web unchanged',
    ])
    expect(told(await project.rollback({ to: 'version', version: 'v1' }))).toBe('no error')
    expect([ids(project, 'migrate'), ids(project, 'app').length]).toEqual([[], 1])
  })

  test('leaves them alone in a release that adopted what ran', async () => {
    const project = shop(job('1'))
    const { engine } = project
    const up = '-p shop -f - up -d --no-deps --no-build --pull never --force-recreate --'.split(' ')
    const names = Object.keys(engine.model?.services ?? {})
    await engine.exec(['docker', 'compose', ...up, ...names], { input: JSON.stringify(engine.model) })
    await project.deploy()
    expect(told(await change(project, job('2')).deploy())).toBe('no error')
    const before = ids(project, 'migrate')
    expect([told(await project.rollback()), ids(project, 'migrate')]).toEqual(['no error', before])
  })

  test('leaves services alone that only ended as a job does', async () => {
    const project = await twoReleases({ init: INIT }, { init: { ...INIT, environment: { STEP: '2' } } })
    const before = ids(project, 'init')
    expect([told(await project.rollback()), ids(project, 'init')]).toEqual(['no error', before])
  })

  test('starts a service that stayed up in its target, although it ends in the live release', async () => {
    const stays = { ...INIT, command: ['sleep', '1d'] }
    const project = await twoReleases({ init: stays }, { init: INIT })
    expect(told(await project.rollback())).toBe('no error')
    expect(project.view().filter((line) => line.startsWith('init'))).toEqual([
      'init of busybox running on shop_default',
    ])
  })

  test('removes a service that stays up now, and is a job in its target', async () => {
    const project = await twoReleases(job('1'), { migrate: { image: 'busybox:1' }, app: { image: 'busybox:1' } })
    expect((await planned(project))[0]).toBe(
      'migrate remove: a job in v1, which runs only in a deploy; its volumes stay',
    )
    const outcome = await project.rollback()
    expect([told(outcome), ids(project, 'migrate')]).toEqual(['no error', []])
    expect(Object.keys(outcome.bundle?.images ?? {}).toSorted()).toEqual(['app', 'migrate', 'web'])
    expect(told(await change(project, job('3')).deploy())).toBe('no error')
    expect(ids(project, 'migrate')).toHaveLength(1)
  })
})

describe('a rollback runs a job with `rollback: run`', () => {
  test('if it differs from what ran last, before what waits for it, and it is today’s stagecraft.yml that counts', async () => {
    const project = await twoReleases(job('1'), job('2'))
    settings(project, RUN)
    const before = ids(project, 'migrate')
    expect(await planned(project)).toEqual([
      'migrate job: runs again: environment changed (STEP)',
      'app recreate: environment changed (STEP)',
      'web unchanged: nothing changed',
    ])
    const { events, ...outcome } = await project.rollback()
    expect([told({ events, ...outcome }), ids(project, 'migrate').length]).toEqual(['no error', 1])
    expect(ids(project, 'migrate')).not.toEqual(before)
    const lines = story(events)
    expect(lines.indexOf('  migrate ready')).toBeLessThan(lines.indexOf('  app recreate'))
    settings(project, '{}')
    expect((await planned(project, { to: 'version', version: 'v2' }))[0]).toStartWith('migrate unchanged: left alone')
  })

  test('and not if it is the same', async () => {
    const same = { ...job('2'), migrate: job('1')['migrate'] ?? {} }
    const project = await twoReleases(job('1'), same)
    settings(project, RUN)
    expect((await planned(project))[0]).toBe('migrate unchanged: has run, and nothing changed')
  })

  test('a failing one ends the rollback, and the live release stays', async () => {
    const project = await twoReleases(job('1'), job('2'))
    settings(project, RUN)
    project.engine.behave = ({ service }) => (service === 'migrate' ? { exit: 4 } : undefined)
    const before = ids(project, 'app')
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('Cannot start migrate: the job failed with exit code 4')
    expect(ids(project, 'app')).toEqual(before)
  })

  test('and so does the next release if an earlier rollback left it out', async () => {
    const project = await twoReleases(job('1'), job('2'))
    await project.rollback()
    const services = async () =>
      (await change(project, job('1')).plan()).services.map(({ action, why }) => `${action}: ${why}`)
    expect((await services())[0]).toBe('unchanged: has run, and nothing changed')
    expect(told(await project.deploy())).toBe('no error') // nothing has asked for it yet: nothing is forgotten
    settings(project, RUN)
    expect((await services())[0]).toBe('job: runs again: a rollback left it out')
    expect(told(await project.deploy())).toBe('no error')
    expect((await services())[0]).toBe('unchanged: has run, and nothing changed')
  })
})

test('on several hosts no host waits for a job that is left out, and all do for one that is run', async () => {
  const fleet = newFleet('rollback-jobs-hosts')
  const app: Service = { image: 'redis:7', ...completed('seed') }
  const deploy = async (step: string, more: Record<string, Service>, wish = 'true') => {
    const seed = { image: 'redis:7', command: ['exit', '0'], environment: { STEP: step } }
    const settings = { seed: `{hosts: [c], job: ${wish}}`, app: '{hosts: [a, b], rollout: {min_ready: 200ms}}' }
    fleet.write({ seed, ...more }, 'app' in more ? settings : { seed: settings.seed })
    expect(told(await fleet.project.deploy({ version: `v${step}` }))).toBe('no error')
  }
  const ready = ({ events }: Outcome) => story(events).flatMap((line) => / {2}(\S+) ready/.exec(line)?.[1] ?? [])
  const v1 = { to: 'version', version: 'v1' } as const
  await deploy('1', { app })
  await deploy('2', {})
  fleet.engines.c.behave = ({ service }) => (service === 'seed' ? { exit: 0, after: 5000 } : undefined)
  expect(ready(await fleet.project.rollback(v1))).toEqual(['app', 'app'])
  await deploy('3', {}, '{rollback: run}')
  expect(ready(await fleet.project.rollback(v1))).toEqual(['seed', 'app', 'app'])
})
