import { describe, expect, test } from 'bun:test'
import { PROXY } from '../../lib/plan/routes/table.ts'
import type { FakeProject } from '../fakes/project.ts'
import { byHand } from '../fakes/proxy.ts'
import { deployed, HOST, newNeighbour, servicesOf, watched, write } from '../scenes/routed.ts'
import { answer, callApi, ids, routedProjects, slots } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'

const { serving, temporary } = routedProjects()

describe('routes', () => {
  const only = (expose: string) => ({ settings: { web: expose ? `{expose: ${expose}}` : '{}' } })

  test('of a service that already runs are added without a new container', async () => {
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

  test('of a running service, and a failure in the switch: the next rollout does not mix the two', async () => {
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

  test('are removed with their `expose`, and the last one with the network', async () => {
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

  test('can become internal, and external again', async () => {
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

describe('two projects on one host', () => {
  function neighbour(project: FakeProject, host: string, name?: string): FakeProject {
    return temporary(newNeighbour(project, host, name))
  }

  test('have their own routes, even with the same internal name, and do not affect each other', async () => {
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
