import { afterEach, describe, expect, test } from 'bun:test'
import { readBundle } from '../lib/bundle.ts'
import { exitCodeOf } from '../lib/errors.ts'
import { PROXY } from '../lib/routes.ts'
import { dice } from './support/dice.ts'
import { composeModel } from './support/fake-engine.ts'
import { type FakeProject, story } from './support/fake-project.ts'
import { byHand } from './support/fake-proxy.ts'
import { type Campaign, type Fault, tryFaults } from './support/rolling-campaign.ts'
import {
  type Application,
  deployed,
  HOST,
  newNeighbour,
  newRouted,
  SCENARIOS,
  servicesOf,
  watched,
  write,
} from './support/routed.ts'
import { told } from './support/shop.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

const routed = (application?: Application) => {
  const project = newRouted('rolling', application)
  projects.push(project)
  return project
}
/** The first version serves. */
async function serving(application?: Application): Promise<FakeProject> {
  const project = routed(application)
  await deployed(project)
  project.engine.calls = []
  return project
}

const answer = (project: FakeProject) => project.engine.proxy.answer(HOST)
const callApi = (project: FakeProject) => project.engine.proxy.call('shop_default', 'api', 4000)
const ids = (project: FakeProject, service = 'web') => project.engine.ids('shop', service)
const slots = (project: FakeProject) => project.engine.state.proxy.volume?.live['shop']
const loads = (project: FakeProject) => project.engine.calls.filter((argv) => argv.includes('stagecraft-apply'))
const services = (project: FakeProject) => project.view().map((line) => line.replace(/ on .*/, ''))

test('a run that dies, or fails, at some commands of a rollout', async () => {
  const roll = dice(3)
  for (const name of ['a new version of two services', 'a new version that fails']) {
    const scenario = SCENARIOS[name]
    if (scenario === undefined) throw new Error(name)
    const attempt = (campaign: Campaign, fault: Fault) => (roll(2) === 0 ? campaign.die(fault) : campaign.fail(fault))
    const { wrong, tried } = await tryFaults(scenario, attempt, () => roll(7) === 0)
    expect([...wrong]).toEqual([])
    expect(tried).toBeGreaterThan(3)
  }
}, 60_000)

const OLD = ['api of api one running', 'db of db running', 'web of web one running']

