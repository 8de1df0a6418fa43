import { expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { formatPlan, stageLines } from '../../lib/plan/format.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { withCron } from '../scenes/cron.ts'
import { drift, look, printed } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'

// What releases do with scheduled jobs: their containers, and the lines in a crontab.

const scene = withCron()

const web: Service = { image: 'busybox:1' }
const backup = (step: string): Service => ({ image: 'busybox:1', environment: { STEP: step } })

function shop(services: Record<string, Service>, schedules: Record<string, string>): FakeProject {
  const project = scene.project()
  return change(project, services, schedules)
}

function change(
  project: FakeProject,
  services: Record<string, Service>,
  schedules: Record<string, string>,
): FakeProject {
  project.engine.model = composeModel('shop', { services })
  const jobs = Object.entries(schedules).map(([name, schedule]) => [name, { job: { schedule } }])
  project.write('stagecraft.yml', JSON.stringify({ environments: { local: { services: Object.fromEntries(jobs) } } }))
  return project
}

const AT_3 = { backup: '0 3 * * *' }
const ids = (project: FakeProject) => project.engine.ids('shop', 'backup')
const view = (project: FakeProject) => project.view().map((line) => line.replace(' on shop_default', ''))
const start = (project: FakeProject, id: string) => project.engine.exec(['docker', 'start', id])
/** What the crontab starts must be the one container of the release. */
const expectOne = (project: FakeProject, schedule: string) =>
  expect(scene.cron.entries()).toEqual([{ service: 'backup', schedule, id: String(ids(project)) }])

async function released(project: FakeProject): Promise<FakeProject> {
  expect((await project.deploy()).error).toBeUndefined()
  return project
}

test('a release creates the container of a job, starts none, and its line names it', async () => {
  scene.cron.write('0 1 * * * mine\n')
  const project = shop({ web, backup: backup('one') }, AT_3)
  const { error, events } = await project.deploy()
  expect(error).toBeUndefined()
  expect(story(events)).toContain('  backup schedule')
  expect(story(events)).not.toContain('  backup ready')
  expectOne(project, '0 3 * * *')
  expect(scene.cron.read()).toEndWith('\n0 1 * * * mine\n')
  expect(view(project)).toEqual(['backup of busybox STEP=one created', 'web of busybox running'])
  expect(scene.cron.read()).not.toContain('STEP')
})

test('an unchanged job keeps its container, and a lost line is written again', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  const before = ids(project)
  expect((await project.plan()).services.find(({ service }) => service === 'backup')).toMatchObject({
    action: 'unchanged',
    why: 'runs at 0 3 * * *',
  })
  scene.cron.write('0 1 * * * mine\n')
  await released(project)
  expect(ids(project)).toEqual(before)
  expectOne(project, '0 3 * * *')
})

test('a new image, definition or schedule makes a new container, whose line replaces the old one', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  for (const [step, schedule] of [
    ['two', '0 3 * * *'],
    ['two', '0 4 * * *'],
  ] as const) {
    const [before] = ids(project)
    await released(change(project, { web, backup: backup(step) }, { backup: schedule }))
    expect(ids(project)).not.toContain(before)
    expectOne(project, schedule)
  }
})

test('a release that fails changes no line, and leaves no container', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  const before = scene.cron.read()
  const bad = { ...web, command: ['exit', '3'] }
  const { error } = await change(project, { web: bad, backup: backup('two') }, { backup: '@daily' }).deploy()
  expect(error?.kind).toBe('failed')
  expect(scene.cron.read()).toBe(before)
  expectOne(project, '0 3 * * *')
  expect(view(project)).toContain('backup of busybox STEP=one created')
})

