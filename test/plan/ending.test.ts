import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { mayEnd } from '../../lib/plan/services/ending.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, type Outcome } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'

// Services that end with 0, and that nothing waits for.

const temporary = temporaries()

const INIT: Service = { image: 'busybox:1', restart: 'on-failure', command: ['exit', '0'] }

function shop(services: Record<string, Service>): FakeProject {
  const project = temporary(new FakeProject('ending'))
  project.engine.registry = { 'busybox:1': 'busybox' }
  project.engine.addImage('busybox:1', 'busybox')
  return change(project, services)
}

function change(project: FakeProject, services: Record<string, Service>): FakeProject {
  project.engine.model = composeModel('shop', { services: { web: { image: 'busybox:1' }, ...services } })
  return project
}

/** What `docker compose up` leaves behind. */
async function started(services: Record<string, Service>): Promise<FakeProject> {
  const project = shop(services)
  const { engine } = project
  const up = '-p shop -f - up -d --no-deps --no-build --pull never --force-recreate --'.split(' ')
  const names = Object.keys(engine.model?.services ?? {})
  await engine.exec(['docker', 'compose', ...up, ...names], { input: JSON.stringify(engine.model) })
  return project
}

const told = ({ error }: Outcome) => error?.message ?? 'no error'
const ids = (project: FakeProject, service = 'init') => project.engine.ids('shop', service)
const warnings = ({ events }: Outcome) => events.flatMap((event) => (event.type === 'warning' ? [event] : []))

test.each<[Service, boolean]>([
  [{}, false],
  [{ restart: 'no' }, true],
  [{ restart: 'on-failure' }, true],
  [{ restart: 'on-failure:3' }, true],
  [{ restart: 'always' }, false],
  [{ restart: 'unless-stopped' }, false],
  [{ deploy: { restart_policy: { condition: 'none' } } }, true],
  [{ deploy: { restart_policy: { condition: 'on-failure', max_attempts: 3 } } }, true],
  [{ restart: 'no', deploy: { restart_policy: { condition: 'any' } } }, false],
  [{ restart: 'no', deploy: { replicas: 2 } }, true],
  [{ restart: 'no', deploy: { restart_policy: {} } }, false],
])('mayEnd() of %j is %p', (service, expected) => {
  expect(mayEnd(service)).toBe(expected)
})

