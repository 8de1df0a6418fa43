import { describe, expect, test } from 'bun:test'
import { exitCodeOf } from '../../lib/util/errors.ts'
import { story } from '../fakes/project.ts'
import { HOST, servicesOf, watched, write } from '../scenes/routed.ts'
import { answer, callApi, ids, loads, routedProjects, slots } from '../scenes/routed-projects.ts'

const { serving } = routedProjects()

describe('a rolling deploy that fails', () => {
  test.each([
    ['ends', 'bad web', 'Cannot start web: it ended with exit code 1'],
    ['is unhealthy', 'sick web', 'Cannot start web: its healthcheck says unhealthy'],
  ])('because the new container %s leaves everything as it was', async (_, web, message) => {
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

  test('because it does not answer the proxy says what to do', async () => {
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

  test('because its health path does not answer 2xx', async () => {
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

  test('by a signal in the middle of prepare leaves everything as it was', async () => {
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

  // undo/host.ts would then remove the network, and not restore the services that were not touched.
  test('before a network is recreated leaves that network, and the containers on it', async () => {
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

  // undo/host.ts treats every touched service as lost if a network is recreated.
  test('while another network is recreated does not touch the service that rolls', async () => {
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
