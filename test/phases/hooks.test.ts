import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { formatPlan } from '../../lib/plan/format.ts'
import { makePlan } from '../../lib/plan/make.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { newRouted, servicesOf, write } from '../scenes/routed.ts'
import { ids, now, runningApps } from '../scenes/running-app.ts'
import { told } from '../scenes/shop.ts'
import { inputOf } from '../scenes/situation.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

// Compose runs pre_start only in `up`, so no container of such a service may be started by its id.

const temporary = temporaries()
const running = runningApps()
const hook = (word = '0') => ({ pre_start: [{ command: ['exit', word] }] })

/** `web` is exposed to all, `api` to internal callers, and both have the hook. */
function services(more: Service = hook()): Record<string, Service> {
  const { web, api, db } = servicesOf()
  return { web: { ...web, ...more }, api: { ...api, ...more }, db: db ?? {} }
}

async function live(more?: Service): Promise<FakeProject> {
  const project = temporary(newRouted('hooks', { services: services(more) }))
  const { error } = await project.deploy({ version: 'v1' })
  expect(error?.message).toBeUndefined()
  return project
}

/** The docker commands that started containers. */
const started = ({ engine }: FakeProject) =>
  engine.calls.filter(
    (argv) => !argv.includes('stagecraft-proxy') && (argv[1] === 'start' || argv.includes('--no-start')),
  )
const gapOf = async (project: FakeProject, service: string) =>
  (await project.plan()).services.find((plan) => plan.service === service)?.gap
const hooked = ({ engine }: FakeProject) => engine.preStarted.splice(0)
const message = ({ error }: Outcome) => error?.message