describe('a first deploy of what is exposed', () => {
  test('starts the proxy, and routes once all is ready', async () => {
    const project = routed()
    const { result, seen } = await watched(
      project,
      () => [answer(project), callApi(project)],
      () => project.deploy(),
    )
    expect(told(result)).toBe('no error')
    expect(story(result.events).filter((line) => line.startsWith('  '))).toMatchInlineSnapshot(`
      [
        "  api create",
        "  db create",
        "  web create",
        "  proxy start: this host has none yet (caddy:2)",
        "  api ready",
        "  db ready",
        "  web ready",
        "  api switch",
        "  web switch",
      ]
    `)
    expect(project.engine.proxy.view()).toMatchInlineSnapshot(`
      [
        "stagecraft-proxy of caddy 2 running on shop_default as api, stagecraft-shop",
        "route shop/api a:4000 b:4000",
        "route shop/web a:3000 b:3000",
        "live shop: api.a web.a",
      ]
    `)
    expect(project.engine.proxy.aliases('shop')).toMatchInlineSnapshot(`
      [
        "a.api.shop.stagecraft.internal api one",
        "a.web.shop.stagecraft.internal web one",
      ]
    `)
    expect(seen).toMatchInlineSnapshot(`
      [
        [
          [
            "nobody",
          ],
          [
            "nobody",
          ],
        ],
        [
          [
            "404",
          ],
          [
            "nobody",
          ],
        ],
        [
          [
            "404",
          ],
          [
            "api one",
          ],
        ],
        [
          [
            "503",
          ],
          [
            "api one",
          ],
        ],
        [
          [
            "web one",
          ],
          [
            "api one",
          ],
        ],
      ]
    `)
    expect(result.bundle?.slots).toEqual({ api: 'a', web: 'a' })
    expect(result.bundle?.journal).toBeUndefined()
  })

  test('that fails leaves the proxy, without a route, and nothing of the project', async () => {
    const project = routed({ web: 'bad web' })
    const { error } = await project.deploy()
    expect(error?.kind).toBe('failed')
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect([project.view(), Object.keys(project.engine.state.networks)]).toEqual([[], ['0--stagecraft-proxy']])
  })

  // routing.ts: what answerInternally() plugged in is not unplugged by an undo.
  test('that fails late does so too, although another service was routed early', async () => {
    const project = routed({ web: 'sick web' })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect([project.view(), Object.keys(project.engine.state.networks)]).toEqual([[], ['0--stagecraft-proxy']])
  })

  test('whose image is missing leaves nothing either, although the proxy was just being started', async () => {
    const project = routed()
    project.engine.behave = () => ({ refuses: 'OCI runtime create failed' })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect(Object.keys(project.engine.state.networks)).toEqual(['0--stagecraft-proxy'])
  })

  test('says who has port 80', async () => {
    const project = routed()
    project.engine.proxy.portTaken = true
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, project.view()]).toEqual([
      'failed',
      'Cannot start the proxy: another program has port 80 or 443 of this host',
      [],
    ])
    project.engine.proxy.portTaken = false
    await deployed(project)
    expect(answer(project)).toEqual(['web one'])
  })

  test('says that the image of the proxy is no Caddy', async () => {
    const project = routed({ environment: 'proxy: {image: "nginx:1"}' })
    project.engine.registry['nginx:1'] = 'nginx'
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, error?.detail]).toEqual([
      'failed',
      'Cannot start the proxy: it does not answer',
      'what Caddy logged',
    ])
  })
})

