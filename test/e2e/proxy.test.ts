import { afterAll, expect, test } from 'bun:test'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { type App, bundle, deploy, expectCode, httpd, idle, QUICK_STOP, until, writeApp } from './app.ts'

// The proxy of a host: routes, TLS, maintenance, restart, and what is refused. Only in the lab: on another machine its
// ports and its name may be somebody's.
const lab = test.skipIf(!isUp('h1'))
const h1 = host('h1')
const [shop, blog] = [h1.folder('shop'), h1.folder('blog')]
afterAll(async () => {
  await Promise.all([shop.cleanUp(), blog.cleanUp()])
})

const page = (text: string, more: object = {}) => ({
  image: 'busybox:1',
  command: [
    'sh',
    '-c',
    `mkdir -p /www/api; echo ${text} >/www/index.html; echo ${text} api >/www/api/index.html; exec ${httpd('/www').join(' ')}`,
  ],
  ...QUICK_STOP,
  ...more,
})
const exposed = (hostName: string, more: object = {}) => ({ expose: { host: hostName, port: 80, tls: 'off', ...more } })
const name = (project: { name: string }) => `${project.name}.test`

function app(project: { name: string }, services: App['services'], settings: App['settings'] = {}): App {
  return { services, settings: { web: exposed(name(project)), ...settings } }
}

/** Asks the proxy. curl, as it takes any name and certificate. */
async function ask(
  hostName: string,
  path = '/',
  flags: readonly string[] = [],
): Promise<{ status: number; body: string }> {
  const url = `http://${hostName}${path}`
  const resolve = [80, 443].flatMap((port) => ['--resolve', `${hostName}:${port}:${h1.ip}`])
  const argv = ['curl', '-sk', '-m', '15', '-w', '\n%{http_code}', ...resolve, ...flags, url]
  const child = Bun.spawn(argv, { stdout: 'pipe', stderr: 'ignore' })
  const lines = (await new Response(child.stdout).text()).split('\n')
  return { status: Number(lines.pop()), body: lines.join('\n').trim() }
}

async function proxy(): Promise<string> {
  const format = '{{.Id}} {{.State.StartedAt}} {{.State.Status}}'
  return (await h1.docker(['inspect', '--format', format, 'stagecraft-proxy'])).stdout.trim()
}

const routesIn = async () => (await shop.stagecraft(['proxy', 'status'])).stdout

lab('the first deploy of something exposed starts the proxy, and the plan says so', async () => {
  writeApp(shop, app(shop, { web: page('one'), worker: idle }))
  const plan = await shop.stagecraft(['plan'])
  expect(plan.stdout).toContain(`web     route   http://${name(shop)}`)
  await deploy(shop, 'v1')
  expect(await ask(name(shop))).toEqual({ status: 200, body: 'one' })
  expect(await ask('nobody.test')).toEqual({ status: 404, body: 'No such site.' })
  expect(await routesIn()).toContain(name(shop))
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
})

lab('what does not listen where expose says is not switched to: exit 5, and a hint', async () => {
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
      { web: { ...exposed(name(shop), { health: '/up' }), rollout: { health_timeout: '2s' } } },
    ),
  )
  expect((await deploy(shop, 'v5', 5)).stderr).toContain('Cannot route requests to web: /up answers 404')
})