describe('a service with pre_start', () => {
  test('is started by Compose when it is new, even if it only answers internal callers', async () => {
    const project = await live()
    expect(hooked(project).toSorted()).toEqual(['api', 'web'])
    expect(started(project)).toEqual([])
  })

  test('is recreated by Compose, and the plan says why, and what to do instead', async () => {
    const project = await live()
    write(project, { services: services(), web: 'web two', api: 'api two' })
    expect(await gapOf(project, 'web')).toMatchObject({
      because: 'it has a pre_start hook, which only Compose can run',
      avoid: expect.stringContaining('{engine: command, service: …, command: …}'),
    })
    const line = formatPlan(await project.plan()).find((text) => text.includes(' web '))
    expectGolden('core/compose.md', 'pre-start-plan', line?.replace(/^ +web +recreate +/, '  web  recreate  ') ?? '')
    project.engine.preStarted = []
    expect(told(await project.deploy())).toBe('no error')
    expect([hooked(project).toSorted(), started(project)]).toEqual([['api', 'web'], []])
  })

  test('is recreated all at once where its replicas would be replaced one at a time', async () => {
    const settings = { web: '{rollout: {order: stop-first, min_ready: 200ms}}', api: '{rollout: {min_ready: 200ms}}' }
    const of = (more: Service = {}) => ({ services: services({ scale: 3, ...hook(), ...more }), settings })
    const project = temporary(newRouted('hooks', of()))
    expect(told(await project.deploy())).toBe('no error')
    project.engine.preStarted = []
    write(project, { ...of(), web: 'web two' })
    expect(await gapOf(project, 'web')).toMatchObject({ inTurn: false, because: expect.stringContaining('pre_start') })
    expect(told(await project.deploy())).toBe('no error')
    expect([hooked(project), started(project), project.engine.ids('shop', 'web').length]).toEqual([['web'], [], 3])
  })

  test('is scaled by Compose, which does not run the hook again', async () => {
    const project = await live()
    project.engine.preStarted = []
    write(project, { services: services({ ...hook(), scale: 2 }) })
    expect(told(await project.deploy())).toBe('no error')
    expect([hooked(project), started(project), project.engine.ids('shop', 'api').length]).toEqual([[], [], 2])
  })

  test('is not taken over from Compose if that would need a start by id', async () => {
    const project = await running({ web: { image: 'web:one', environment: { A: '1' }, ...hook() } })
    now(project, { web: { image: 'web:two', environment: { A: '2' }, ...hook() } })
    const before = ids(project)
    const { error } = await project.deploy()
    expect([error?.kind, error?.message]).toEqual([
      'config',
      'Cannot take over web: it runs, but not with the definition in the Compose file, and it could not be restored if the deploy failed, because it has a pre_start hook, which only Compose can run',
    ])
    expect(ids(project)).toEqual(before)
  })

  test('whose hook fails ends the release; its container is kept, and is no replica', async () => {
    const project = await live({})
    const before = project.engine.ids('shop', 'web').length
    write(project, { services: services(hook('3')) })
    const outcome = await project.deploy()
    expect(outcome.error?.kind).toBe('failed')
    expect(outcome.error?.detail).toContain('pre_start[0] exited with code 3')
    const left = project.engine.containersOf('shop').filter((container) => container.hook)
    const own = project.engine.containersOf('shop').filter(({ service, hook: kind }) => service === 'web' && !kind)
    expect([left.length > 0, own.length]).toEqual([true, before])
    write(project, { services: services() })
    expect(told(await project.deploy())).toBe('no error')
  })

  test('whose run died: the container that still runs the hook is removed before anything else', async () => {
    const project = await live({})
    write(project, { services: services({}), web: 'bad' })
    const [one] = project.engine.containersOf('shop')
    if (one === undefined) throw new Error('nothing runs')
    const behaviour = {}
    project.engine.state.containers.push({
      ...one,
      id: 'f00d',
      name: 'hook',
      hook: 'pre_start',
      behaviour,
      state: 'started',
    })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.engine.containersOf('shop').map(({ id }) => id)).not.toContain('f00d')
  })

  test('is noted in a rollback, since Compose runs the hook there too', async () => {
    const project = await live()
    write(project, { services: services(), web: 'web two' })
    expect(told(await project.deploy({ version: 'v2' }))).toBe('no error')
    project.engine.preStarted = []
    const { notes } = await project.planRollback()
    expect(notes.join('\n')).toContain(
      'Compose runs the pre_start hook of web when it creates its containers, in a rollback too: if it migrates a database,',
    )
    expect(told(await project.rollback())).toBe('no error')
    expect(hooked(project)).toEqual(['web'])
  })

  test('is refused before anything is changed if Docker Compose is older: in a deploy, and in a rollback', async () => {
    const project = await live()
    write(project, { services: services(), web: 'web two' })
    expect(told(await project.deploy({ version: 'v2' }))).toBe('no error')
    project.engine.composeVersion = '5.2.1'
    const before = project.view()
    const text = 'Cannot use pre_start of api: Docker Compose 5.2.1 does not run it'
    await expect(project.open()).rejects.toMatchObject({ kind: 'config', message: text })
    expect(message(await project.rollback())).toBe(text)
    expect(project.view()).toEqual(before)
    for (const version of ['v5.3.0-desktop.1', '5.10.0', '6.0.0', 'dev']) {
      project.engine.composeVersion = version
      expect((await project.open()).model.name).toBe('shop')
    }
  })
})

test('pre_start on several hosts is noted with where it runs: on each of them', () => {
  const notes = (host?: string) => makePlan({ ...inputOf({ now: services() }), ...(host ? { host } : {}) }).notes
  const ofHooks = (all: readonly string[]) => all.filter((note) => note.includes('pre_start'))
  expect(ofHooks(notes('web-1'))[1]).toStartWith(
    'Compose runs the pre_start hook of web when it creates its containers, on each host: if it migrates',
  )
  expect(ofHooks(notes())).toEqual([])
})

test('post_start of an internal service is not skipped either', async () => {
  const project = await live({ post_start: [{ command: ['true'] }] })
  expect(started(project)).toEqual([])
})