test('a rollback brings back job and schedule, and a release without them removes the lines', async () => {
  scene.cron.write('0 1 * * * mine\n')
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  await released(change(project, { web, backup: backup('two') }, { backup: '@hourly' }))
  await released(change(project, { web }, {}))
  expect(scene.cron.read()).toBe('0 1 * * * mine\n')
  expect(ids(project)).toEqual([])
  expect((await project.rollback()).error).toBeUndefined()
  expectOne(project, '0 * * * *')
  expect((await project.rollback({ to: 'version', version: 'v1' })).error).toBeUndefined()
  expectOne(project, '0 3 * * *')
  expect(view(project)).toContain('backup of busybox STEP=one created')
  expect((await project.down()).error).toBeUndefined()
  expect(scene.cron.read()).toBe('0 1 * * * mine\n')
})

test('a run that is under way continues across releases, and its container is removed when it has ended', async () => {
  const long = { ...backup('one'), command: ['exit', '3'] }
  const project = shop({ web, backup: long }, AT_3)
  project.engine.behave = ({ service }) => (service === 'backup' ? { exit: 3, after: 600_000 } : undefined)
  await released(project)
  const [first = ''] = ids(project)
  await start(project, first)
  await released(change(project, { web, backup: backup('two') }, AT_3))
  const [kept, second = ''] = ids(project)
  expect(kept).toBe(first)
  expect(scene.cron.entries()).toMatchObject([{ id: second }])
  project.engine.state.now += 700_000
  await released(project)
  expect(ids(project)).toEqual([second])
  expect((await project.deploy()).bundle?.schedules?.['backup']).toMatchObject({
    container: second,
    last: { exit_code: 3 },
  })
})

test('a container that was removed is created again', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  await project.engine.exec(['docker', 'rm', String(ids(project))])
  const { events } = await project.deploy()
  expect(story(events)).toContain('  backup schedule')
  expectOne(project, '0 3 * * *')
})

test('a deploy by another user creates a new container: the lines of the first user start nothing', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  const [before] = ids(project)
  scene.cron.program('id', '#!/bin/sh\n[ "$1" = -un ] && echo somebody-else && exit\nexec /usr/bin/id "$@"\n')
  expect((await project.plan()).services.find(({ service }) => service === 'backup')).toMatchObject({
    action: 'schedule',
    why: expect.stringMatching(/^runs at 0 3 \* \* \*; \S+ has started it until now, and somebody-else will$/),
  })
  await released(project)
  expect(ids(project)).not.toContain(before)
  expectOne(project, '0 3 * * *')
})

test('a service that stayed up and becomes a job is removed, and back again', async () => {
  const project = await released(shop({ web, backup: backup('one') }, {}))
  const [before] = ids(project)
  await released(change(project, { web, backup: backup('one') }, AT_3))
  expect(ids(project)).not.toContain(before)
  expectOne(project, '0 3 * * *')
  await released(change(project, { web, backup: backup('one') }, {}))
  expect(scene.cron.read()).toBeUndefined()
  expect(view(project)).toEqual(['backup of busybox STEP=one running', 'web of busybox running'])
})

test('lines that cannot be written are an error after the commit point, and the next command writes them', async () => {
  const project = await released(shop({ web, backup: backup('one') }, AT_3))
  change(project, { web, backup: backup('two') }, { backup: '@daily' })
  const before = scene.cron.read()
  const { error } = await project.deploy({
    onEvent: (event) => {
      if (event.type === 'service' && event.step === 'schedule') scene.cron.fail('write')
    },
  })
  expect(error).toMatchObject({ kind: 'after-commit' })
  expect(error?.message).toContain('Cannot write the schedules of shop')
  expect(scene.cron.read()).toBe(before)
  const stuck = await project.recover()
  expect(stuck.error).toBeUndefined()
  expect(story(stuck.events)).toEqual([expect.stringContaining('warning: Cannot write the schedules of shop')])
  scene.cron.fail(undefined)
  await released(project)
  expectOne(project, '0 0 * * *')
})

