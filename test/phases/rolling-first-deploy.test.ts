import { describe, expect, test } from 'bun:test'
import { story } from '../fakes/project.ts'
import { deployed, watched } from '../scenes/routed.ts'
import { answer, callApi, routedProjects } from '../scenes/routed-projects.ts'
import { told } from '../scenes/shop.ts'

const { routed } = routedProjects()

describe('a first deploy of an exposed service', () => {
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
        "1.a.api.shop.stagecraft.internal api one",
        "1.a.web.shop.stagecraft.internal web one",
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

  // routing.ts: what answerInternally() connected is not disconnected by an undo.
  test('that fails late leaves the same, although another service was routed early', async () => {
    const project = routed({ web: 'sick web' })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect([project.view(), Object.keys(project.engine.state.networks)]).toEqual([[], ['0--stagecraft-proxy']])
  })

  test('whose image is missing leaves the same, although the proxy was just being started', async () => {
    const project = routed()
    project.engine.behave = () => ({ refuses: 'OCI runtime create failed' })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.engine.proxy.view()).toEqual(['stagecraft-proxy of caddy 2 running'])
    expect(Object.keys(project.engine.state.networks)).toEqual(['0--stagecraft-proxy'])
  })

  test('says that another program has port 80', async () => {
    const project = routed()
    project.engine.proxy.portTaken = true
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, project.view()]).toEqual([
      'failed',
      'Cannot start the proxy: another program uses one of its ports',
      [],
    ])
    project.engine.proxy.portTaken = false
    await deployed(project)
    expect(answer(project)).toEqual(['web one'])
  })

  test('says that the image of the proxy is not a Caddy', async () => {
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
