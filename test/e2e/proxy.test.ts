import { expect } from 'bun:test'
import { bundle, deploy, expectCode, idle, sharedFolders, until, writeApp } from './app.ts'
import { countsDuring } from './counts.ts'
import { app, ask, exposed, h1, lab, name, page, proxy, routesIn } from './proxied.ts'

// Routes, TLS, maintenance, and what is refused.
const [shop, blog] = sharedFolders(h1, 'shop', 'blog')

lab('the first deploy of an exposed service starts the proxy, and the plan says so', async () => {
  writeApp(shop, app(shop, { web: page('one'), worker: idle }))
  const plan = await shop.stagecraft(['plan'])
  expect(plan.stdout).toContain(`web     route   http://${name(shop)}`)
  await deploy(shop, 'v1')
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'one' })
  expect(await ask('nobody.test')).toEqual({ status: 404, body: 'No such site.' })
  expect(await routesIn(shop)).toContain(name(shop))
})

lab('a rollout, a failed one and a rollback change no configuration of the proxy', async () => {
  const generations = async () =>
    (await h1.docker(['exec', 'stagecraft-proxy', 'ls', '/config/stagecraft/config'])).stdout
  const before = [await generations(), await proxy()]
  writeApp(shop, app(shop, { web: page('two'), worker: idle }))
  await deploy(shop, 'v2')
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'two' })
  writeApp(shop, app(shop, { web: { ...idle, command: ['sh', '-c', 'exit 3'] }, worker: idle }))
  await deploy(shop, 'v3', 5)
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'two' })
  expectCode(await shop.stagecraft(['rollback']), 0)
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'one' })
  expect([await generations(), await proxy()]).toEqual(before)
  // Caddy is process 1 and reaps nothing: what asks inside the proxy waits for all that it starts.
  const zombies = 'grep -l "^State:.Z" /proc/[0-9]*/status | wc -l'
  expect((await h1.docker(['exec', 'stagecraft-proxy', 'sh', '-c', zombies])).stdout.trim()).toBe('0')
})

lab('a service that does not listen on the port of expose does not go live: exit 5, and a hint', async () => {
  writeApp(
    shop,
    app(
      shop,
      { web: page('five', { environment: { V: '5' } }), worker: idle },
      { web: { ...exposed(name(shop), { port: 81 }), rollout: { health_timeout: '2s' } } },
    ),
  )
  const { stderr } = await deploy(shop, 'v4', 5)
  expect(stderr).toContain('Cannot route requests to web: nothing answers on port 81')
  expect(stderr).toContain('It must listen on port 81 of all its addresses (0.0.0.0, not 127.0.0.1).')
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'one' })
})

lab('a health path must answer 2xx', async () => {
  writeApp(
    shop,
    app(
      shop,
      { web: page('six'), worker: idle },
      { web: { ...exposed(name(shop), { health: '/up' }), rollout: { health_timeout: '10s' } } },
    ),
  )
  expect((await deploy(shop, 'v5', 5)).stderr).toContain('Cannot route requests to web: /up answers 404')
})

lab(
  'two projects have routes next to each other; paths choose the service; neither gets the other one’s route',
  async () => {
    writeApp(blog, app(blog, { web: page('blog'), api: page('api') }, { api: exposed(name(blog), { path: '/api' }) }))
    await deploy(blog, 'v1')
    expect((await ask(name(blog))).body).toBe('blog')
    expect((await ask(name(blog), '/api/')).body).toBe('api api')
    expect((await ask(name(blog), '/apiary')).status).toBe(404)
    expect((await ask(name(shop))).body).toBe('one')
    writeApp(blog, app(blog, { web: page('taken') }, { web: exposed(name(shop)) }))
    for (const command of ['plan', 'deploy']) {
      const { code, stderr } = await blog.stagecraft([command])
      expect([command, code]).toEqual([command, 3])
      expect(stderr).toContain(`Cannot expose web as ${name(shop)}/: the project ${shop.name} has that route`)
    }
    expect((await ask(name(shop))).body).toBe('one')
  },
)

lab('a removed service, and one that is no longer exposed, have no route', async () => {
  writeApp(blog, app(blog, { web: page('blog'), api: page('api') }, { web: {}, api: exposed(name(blog)) }))
  const plan = await blog.stagecraft(['plan'])
  expect(plan.stdout).toContain(`web  unroute    http://${name(blog)}`)
  await deploy(blog, 'v3')
  expect((await ask(name(blog))).body).toBe('api')
  writeApp(blog, app(blog, { web: page('blog') }, { web: {} }))
  await deploy(blog, 'v4')
  expect((await ask(name(blog))).status).toBe(404)
  expect((await h1.docker(['network', 'ls', '--format', '{{.Name}}'])).stdout).not.toContain(`stagecraft-${blog.name}`)
})

lab('tls: internal answers with a certificate of its own, and port 80 redirects', async () => {
  writeApp(blog, app(blog, { web: page('secure') }, { web: exposed(name(blog), { tls: 'internal' }) }))
  await deploy(blog, 'v5')
  await until(
    'the certificate is there',
    async () => (await ask(name(blog), '/', ['--location'])).body === 'secure' || 'no',
  )
  const { status } = await ask(name(blog))
  expect(status).toBe(308)
})

