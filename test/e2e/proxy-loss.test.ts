import { expect } from 'bun:test'
import { expectGolden } from '../support/golden.ts'
import { deploy, expectCode, httpd, idle, sharedFolders, until, writeApp } from './app.ts'
import { app, ask, h1, lab, name, page, proxy, routesIn } from './proxied.ts'

// A proxy that is stopped, removed, restarted or recreated: no other test may use it meanwhile.
const [shop, blog] = sharedFolders(h1, 'shop', 'blog')

lab('status reports manual changes to the proxy, and the next deploy repairs them', async () => {
  writeApp(shop, app(shop, { web: page('ten'), worker: idle }))
  await deploy(shop, 'v6')
  const web = (await shop.containers()).find(({ service }) => service === 'web')?.id ?? ''
  const change = async (argv: string[], seen: string) => {
    expectCode(await h1.docker(argv), 0)
    const { code, stdout } = await shop.stagecraft(['status'])
    expect([code, stdout]).toEqual([5, expect.stringContaining(seen)])
    await deploy(shop, `v7`)
    expect((await ask(name(shop))).body).toBe('ten')
    expectCode(await shop.stagecraft(['status']), 0)
  }
  await change(['network', 'disconnect', `stagecraft-${shop.name}`, web], 'the proxy does not reach')
  await change(
    ['exec', 'stagecraft-proxy', 'rm', `/config/stagecraft/live/${shop.name}`],
    'the proxy sends requests to nobody',
  )
  await change(['stop', 'stagecraft-proxy'], 'it is exited')
  await change(['rm', '-f', 'stagecraft-proxy'], 'it does not exist any more')
  const made = (await shop.containers()).find(({ service }) => service === 'web')?.id
  expect(made).toBe(web)
})

lab(
  'a restart keeps routes and slots; another image is said by the plan, and one that is no Caddy does not take over',
  async () => {
    const before = await proxy()
    const { stdout } = await shop.stagecraft(['proxy', 'restart'])
    expectGolden('commands/proxy.md', 'restarted', stdout)
    expect(await proxy()).not.toBe(before)
    expect((await ask(name(shop))).body).toBe('ten')
    const local = { proxy: { image: 'lab/caddy:2' } }
    writeApp(shop, { ...app(shop, { web: page('eleven'), worker: idle }), environments: { local } })
    const plan = await shop.stagecraft(['plan'])
    expect(plan.stdout).toContain(
      'from caddy:2 to lab/caddy:2: for about a second no route of any project on this host answers',
    )
    await deploy(shop, 'v8')
    expect(await routesIn(shop)).toContain('proxy: lab/caddy:2 running')
    expect((await ask(name(shop))).body).toBe('eleven')
    const running = await proxy()
    for (const image of ['busybox:1', 'caddy:2.6']) {
      const local = { proxy: { image } }
      writeApp(shop, { ...app(shop, { web: page('twelve'), worker: idle }), environments: { local } })
      const { stderr } = await deploy(shop, 'v9', 5)
      expect(stderr).toContain(`Cannot recreate the proxy from ${image}: that image cannot load the current routes`)
      expect(await proxy()).toBe(running)
    }
    expect(await routesIn(shop)).toContain('proxy: lab/caddy:2 running')
    expect((await ask(name(shop))).body).toBe('eleven')
    writeApp(shop, {
      ...app(shop, { web: page('twelve'), worker: idle }),
      environments: { local: { proxy: { image: 'caddy:2' } } },
    })
    await deploy(shop, 'v10')
    expect(await routesIn(shop)).toContain('proxy: caddy:2 running')
  },
)

lab(
  'a proxy that is removed in mid-deploy comes back with all projects; a deploy that fails then leaves what was live',
  async () => {
    const answers = async () => [(await ask(name(shop))).body, (await ask(name(blog))).body]
    writeApp(shop, app(shop, { web: page('kept'), worker: idle }))
    await deploy(shop, 'v16')
    writeApp(blog, app(blog, { web: page('blog') }))
    await deploy(blog, 'v16')
    // It stays in the middle of a deploy until the test lets it continue.
    const held = (then: string) => ({ command: ['sh', '-c', `until [ -e /tmp/go ]; do sleep 0.1; done; ${then}`] })
    for (const [version, then, code, text] of [
      ['v17', 'exit 3', 5, 'kept'],
      ['v18', `mkdir /www; echo next >/www/index.html; exec ${httpd('/www').join(' ')}`, 0, 'next'],
    ] as const) {
      const old = new Set((await shop.containers()).map(({ id }) => id))
      writeApp(shop, app(shop, { web: page('', held(then)), worker: idle }))
      const run = shop.startStagecraft(['deploy', '--version', version])
      const fresh = async () => (await shop.containers()).find(({ id, state }) => !old.has(id) && state === 'running')
      await until(`a container of ${version}`, async () => (await fresh()) !== undefined || 'not yet')
      await h1.docker(['rm', '-f', 'stagecraft-proxy'])
      expectCode(await h1.docker(['exec', (await fresh())?.id ?? '', 'touch', '/tmp/go']), 0)
      expectCode(await run.done, code)
      expect([await answers(), (await blog.stagecraft(['status'])).code]).toEqual([[text, 'blog'], 0])
    }
    await h1.docker(['network', 'disconnect', '-f', `stagecraft-${blog.name}`, 'stagecraft-proxy'])
    const { code, stdout } = await blog.stagecraft(['status'])
    expect([code, stdout]).toEqual([5, expect.stringContaining(`it is not on network stagecraft-${blog.name}`)])
    expectCode(await shop.stagecraft(['proxy', 'restart']), 0)
    expect(await answers()).toEqual(['next', 'blog'])
  },
)