describe('what ends with 0 as its restart policy lets it', () => {
  test.each<[string, Service]>([
    ['restart: on-failure', INIT],
    ['restart: no', { ...INIT, restart: 'no' }],
    [
      'a restart_policy',
      { image: 'busybox:1', command: ['exit', '0'], deploy: { restart_policy: { condition: 'none' } } },
    ],
  ])('is a job that is done (%s), which is said once', async (_, init) => {
    const project = shop({ init })
    const first = await project.deploy()
    expect(told(first)).toBe('no error')
    expect(warnings(first)).toEqual([
      {
        type: 'warning',
        message: 'init ended with 0: it is treated as a finished job, and runs again when it changes',
        hint: 'To make that explicit, set it in stagecraft.yml: environments: {local: {services: {init: {job: true}}}}',
      },
    ])
    expect(first.bundle?.topology.jobs).toEqual(['init'])
    const before = ids(project)
    const second = await project.deploy()
    expect([told(second), warnings(second), ids(project)]).toEqual(['no error', [], before])
    expect(second.bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
    expect(second.bundle?.topology.jobs).toEqual(['init'])
  })

  test('runs again when it changed, in the first step, and is not said again', async () => {
    const project = shop({ init: INIT })
    await project.deploy()
    const before = ids(project)
    change(project, { init: { ...INIT, environment: { STEP: '2' } } })
    expect((await project.plan()).services.map(({ service, action, why }) => [service, action, why])).toEqual([
      ['init', 'job', 'runs again: environment changed (STEP)'],
      ['web', 'unchanged', 'nothing changed'],
    ])
    const outcome = await project.deploy()
    expect([told(outcome), warnings(outcome)]).toEqual(['no error', []])
    expect(ids(project)).not.toEqual(before)
  })

  test('is a service again once it stays', async () => {
    const project = shop({ init: INIT })
    await project.deploy()
    change(project, { init: { ...INIT, command: ['serve'] } })
    const outcome = await project.deploy()
    expect([told(outcome), outcome.bundle?.topology.jobs]).toEqual(['no error', []])
    await project.engine.exec(['docker', 'stop', ...ids(project)])
    expect((await project.plan()).services[0]?.why).toBe('it is not running (exited, exit code 0)')
  })

  test('is not run once more by a deploy that fails', async () => {
    const project = shop({ init: INIT })
    await project.deploy()
    const before = ids(project)
    change(project, { init: INIT, web: { image: 'busybox:1', command: ['exit', '3'] } })
    const outcome = await project.deploy()
    expect([told(outcome), ids(project)]).toEqual(['Cannot start web: it ended with exit code 3', before])
  })

  test('that ends with something else is a failure', async () => {
    const outcome = await shop({ init: { ...INIT, restart: 'no', command: ['exit', '1'] } }).deploy()
    expect(told(outcome)).toBe('Cannot start init: it ended with exit code 1')
  })

  test('that was stopped by hand, and stayed until then, is started by the next deploy', async () => {
    const project = shop({ init: { image: 'busybox:1', restart: 'on-failure' } })
    await project.deploy()
    const before = ids(project)
    await project.engine.exec(['docker', 'stop', ...before])
    const outcome = await project.deploy()
    expect([told(outcome), outcome.bundle?.topology.jobs]).toEqual(['no error', []])
    expect(ids(project)).not.toEqual(before)
  })

  test.each<[string, Record<string, Service>]>([
    ['a restart policy', { init: INIT }],
    [
      'another service waits for it',
      {
        init: { image: 'busybox:1', command: ['exit', '0'] },
        api: { image: 'busybox:1', depends_on: { init: { condition: 'service_completed_successfully' } } },
      },
    ],
  ])('where it ran before Stagecraft is adopted as it is: %s', async (_, services) => {
    const project = await started(services)
    const before = ids(project)
    const plan = await project.plan()
    expect(plan.services.find(({ service }) => service === 'init')).toMatchObject({
      action: 'unchanged',
      why: 'adopted: it has run, and ended with 0',
    })
    const outcome = await project.deploy()
    expect([told(outcome), ids(project), outcome.bundle?.topology.jobs]).toEqual(['no error', before, ['init']])
  })

  test('is run again if it ran before Stagecraft and changed, and not restored if that fails', async () => {
    const project = await started({ init: INIT })
    change(project, { init: { ...INIT, command: ['exit', '2'] } })
    const outcome = await project.deploy()
    expect([outcome.error?.kind, told(outcome)]).toEqual(['failed', 'Cannot start init: it ended with exit code 2'])
    expect(project.view()).toEqual(['web of busybox running on shop_default'])
  })

  test('is started where the whole project was stopped: nothing says that it is a job', async () => {
    const project = await started({ init: { ...INIT, command: ['serve'] } })
    await project.engine.exec(['docker', 'stop', ...ids(project), ...ids(project, 'web')])
    await project.deploy()
    expect(project.view().filter((line) => line.includes('running'))).toHaveLength(2)
  })
})

describe('what has no restart policy, and ends with 0', () => {
  test.each<[string, string[] | undefined, Service]>([
    ['true', ['true'], {}],
    ['/bin/echo hello', ['/bin/echo', 'hello'], {}],
    ['a script of such commands', ['sh', '-c', 'mkdir -p /data && chown 1000 /data; true'], {}],
    ['an entrypoint', undefined, { entrypoint: ['/bin/true'] }],
  ])('is an error, and a note of the plan before: %s', async (_, command, more) => {
    const project = shop({ data: { image: 'busybox:1', ...(command ? { command } : {}), ...more } })
    project.engine.behave = ({ service }) => (service === 'data' ? { exit: 0 } : undefined)
    expect((await project.plan()).notes).toEqual([
      'data exits on its own, as its command shows, and the deploy will fail: if that is intended, make it a job in stagecraft.yml: environments: {local: {services: {data: {job: true}}}}',
    ])
    const { error } = await project.deploy()
    expect([error?.kind, error?.message]).toEqual(['failed', 'Cannot start data: it ended with exit code 0'])
    expect(error?.hint).toStartWith('If it is meant to exit, set `job: true` for it in stagecraft.yml.')
    project.write('stagecraft.yml', 'environments: {local: {services: {data: {job: true}}}}')
    expect((await project.plan()).notes).toEqual([])
    expect(told(await project.deploy())).toBe('no error')
  })

  test.each([
    [['sh', '-c', 'mkdir -p /www; exec httpd -f']],
    [['sh', '-c', 'echo hello | nc -l -p 80']],
    [['sh', '-c', 'while true; do sleep 1; done']],
    [['sleep', 'infinity']],
    [['serve']],
  ])('has no note where its command does not show it: %j', async (command) => {
    expect((await shop({ data: { image: 'busybox:1', command } }).plan()).notes).toEqual([])
  })
})