lab('a configuration that Caddy refuses changes nothing: exit 5, and everything answers as before', async () => {
  // Someone wrote nonsense into the file that keeps the routes.
  const internal = { port: 99, names: ['x'], networks: [], subnets: ['nonsense'] }
  const bad = { service: 'x', hosts: [], path: '/', tls: 'off', ports: { a: 1, b: 1 }, internal }
  const edit = (command: string) =>
    h1.docker([
      'exec',
      'stagecraft-proxy',
      'sh',
      '-c',
      `cd /config/stagecraft/config; for f in */routes.json; do ${command}; done`,
    ])
  await edit(`cp $f $f.kept; sed -i '1s~^{~{"nonsense":[${JSON.stringify(bad)}],~' $f`)
  const api = page('api')
  writeApp(shop, app(shop, { web: page('one'), worker: idle, api }, { api: exposed(`api.${name(shop)}`) }))
  const { stderr } = await deploy(shop, 'v6', 5)
  await edit('mv $f.kept $f')
  expect(stderr).toContain('Cannot change the routes of the proxy: Caddy refuses them')
  expect(stderr).toContain('nonsense')
  expect((await ask(name(shop))).body).toBe('one')
  expect((await ask(`api.${name(shop)}`)).status).toBe(404)
  expect((await shop.containers()).map(({ service }) => service)).toEqual(['web', 'worker'])
})

lab('maintenance answers 503 to every request, survives a deploy, and ends', async () => {
  expectCode(await shop.stagecraft(['maintenance', 'on', '--message', 'Back at 10']), 0)
  const post = await ask(name(shop), '/any/where', ['-X', 'POST', '-d', 'x=1', '-H', 'If-None-Match: *'])
  expect(post.status).toBe(503)
  expect(post.body).toContain('<p>Back at 10</p>')
  writeApp(shop, app(shop, { web: page('ten'), worker: idle }))
  await deploy(shop, 'v6')
  expect((await ask(name(shop))).status).toBe(503)
  const status = await shop.stagecraft(['status'])
  expect([status.code, status.stdout]).toEqual([
    5,
    expect.stringContaining('it answers 503: `stagecraft maintenance off` ends that'),
  ])
  expectCode(await shop.stagecraft(['maintenance', 'off']), 0)
  expect((await ask(name(shop))).body).toBe('ten')
  expectCode(await shop.stagecraft(['status']), 0)
})

lab('a service with several replicas rolls all of them; a changed number of replicas rolls too', async () => {
  const ids = async () => (await shop.containers()).filter(({ service }) => service === 'web').map(({ id }) => id)
  const scaled = (text: string, scale?: number) =>
    app(shop, { web: page(text, scale === undefined ? {} : { scale }), worker: idle })
  writeApp(shop, scaled('a', 2))
  await deploy(shop, 'v11')
  const two = await ids()
  writeApp(shop, scaled('a', 3))
  await deploy(shop, 'v12')
  const three = await ids()
  expect([two.length, three.length, three.filter((id) => two.includes(id)).length]).toEqual([2, 3, 0])
  writeApp(shop, scaled('a', 2))
  await deploy(shop, 'v13')
  const rolled = await ids()
  expect([rolled.length, rolled.filter((id) => three.includes(id)).length]).toEqual([2, 0])
  expect((await ask(name(shop))).body).toBe('a')
  expect(Object.keys(bundle(shop).images)).toEqual(['web', 'worker'])
})

lab('replicas with order: stop-first are replaced in turn, never more than the configured number', async () => {
  const settings = { worker: { rollout: { order: 'stop-first' } } }
  const workers = (v: string) =>
    app(shop, { web: page('a', { scale: 2 }), worker: { ...idle, scale: 3, environment: { V: v } } }, settings)
  writeApp(shop, workers('1'))
  await deploy(shop, 'v14')
  writeApp(shop, workers('2'))
  expect((await shop.stagecraft(['plan'])).stdout).toContain('one at a time, because `order: stop-first` is set')
  const counts = await countsDuring(h1, shop, { service: 'worker', from: 'start' }, () => deploy(shop, 'v15'))
  expect([Math.min(...counts), Math.max(...counts)]).toEqual([2, 3])
})

lab(
  'internal services of two projects on one network and port are told apart by their names, which stay theirs',
  async () => {
    const network = `${shop.name}-shared`
    await h1.docker(['network', 'create', network])
    try {
      const compose = { networks: { shared: { external: true, name: network } } }
      const one = (
        project: typeof shop,
        service: string,
        expose: Readonly<Record<string, unknown>> = { expose: { internal: true, port: 80 } },
      ) =>
        writeApp(project, {
          services: {
            [service]: page(`${service} of ${project === shop ? 'shop' : 'blog'}`, { networks: ['shared'] }),
          },
          settings: { [service]: expose },
          compose,
        })
      const call = async (service: string) => {
        const asking = ['timeout', '5', 'wget', '-q', '-O', '-', `http://${service}/`]
        return (await h1.docker(['run', '--rm', '--network', network, 'busybox:1', ...asking])).stdout.trim()
      }
      one(shop, 'api')
      await deploy(shop, 'v19')
      one(blog, 'mail')
      await deploy(blog, 'v19')
      expect([await call('api'), await call('mail')]).toEqual(['api of shop', 'mail of blog'])
      one(blog, 'api', {})
      expect((await deploy(blog, 'v20', 3)).stderr).toContain(
        `api is an internal service of the project ${shop.name} there`,
      )
      expect([await call('api'), await call('mail')]).toEqual(['api of shop', 'mail of blog'])
    } finally {
      await blog.cleanUp() // it uses the network, which is called as if it were shop's
      await shop.cleanUp()
    }
  },
)
