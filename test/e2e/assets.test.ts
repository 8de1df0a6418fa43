import { expect } from 'bun:test'
import { deploy, expectCode, httpd, QUICK_STOP, sharedFolders, writeApp } from './app.ts'
import { app, ask, exposed, h1, lab, name } from './proxied.ts'

// Pages opened before a release, and the assets that they request: their names differ in each release.
const [shop] = sharedFolders(h1, 'assets')
const script = (version: string) => `/assets/app-${version}.js`
const asked = (path: string, ...flags: string[]) => ask(name(shop), path, flags)
/** The answer of busybox itself. */
const UNKNOWN = { status: 404, body: expect.stringContaining('The requested URL was not found') }

async function release(version: string, { folder = '/www/assets', traps = [] as readonly string[] } = {}) {
  const files = [`echo ${version} >app-${version}.js`, `echo ${version} >"[id] ${version}.svg"`]
  const run = ['mkdir -p /www/assets', 'cd /www/assets', ...files, ...traps, `echo page ${version} >/www/index.html`]
  const cmd = JSON.stringify(httpd('/www'))
  shop.write('web/Dockerfile', `FROM busybox:1\nRUN ${run.join(' && ')}\nCMD ${cmd}\n`)
  const web = { build: './web', ...QUICK_STOP }
  writeApp(shop, app(shop, { web }, { web: exposed(name(shop), { assets: { path: '/assets', folder } }) }))
  return deploy(shop, version)
}

/** Requests these while `act` runs. @returns each status seen, with its path */
async function during(paths: readonly string[], work: () => Promise<unknown>): Promise<string[]> {
  const seen = new Set<string>()
  let isOver = false
  const visitor = async (path: string) => {
    do {
      // Another project's route may have reset the connection.
      const answer = await fetch(`http://${h1.ip}${path}`, { headers: { Host: name(shop) } }).catch(() => undefined)
      if (answer) seen.add(`${answer.status} ${(await answer.text()).trim()}`)
      await Bun.sleep(20)
    } while (!isOver)
  }
  const visitors = paths.map(visitor)
  await work().finally(() => {
    isOver = true
  })
  await Promise.all(visitors)
  return [...seen].toSorted()
}

/** How much of the project is in the proxy's volume, which outlives the proxy. */
async function kept(): Promise<string> {
  const count = `ls -d /config/stagecraft/assets/*/${shop.name} 2>/dev/null | wc -l`
  const volume = 'stagecraft-proxy-config:/config:ro'
  return (await h1.docker(['run', '--rm', '-v', volume, 'busybox:1', 'sh', '-c', count])).stdout.trim()
}

const TRAPS = ['ln -s /config/stagecraft/config routes', 'ln -s /etc/passwd users', 'mkfifo pipe', 'echo x >.env']

lab('a page of another release gets its assets: of the one before, and of one that was rolled back', async () => {
  await release('v1', { traps: TRAPS })
  expect(await asked(script('v2'))).toEqual(UNKNOWN)
  expect(await during([script('v1')], () => release('v2'))).toEqual(['200 v1'])
  expect(await asked('/')).toEqual({ status: 200, body: 'page v2' })
  expect((await asked('/assets/%5Bid%5D%20v1.svg')).body).toBe('v1')
  const head = (await asked(script('v1'), '-I')).body.toLowerCase()
  for (const line of ['200 ok', 'content-type: text/javascript', 'cache-control: no-cache', 'etag:'])
    expect(head).toContain(line)
  const etag = /etag: (\S+)/.exec(head)?.[1] ?? ''
  expect((await asked(script('v1'), '-H', `If-None-Match: ${etag}`)).status).toBe(304)
  expect(await asked(script('v1'), '-H', 'Range: bytes=1-1')).toEqual({ status: 206, body: '1' })
  // The service answers requests for paths that are no file of any release, and for files that must not be read.
  const nothing = ['none.js', 'routes/1/routes.json', 'users', 'pipe', '.env', '', 'app-v1.js/', 'x'.repeat(400)]
  for (const path of nothing) expect([path, await asked(`/assets/${path}`)]).toEqual([path, UNKNOWN])
  expect((await asked(script('v1'), '-X', 'DELETE')).status).toBe(501)
  const back = async () => expectCode(await shop.stagecraft(['rollback', '--yes']), 0)
  expect(await during([script('v1'), script('v2')], back)).toEqual(['200 v1', '200 v2'])
  expect(await asked('/')).toEqual({ status: 200, body: 'page v1' })
})

lab('a folder that is not in the image is a warning; down leaves nothing', async () => {
  const { stderr } = await release('v3', { folder: '/www/none' })
  expect(stderr).toContain('warning: the assets of web are not kept: its image has no files in /www/none')
  expect([await asked(script('v1')), await asked(script('v3'))]).toMatchObject([{ body: 'v1' }, { body: 'v3' }])
  expect(await kept()).toBe('2')
  expectCode(await shop.stagecraft(['down', '--yes']), 0)
  expect(await kept()).toBe('0')
  const left = await h1.docker(['ps', '-aq', '--filter', `name=stagecraft-assets-.*${shop.name}`])
  const volumes = await h1.docker(['volume', 'ls', '-q', '--filter', `name=stagecraft-assets-of-${shop.name}`])
  expect([left.stdout, volumes.stdout]).toEqual(['', ''])
})