describe('a rolling deploy', () => {
  test('makes the new beside the old, switches by one rename, drains, and removes the old by id', async () => {
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
    const changes = project.engine.changes().filter((line) => !/ (tag|rmi) /.test(line))
    const short = (line: string) =>
      line.replaceAll(/[0-9a-f]{64}/g, (id) => (old.includes(id) ? '<old>' : '<new>')).replace(/--progress.*json /, '')
    expect(changes.map(short)).toMatchInlineSnapshot(`
      [
        "docker compose up --no-start --no-deps --no-build --pull never --no-recreate --scale web=2 -- web",
        "docker network connect --alias b.web.shop.stagecraft.internal stagecraft-shop <new>",
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

  test('has written what is new before it starts it, and that it switches before it does', async () => {
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

  test('goes back and forth between the slots, and a rollback does too', async () => {
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

  test('replaces all replicas, and keeps their number, also one that was set by hand', async () => {
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

  test('to fewer replicas rolls as well: it removes none that answers, and by id', async () => {
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

  test('to more replicas rolls as well: none of them is asked before it is ready', async () => {
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
  })

  test('does not start an old container again that has ended, and replaces it', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'stop', ids(project)[0] ?? '')
    const old = ids(project)
    const started: string[] = []
    project.engine.intercept = (argv) => void (argv[1] === 'start' && started.push(...argv.slice(2)))
    await deployed(project)
    expect(started.filter((id) => old.includes(id))).toEqual([])
    expect(answer(project)).toEqual(['web one'])
  })

  test('waits for requests that are on their way', async () => {
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

  test('waits no longer than drain_timeout, and says what is cut', async () => {
    const settings = { web: `{expose: {host: ${HOST}, port: 3000, tls: off}, rollout: {drain_timeout: 2s}}` }
    const project = await serving({ settings })
    write(project, { web: 'web two', settings })
    project.engine.proxy.inFlight = (address) => (address.startsWith('a.web.') ? 2 : 0)
    const { events } = await deployed(project)
    expect(events.filter(({ type }) => type === 'warning')).toEqual([
      {
        type: 'warning',
        message: '2 requests to the former web did not end within 2 s and will be cut',
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

  test('of an internal service never lets its callers see a new container, or none', async () => {
    const project = await serving()
    write(project, { api: 'api two' })
    const { result, seen } = await watched(
      project,
      () => callApi(project),
      () => project.deploy(),
    )
    expect([told(result), seen, loads(project)]).toEqual(['no error', [['api one'], ['api two']], []])
  })

  test('rolls what is not routed if it says so', async () => {
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

describe('a rolling deploy that fails', () => {
  test.each([
    ['ends', 'bad web', 'Cannot start web: it ended with exit code 1'],
    ['is unhealthy', 'sick web', 'Cannot start web: its healthcheck says unhealthy'],
  ])('as what is new %s leaves all as it was', async (_, web, message) => {
    const project = await serving()
    const [old, live, networks] = [ids(project), slots(project), structuredClone(project.engine.state.networks)]
    write(project, { web })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([result.error?.kind, result.error?.message, exitCodeOf(result.error)]).toEqual(['failed', message, 5])
    expect([seen, ids(project), slots(project), loads(project)]).toEqual([[['web one']], old, live, []])
    expect(project.engine.state.networks).toEqual(networks)
    expect(result.bundle?.journal).toBeUndefined()
    const next = await project.deploy()
    expect([next.error?.message, ids(project)]).toEqual([message, old])
  })

  test('in the third of three services switches nothing, and removes everything new', async () => {
    const three = (step: string) => ({
      services: servicesOf({
        api: { image: 'api:1', environment: { step } },
        worker: {
          image: step === '1' ? 'api:1' : 'worker:bad',
          depends_on: { web: { condition: 'service_healthy' }, api: { condition: 'service_healthy' } },
        },
      }),
      settings: { worker: '{expose: {host: worker.example.com, port: 80, tls: off}, rollout: {min_ready: 400ms}}' },
    })
    const project = await serving(three('1'))
    project.engine.addImage('worker:bad', 'bad worker')
    const before = project.engine.containersOf('shop').map(({ id }) => id)
    const live = slots(project)
    write(project, { web: 'web two', ...three('2') })
    const { result, seen } = await watched(
      project,
      () => [answer(project), callApi(project), project.engine.proxy.answer('worker.example.com')],
      () => project.deploy(),
    )
    expect(result.error?.message).toBe('Cannot start worker: it ended with exit code 1')
    const ready = story(result.events).filter((line) => line.endsWith(' ready'))
    expect(ready.toSorted()).toEqual(['  api ready', '  web ready'])
    expect(seen).toEqual([[['web one'], ['api one'], ['api one']]])
    expect([project.engine.containersOf('shop').map(({ id }) => id), slots(project)]).toEqual([before, live])
  })

  test('as it does not answer the proxy is told with what to do', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, { web: 'web two' })
    project.engine.proxy.responds = ({ id, service }) => (service === 'web' && !old.includes(id) ? undefined : 200)
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    const { error } = result
    expect([error?.kind, seen, ids(project)]).toEqual(['failed', [['web one']], old])
    expect(error?.message).toMatch(
      /^Cannot route requests to web: nothing answers on port 3000 \(can't connect to remote/,
    )
    expect(error?.hint).toContain('It must listen on port 3000 of all its addresses (0.0.0.0, not 127.0.0.1).')
  })

  test('as its health path does not answer 2xx', async () => {
    const settings = { web: `{expose: {host: ${HOST}, port: 3000, health: /up, tls: off}}` }
    const project = await serving({ settings })
    write(project, { web: 'web two', settings })
    project.engine.proxy.responds = (_, port, path) => (port === 3000 && path === '/up' ? 503 : 200)
    const { error } = await project.deploy()
    expect([error?.message, error?.hint]).toEqual([
      'Cannot route requests to web: /up answers 503 No',
      expect.stringContaining('The health path of `expose` must answer 2xx before requests are sent there.'),
    ])
    expect(answer(project)).toEqual(['web one'])
  })

  test('by a signal, in the midst of prepare, leaves all as it was', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, { web: 'web two' })
    const controller = new AbortController()
    project.engine.intercept = (argv) => {
      if (argv[1] === 'start') controller.abort(15)
      return undefined
    }
    const { error } = await project.deploy({ signal: controller.signal })
    expect([exitCodeOf(error), ids(project), answer(project), slots(project)]).toEqual([
      143,
      old,
      ['web one'],
      ['api.a', 'web.a'],
    ])
  })

  // The same: it then removes the network, and does not put those back that were not touched.
  test('before a network is made anew leaves that network, and who is on it', async () => {
    const application = (label: string) => ({
      services: servicesOf({ worker: { image: 'api:1', networks: { back: null } } }),
      networks: { back: { labels: { label } } },
      settings: { worker: '{rollout: {min_ready: 200ms}}' },
    })
    const project = await serving(application('one'))
    const before = [project.view(), ids(project), ids(project, 'worker')]
    write(project, { web: 'sick web', ...application('two') })
    expect((await project.deploy()).error?.message).toBe('Cannot start web: its healthcheck says unhealthy')
    expect([project.view(), ids(project), ids(project, 'worker')]).toEqual(before)
  })

  // put-back.ts takes everything that was touched for lost where a network is made anew.
  test('while another network is made anew leaves what rolls alone', async () => {
    const application = (label: string) => ({
      services: servicesOf({ worker: { image: 'api:1', networks: { back: null } } }),
      networks: { back: { labels: { label } } },
      settings: { worker: '{rollout: {min_ready: 200ms}}' },
    })
    const project = await serving(application('one'))
    const old = ids(project)
    write(project, { web: 'web two', ...application('two') })
    let first = true
    project.engine.behave = ({ service }) => {
      if (service !== 'worker' || !first) return { after: 300 }
      first = false
      return { exit: 1 }
    }
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect(result.error?.message).toBe('Cannot start worker: it ended with exit code 1')
    expect([seen, ids(project)]).toEqual([[['web one']], old])
  })
})

describe('routes', () => {
  const only = (expose: string) => ({ settings: { web: expose ? `{expose: ${expose}}` : '{}' } })

  test('of a service that runs already come without a new container', async () => {
    const project = await serving(only(''))
    const old = ids(project)
    expect(answer(project)).toEqual(['404'])
    write(project)
    const { result } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), ids(project), answer(project), slots(project)]).toEqual([
      'no error',
      old,
      ['web one'],
      ['api.a', 'web.a'],
    ])
    expect(result.bundle?.phases.rollout?.note).toBe('3 unchanged')
    expect((await deployed(project)).bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
  })

  test('of a service that runs already, and a failure in the switch: the next rollout does not mix the two', async () => {
    const project = await serving(only(''))
    const old = ids(project)
    write(project)
    project.engine.proxy.refuses = () => 'no'
    expect((await project.deploy()).error?.kind).toBe('failed')
    project.engine.proxy.refuses = () => undefined
    expect(answer(project)).toEqual(['404'])
    write(project, { web: 'web two' })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), seen, ids(project).includes(old[0] ?? '')]).toEqual([
      'no error',
      [['404'], ['503'], ['web two']], // nothing, a route, a slot that is live
      false,
    ])
  })

  test('of a service that gets more replicas at the same time reach all of them', async () => {
    const project = await serving(only(''))
    write(project, { services: servicesOf({ web: { ...servicesOf()['web'], scale: 2 } }) })
    await deployed(project)
    expect(project.engine.proxy.aliases('shop').filter((line) => line.startsWith('a.web'))).toHaveLength(2)
  })

  test('go with their expose, and the last one with the network', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, only(''))
    await deployed(project)
    expect([ids(project), answer(project), slots(project)]).toEqual([old, ['404'], ['api.a']])
    write(project, { settings: { web: '{}', api: '{rollout: {min_ready: 200ms}}' } })
    await deployed(project)
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect(Object.keys(project.engine.state.networks)).toEqual(['shop_default', '0--stagecraft-proxy'])
    expect(callApi(project)).toEqual(['api one'])
  })

  test('to another port change with the switch, also with a new version', async () => {
    const project = await serving()
    project.engine.proxy.responds = (container, port) => {
      const content = project.engine.state.images[container.image]?.content
      return port === (content === 'web two' ? 5000 : content === 'api one' ? 4000 : 3000) ? 200 : undefined
    }
    write(project, { web: 'web two', ...only(`{host: ${HOST}, port: 5000, tls: off}`) })
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([told(result), seen]).toEqual(['no error', [['web one'], ['web two']]])
    expect(result.bundle?.routes?.find(({ service }) => service === 'web')?.ports).toEqual({ a: 3000, b: 5000 })
    expect(project.engine.proxy.view()).toContain('route shop/web a:3000 b:5000')
  })

  test('to another host change without a new container', async () => {
    const project = await serving()
    const old = ids(project)
    write(project, only('{host: new.example.com, port: 3000, tls: off}'))
    await deployed(project)
    const now = [answer(project), project.engine.proxy.answer('new.example.com')]
    expect([ids(project), now]).toEqual([old, [['404'], ['web one']]])
  })

  test('become internal, and external again', async () => {
    const project = await serving(only(`{host: ${HOST}, port: 3000, tls: off}`))
    write(project, only(`{host: ${HOST}, internal: true, port: 3000, tls: off}`))
    await deployed(project)
    const call = () => project.engine.proxy.call('shop_default', 'web', 3000)
    expect([answer(project), call()]).toEqual([['web one'], ['web one']])
    expect(project.engine.proxy.view()[0]).toContain('shop_default as api+web')
    write(project)
    await deployed(project)
    expect([answer(project), call()]).toEqual([['web one'], ['web one']])
    expect(project.engine.proxy.view()[0]).toContain('shop_default as api,')
  })

  test('that Caddy refuses fail the deploy, and the old configuration stays', async () => {
    const project = await serving()
    const old = [ids(project), project.engine.proxy.view()]
    write(project, { web: 'web two', ...only('{host: new.example.com, port: 3000}') })
    project.engine.proxy.refuses = () => 'Error: loading new config: it is bad'
    const { result, seen } = await watched(
      project,
      () => answer(project),
      () => project.deploy(),
    )
    expect([result.error?.kind, result.error?.message, result.error?.detail]).toEqual([
      'failed',
      'Cannot change the routes of the proxy: Caddy refuses them',
      'Error: loading new config: it is bad',
    ])
    expect([seen, [ids(project), project.engine.proxy.view()]]).toEqual([[['web one']], old])
  })
})

describe('the proxy', () => {
  test('that somebody removed is made anew, with what serves, by the next deploy', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'rm', '--force', PROXY)
    expect(answer(project)).toEqual(['nobody'])
    const { events } = await deployed(project)
    expect(answer(project)).toEqual(['web one'])
    expect(story(events)).toContain('  proxy start: this host has none yet (caddy:2)')
    expect(callApi(project)).toEqual(['api one'])
  })

  test('whose volume is lost too gets its routes back, before anything new is tried', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'rm', '--force', PROXY)
    project.engine.state.proxy.volume = undefined
    write(project, { web: 'bad web' })
    const { error } = await project.deploy()
    expect([error?.kind, answer(project), callApi(project)]).toEqual(['failed', ['web one'], ['api one']])
  })

  test('that lost what it did does it again, and that is told', async () => {
    const project = await serving()
    const { volume } = project.engine.state.proxy
    if (volume) volume.live = {}
    expect(answer(project)).toEqual(['503'])
    const { events } = await deployed(project)
    expect([answer(project), callApi(project)]).toEqual([['web one'], ['api one']])
    expect(story(events)).toContain('  proxy mend: it does not do what serves')
  })

  test('that was stopped is started', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'stop', PROXY)
    const { events } = await deployed(project)
    expect(story(events)).toContain('  proxy start: it is exited')
    expect(answer(project)).toEqual(['web one'])
  })

  test('is made anew from another image, with its networks', async () => {
    const project = await serving()
    const before = project.engine.proxy.view().map((line) => line.replace('caddy 2', 'caddy 2.10'))
    write(project, { environment: 'proxy: {image: "caddy:2.10"}' })
    const { events } = await deployed(project)
    expect(story(events)).toContain(
      '  proxy upgrade: from caddy:2 to caddy:2.10: for a second or so no route of this host answers, of any project',
    )
    expect([project.engine.proxy.view(), answer(project)]).toEqual([before, ['web one']])
  })

  test('goes on as it was where the other image is none', async () => {
    const project = await serving()
    const before = project.engine.proxy.view()
    project.engine.registry['nginx:1'] = 'nginx'
    write(project, { environment: 'proxy: {image: "nginx:1"}' })
    expect((await project.deploy()).error?.message).toBe(
      'Cannot make the proxy anew from nginx:1: it does not understand the routes there are',
    )
    expect([project.engine.proxy.view(), answer(project)]).toEqual([before, ['web one']])
  })

  test.each([
    ['removed', ['rm', '--force', PROXY]],
    ['stopped', ['stop', PROXY]],
  ])('that was %s while a dead run had only to retire is no obstacle', async (_, command) => {
    const project = await serving()
    write(project, { web: 'web two' })
    expect(
      await project.dieAt(
        (argv) => argv.includes('stagecraft-drained'),
        'none',
        () => project.deploy(),
      ),
    ).toBe(true)
    await byHand(project.engine.exec, ...command)
    await deployed(project)
    expect([answer(project), ids(project).length, slots(project)]).toEqual([['web two'], 1, ['api.a', 'web.b']])
  })
})

describe('two projects on one host', () => {
  function neighbour(project: FakeProject, host: string, name?: string): FakeProject {
    const other = newNeighbour(project, host, name)
    projects.push(other)
    return other
  }

  test('have their own routes, also under the same internal name, and do not notice each other', async () => {
    const project = await serving()
    const blog = neighbour(project, 'blog.example.com')
    project.engine.addImage('blog-api', 'blog api')
    const { seen } = await watched(
      blog,
      () => [answer(project), callApi(project)],
      () => deployed(blog),
    )
    expect(seen).toEqual([[['web one'], ['api one']]])
    expect(blog.engine.proxy.answer('blog.example.com')).toEqual(['blog one'])
    write(project, { web: 'web two', api: 'api two' })
    const other = await watched(
      project,
      () => [blog.engine.proxy.answer('blog.example.com'), blog.engine.proxy.call('blog_default', 'api', 4000)],
      () => deployed(project),
    )
    expect(other.seen).toEqual([[['blog one'], ['api one']]])
    expect([answer(project), callApi(project)]).toEqual([['web two'], ['api two']])
  })

  test('cannot have the same route: the second is refused', () => secondIsRefused(false))

  // planning.ts looks at the routes of others only where the proxy runs.
  test('cannot have the same route either while the proxy is stopped', () => secondIsRefused(true))

  async function secondIsRefused(stopped: boolean): Promise<void> {
    const project = await serving()
    const before = project.engine.proxy.view()
    if (stopped) await byHand(project.engine.exec, 'stop', PROXY)
    const blog = neighbour(project, HOST)
    const { error } = await blog.deploy().catch((error: unknown) => ({ error: error as Error }))
    expect([error && 'kind' in error && error.kind, error?.message]).toEqual([
      'config',
      `Cannot expose web as ${HOST}/: the project shop has that route`,
    ])
    if (!stopped) expect(project.engine.proxy.view()).toEqual(before)
  }
})