test('an engine on another machine is refused, before there is a release', async () => {
  const project = shop({ web, backup: backup('one') }, AT_3)
  project.engine.endpoint = 'ssh://ana@far'
  const refusal = {
    kind: 'config',
    message:
      'Cannot run jobs by a schedule on this machine: its engine is reached by ssh://ana@far, not by a plain socket',
  }
  expect((await project.plan().catch((thrown: unknown) => thrown)) as Error).toMatchObject(refusal)
  expect(await project.deploy()).toMatchObject({ error: refusal })
  expect(project.engine.state.containers).toEqual([])
  expect(scene.cron.read()).toBeUndefined()
})

test.each([
  ['depends', { web: { ...web, depends_on: { backup: { condition: 'service_started' as const } } } }],
  ['joined to the container of web', { backup: { ...backup('one'), network_mode: 'service:web' } }],
  ['joined to the container of web', { backup: { ...backup('one'), volumes_from: ['web:ro'] } }],
])('what cannot run by a schedule is refused: %s', async (why, services) => {
  const project = shop({ web, backup: backup('one'), ...services }, AT_3)
  expect((await project.open().catch((thrown: unknown) => thrown)) as Error).toMatchObject({
    kind: 'config',
    message: expect.stringContaining(why),
  })
})

test('the container has what its service has, without ports and routes', async () => {
  const service = { ...backup('one'), restart: 'always', scale: 3, ports: [{ target: 80, published: '80' }] }
  const project = await released(shop({ web, backup: { ...service, labels: { a: 'b' }, container_name: 'x' } }, AT_3))
  expect(project.model(project.releases()[0]).services['backup']).toMatchObject({
    restart: 'no',
    logging: { driver: 'local' },
  })
  expect(Object.keys(project.model(project.releases()[0]).services['backup'] ?? {}).toSorted()).toEqual([
    ...['command', 'entrypoint', 'environment', 'image', 'logging', 'networks', 'restart'],
  ])
  expect(ids(project)).toHaveLength(1)
})

test('plan says why a job gets a new container, and when it runs', async () => {
  const services = { web, backup: backup('one'), report: backup('one') }
  const report = '*/15 8-18 * * mon-fri'
  const project = await released(shop(services, { backup: '0 2 * * *', report }))
  const plan = await change(project, services, { backup: '0 3 * * *', report }).plan()
  const lines = formatPlan(plan).filter((line) => /^ {2}(backup|report) /.test(line))
  expectGolden('core/jobs.md', 'plan', lines.join('\n'))
  expect(stageLines(plan)).toEqual(['  prepare  create backup for its schedule'])
})

test('status shows when jobs run, how they ended, and what is wrong', async () => {
  scene.cron.program('date', '#!/bin/sh\necho "2026-11-22 09:00 UTC"\n')
  const project = shop({ web, backup: backup('one'), report: backup('one') }, {})
  project.engine.behave = ({ service }) =>
    service === 'backup' ? { exit: 3, after: 2_000, logs: 'no space left\n' } : {}
  change(project, { web, backup: backup('one'), report: backup('one') }, { ...AT_3, report: '*/15 8-18 * * mon-fri' })
  await released(project)
  expect((await look(project)).schedules.map((one) => one.drift)).toEqual([[], []])
  await start(project, String(ids(project)))
  expect((await look(project)).schedules[0]).toMatchObject({ running_since: '2026-11-22T08:00:05.000Z', drift: [] })
  project.engine.state.now += 60_000
  const status = await look(project)
  const section = /^JOB .*?(?=\n\n {2}ID)/ms.exec(printed(project, status))?.[0] ?? ''
  expectGolden('core/jobs.md', 'status', section)
  expect(drift(status)).toEqual(['service backup: its last run ended with exit code 3'])
  scene.cron.write('0 1 * * * mine\n')
  expect(drift(await look(project))).toEqual([
    expect.stringMatching(/^service backup: it is not in the crontab of \S+ any more$/),
    'service backup: its last run ended with exit code 3',
    expect.stringMatching(/^service report: it is not in the crontab of \S+ any more$/),
  ])
  await project.engine.exec(['docker', 'rm', String(project.engine.ids('shop', 'report'))])
  expect(drift(await look(project))).toContain('service report: its container is gone, so it does not run')
})