lab(
  'two projects have routes beside each other; paths choose the service; nobody gets the other one’s route',
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

lab('a service that is no more, and one that is exposed no more, have no route', async () => {
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

lab('a service that cannot run twice is recreated behind its route: requests wait', async () => {
  const web = (text: string) => page(text, { container_name: `${blog.name}-only` })
  writeApp(blog, app(blog, { web: web('seven') }))
  const plan = await blog.stagecraft(['plan'])
  expect(plan.stdout).toContain(
    `a gap until it is ready, since it has a container_name (${blog.name}-only); to avoid it: take \`container_name\` out of the Compose file`,
  )
  await deploy(blog, 'v6')
  writeApp(blog, app(blog, { web: web('eight') }))
  const asked = Array.from({ length: 60 }, async (_, at) => {
    await Bun.sleep(at * 50)
    return (await ask(name(blog))).status
  })
  await deploy(blog, 'v7')
  expect([...new Set(await Promise.all(asked))]).toEqual([200])
  expect((await ask(name(blog))).body).toBe('eight')
  expect((await blog.stagecraft(['plan'])).stdout).toContain('Nothing to do')
  writeApp(blog, app(blog, { web: web('nine') }))
  expect((await blog.stagecraft(['plan'])).stdout).toMatch(/a gap of about \d+\.\ds \(as last time\)/)
})

lab('a configuration that Caddy refuses changes nothing: exit 5, and everything answers as before', async () => {
  // Somebody has written nonsense where the routes are kept.
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

lab('maintenance answers 503 to whatever is asked, survives a deploy, and ends', async () => {
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

lab('what somebody did to the proxy by hand is seen by status, and mended by the next deploy', async () => {
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
      'from caddy:2 to lab/caddy:2: for a second or so no route of this host answers, of any project',
    )
    await deploy(shop, 'v8')
    expect(await routesIn()).toContain('proxy: lab/caddy:2 runs')
    expect((await ask(name(shop))).body).toBe('eleven')
    const running = await proxy()
    for (const image of ['busybox:1', 'caddy:2.6']) {
      const local = { proxy: { image } }
      writeApp(shop, { ...app(shop, { web: page('twelve'), worker: idle }), environments: { local } })
      const { stderr } = await deploy(shop, 'v9', 5)
      expect(stderr).toContain(`Cannot make the proxy anew from ${image}: it does not understand the routes there are`)
      expect(await proxy()).toBe(running)
    }
    expect(await routesIn()).toContain('proxy: lab/caddy:2 runs')
    expect((await ask(name(shop))).body).toBe('eleven')
    writeApp(shop, {
      ...app(shop, { web: page('twelve'), worker: idle }),
      environments: { local: { proxy: { image: 'caddy:2' } } },
    })
    await deploy(shop, 'v10')
    expect(await routesIn()).toContain('proxy: caddy:2 runs')
  },
)

lab('a service that is more than one rolls as many; another number of them rolls too', async () => {
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

lab('replicas with order: stop-first are replaced in turn, never more than there are to be', async () => {
  const settings = { worker: { rollout: { order: 'stop-first' } } }
  const workers = (v: string) =>
    app(shop, { web: page('a', { scale: 2 }), worker: { ...idle, scale: 3, environment: { V: v } } }, settings)
  writeApp(shop, workers('1'))
  await deploy(shop, 'v14')
  writeApp(shop, workers('2'))
  expect((await shop.stagecraft(['plan'])).stdout).toContain(
    'one after the other, since its replicas are replaced in turn (order: stop-first)',
  )
  const counts: number[] = []
  const run = shop.startStagecraft(['deploy', '--version', 'v15'])
  let over = false
  void run.done.then(() => {
    over = true
  })
  while (!over) {
    const running = (await shop.containers()).filter(
      ({ service, state }) => service === 'worker' && state === 'running',
    )
    counts.push(running.length)
  }
  expectCode(await run.done, 0)
  expect([Math.min(...counts), Math.max(...counts)]).toEqual([2, 3])
})

lab(
  'a proxy that is removed in mid-deploy comes back with all projects; a deploy that fails then leaves what was live',
  async () => {
    const answers = async () => [(await ask(name(shop))).body, (await ask(name(blog))).body]
    writeApp(shop, app(shop, { web: page('kept'), worker: idle }))
    await deploy(shop, 'v16')
    writeApp(blog, app(blog, { web: page('blog') }))
    await deploy(blog, 'v16')
    for (const [version, web, code, text] of [
      ['v17', page('never', { command: ['sh', '-c', 'sleep 3; exit 3'] }), 5, 'kept'],
      ['v18', page('next', { environment: { V: '18' } }), 0, 'next'],
    ] as const) {
      const old = new Set((await shop.containers()).map(({ id }) => id))
      writeApp(shop, app(shop, { web, worker: idle }))
      const run = shop.startStagecraft(['deploy', '--version', version])
      await until(`containers of ${version}`, async () => {
        return (await shop.containers()).some(({ id }) => !old.has(id)) || 'not yet'
      })
      await h1.docker(['rm', '-f', 'stagecraft-proxy'])
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

lab(
  'internal services of two projects on one network and port are told by their names, which nobody takes',
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
      expect((await deploy(blog, 'v20', 3)).stderr).toContain(`the project ${shop.name} is called api there`)
      expect([await call('api'), await call('mail')]).toEqual(['api of shop', 'mail of blog'])
    } finally {
      await blog.cleanUp() // it uses the network, which is called as if it were shop's
      await shop.cleanUp()
    }
  },
)
