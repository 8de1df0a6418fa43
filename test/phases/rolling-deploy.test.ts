import { describe, expect, test } from 'bun:test'
import { eventLines } from '../../lib/output/lines.ts'
import { readBundle } from '../../lib/record/bundle.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { byHand } from '../fakes/proxy.ts'
import { deployed, HOST, servicesOf, watched, write } from '../scenes/routed.ts'
import { answer, callApi, ids, loads, routedProjects, slots } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'
import { expectGolden } from '../support/golden.ts'

const { routed, serving } = routedProjects()

const services = (project: FakeProject) => project.view().map((line) => line.replace(/ on .*/, ''))

const OLD = ['api of api one running', 'db of db running', 'web of web one running']

describe('a rolling deploy', () => {
  test('creates the new alongside the old, switches by one rename, drains, and removes the old by id', async () => {
    const project = await serving()
    const [old, api, db] = [ids(project), ids(project, 'api'), ids(project, 'db')]
    write(project, { web: 'web two' })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect(told(result)).toBe('no error')
    expect(seen).toEqual([['web one'], ['web two']])
    expect(loads(project)).toEqual([])
    expect(story(result.events).filter((line) => line.startsWith('  '))).toMatchInlineSnapshot(`
      [
        "  web rolling",
        "  web ready",
        "  web switch",
        "  web remove",
      ]
    `)
    const services = result.events.filter(({ type }) => type === 'service')
    const printed = services.flatMap((event) => eventLines(event, { mask: createMask([]), nameWidth: 3 }))
    expectGolden('commands/deploy.md', 'rolling', printed.join('\n'))
    const changes = project.engine.changes().filter((line) => !/ (tag|rmi) /.test(line))
    const short = (line: string) =>
      line.replaceAll(/[0-9a-f]{64}/g, (id) => (old.includes(id) ? '<old>' : '<new>')).replace(/--progress.*json /, '')
    expect(changes.map(short)).toMatchInlineSnapshot(`
      [
        "docker compose up --no-start --no-deps --no-build --pull never --no-recreate --scale web=2 -- web",
        "docker network connect --alias b.web.shop.stagecraft.internal --alias 1.b.web.shop.stagecraft.internal stagecraft-shop <new>",
        "docker start <new>",
        "docker exec stagecraft-proxy sh -c … stagecraft-switch shop api.a web.b",
        "docker stop <old>",
        "docker rm --force --volumes <old>",
      ]
    `)
    expect([ids(project).length, ids(project).includes(old[0] ?? '')]).toEqual([1, false])
    expect([ids(project, 'api'), ids(project, 'db')]).toEqual([api, db])
    expect(result.bundle).toMatchObject({ slots: { api: 'a', web: 'b' }, plan: { proxy: { action: 'keep' } } })
    expect(slots(project)).toEqual(['api.a', 'web.b'])
  })

  test('records new containers before it starts them, and the switch before it switches', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, { web: 'web two' })
    const journals: unknown[] = []
    project.engine.intercept = (argv) => {
      const { journal } = readBundle(project.stateFile, project.releases()[0]?.id ?? '') ?? {}
      const fresh = ids(project).filter((id) => !old.includes(id))
      if (argv[1] === 'start') journals.push(['start', argv.slice(2), journal?.step, journal?.made, journal?.rolling])
      if (argv.includes('stagecraft-switch')) journals.push(['switch', fresh, journal?.step, journal?.made])
      return undefined
    }
    await deployed(project)
    const now = ids(project)
    expect(journals).toEqual([
      ['start', now, 'prepare', now, ['web']],
      ['switch', now, 'switch', now],
    ])
  })

  test('alternates between the slots, and a rollback does too', async () => {
    const project = await serving()
    for (const [version, slot] of [
      ['two', 'b'],
      ['three', 'a'],
    ] as const) {
      write(project, { web: `web ${version}` })
      expect((await deployed(project)).bundle?.slots?.['web']).toBe(slot)
      expect(answer(project)).toEqual([`web ${version}`])
    }
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.rollback(),
    )
    expect([told(result), seen, slots(project)]).toEqual(['no error', [['web three'], ['web two']], ['api.a', 'web.b']])
    expect(loads(project)).toEqual([])
  })

  test('replaces all replicas, and keeps their number, even one that was set by hand', async () => {
    const project = await serving({ services: servicesOf({ web: { ...servicesOf()['web'], scale: 3 } }) })
    expect(ids(project)).toHaveLength(3)
    const old = ids(project)
    write(project, { web: 'web two', services: servicesOf({ web: { ...servicesOf()['web'], scale: 3 } }) })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), seen]).toEqual(['no error', [['web one'], ['web two']]])
    expect(ids(project)).toHaveLength(3)
    expect(ids(project).filter((id) => old.includes(id))).toEqual([])
    await byHand(project.engine.exec, 'stop', ids(project)[0] ?? '')
    await byHand(project.engine.exec, 'rm', ids(project)[0] ?? '')
    write(project, { web: 'web three', services: servicesOf({ web: { ...servicesOf()['web'], scale: 3 } }) })
    await deployed(project)
    expect([ids(project).length, answer(project)]).toEqual([2, ['web three']])
  })

  test('to fewer replicas rolls as well: it removes by id only replicas that get no requests', async () => {
    const project = await serving({ services: servicesOf({ web: { ...servicesOf()['web'], scale: 3 } }) })
    write(project)
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), seen, ids(project).length]).toEqual(['no error', [['web one']], 1])
    expect(result.bundle?.plan?.services.find(({ service }) => service === 'web')?.action).toBe('rolling')
  })

  test('to more replicas rolls as well: none of them gets requests before it is ready', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, { services: servicesOf({ web: { ...servicesOf()['web'], scale: 3 } }) })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), seen]).toEqual(['no error', [['web one']]])
    expect([ids(project).length, ids(project).includes(old[0] ?? '')]).toEqual([3, false])
    expect(project.engine.proxy.aliases('shop').filter((line) => line.startsWith('b.web'))).toHaveLength(3)
    const own = project.engine.proxy.aliases('shop').filter((line) => /^\d/.test(line) && line.includes('.b.web.'))
    expect(own.map((line) => line[0])).toEqual(['1', '2', '3'])
  })

  test('does not restart an old container that has ended, but replaces it', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'stop', ids(project)[0] ?? '')
    const old = ids(project)
    const started: string[] = []
    project.engine.intercept = (argv) => void (argv[1] === 'start' && started.push(...argv.slice(2)))
    await deployed(project)
    expect(started.filter((id) => old.includes(id))).toEqual([])
    expect(answer(project)).toEqual(['web one'])
  })

  test('waits for requests in flight', async () => {
    const project = await serving()
    write(project, { web: 'web two' })
    let left = 20
    const asked: string[][] = []
    project.engine.proxy.inFlight = (address) => {
      if (!address.startsWith('a.web.')) return 0
      asked.push(services(project))
      return Math.max(0, --left)
    }
    const { events } = await deployed(project)
    expect(story(events)).toContain('  web drain')
    expect(story(events).filter((line) => line.includes('warning'))).toEqual([])
    const both = [...OLD, 'web of web two running']
    expect(asked).toEqual(Array(21).fill(both))
    expect(services(project)).toEqual([...OLD.slice(0, 2), 'web of web two running'])
  })

  test('waits no longer than drain_timeout, and reports the requests that are cut', async () => {
    const settings = { web: `{expose: {host: ${HOST}, port: 3000, tls: off}, rollout: {drain_timeout: 2s}}` }
    const project = await serving({ settings })
    write(project, { web: 'web two', settings })
    project.engine.proxy.inFlight = (address) => (address.startsWith('a.web.') ? 2 : 0)
    const { events } = await deployed(project)
    expect(events.filter(({ type }) => type === 'warning')).toEqual([
      {
        type: 'warning',
        message: '2 requests to the old web did not end within 2 s and will be cut',
        hint: 'Raise services.web.rollout.drain_timeout in stagecraft.yml if they need longer.',
      },
    ])
    expect(services(project)).toEqual([...OLD.slice(0, 2), 'web of web two running'])
  })

  test('runs the drain command of each old container, then waits', async () => {
    const drain = 'drain: {command: [touch, /tmp/leaving], wait: 7s}'
    const settings = { web: `{expose: {host: ${HOST}, port: 3000, tls: off}, rollout: {${drain}}}` }
    const project = await serving({ settings })
    const [old] = ids(project)
    write(project, { web: 'web two', settings })
    const ran: unknown[] = []
    project.engine.proxy.hook = ({ id }, command) => {
      ran.push([id, command, project.engine.state.now])
      return 3
    }
    let stopped = 0
    project.engine.intercept = (argv) => {
      if (argv[1] === 'stop') stopped = project.engine.state.now
      return undefined
    }
    const { events } = await deployed(project)
    expect(ran).toEqual([[old, ['touch', '/tmp/leaving'], stopped - 7_000]])
    expect(events.find(({ type }) => type === 'warning')).toEqual({
      type: 'warning',
      message: 'the drain command of web failed in shop-web-1 (exit code 3)',
      hint: 'Requests to it may be cut when it stops.',
    })
  })

  test('of an internal service: its callers get the old version, then the new one, and never none', async () => {
    const project = await serving()
    write(project, { api: 'api two' })
    const { result, seen } = await watched(
      project,
      () => callApi(project),
      () => project.deploy(),
    )
    expect([told(result), seen, loads(project)]).toEqual(['no error', [['api one'], ['api two']], []])
  })

  test('rolls a service without a route if it says so', async () => {
    const settings = { worker: '{rollout: {strategy: rolling, min_ready: 200ms}}' }
    const application = (STEP: string) => ({
      settings,
      services: servicesOf({ worker: { image: 'api:1', environment: { STEP } } }),
    })
    const project = routed({ ...application('1'), settings })
    write(project, application('1'))
    project.write(
      'stagecraft.yml',
      `environments: {local: {services: {worker: ${settings.worker}, db: {rollout: {min_ready: 1s}}}}}`,
    )
    await deployed(project)
    const [old] = ids(project, 'worker')
    project.engine.model = composeModel('shop', { services: application('2').services, volumes: { data: {} } })
    const { result, seen } = await watched(
      project,
      () => project.view().filter((line) => line.startsWith('worker') && line.includes('running')).length > 0,
      () => project.deploy(),
    )
    expect([told(result), seen, ids(project, 'worker').includes(old ?? '')]).toEqual(['no error', [true], false])
    expect(project.engine.state.proxy.boxes).toEqual([])
  })
})
