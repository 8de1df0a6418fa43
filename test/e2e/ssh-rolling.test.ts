import { afterAll, expect, test } from 'bun:test'
import { type LoadGenerator, movedRequests, startLoad } from '../load/load.ts'
import { hostOf, type Release, writeSite } from '../load/site.ts'
import { cleanUp } from '../support/clean-up.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, makeRoot, until } from './app.ts'

// The application of zero-loss.test.ts, deployed from a laptop: the proxy, jobs, databases and internal callers of a host.
const ROOT = '/srv/stagecraft'
const lab = test.skipIf(!isUp('h3') || !isUp('h1'))
const server = host(isUp('h3') ? 'h3' : 'h1')
const folder = isUp('h1') ? laptop('h1').folder('ssh-site') : server.folder('ssh-site')
let load: LoadGenerator | undefined
afterAll(async () => {
  await load?.stop().catch(() => {})
  await cleanUp(server, folder.name)
  await server.exec(['rm', '-rf', `${ROOT}/${folder.name}`])
  await folder.cleanUp()
})

async function release(code: number, more: Release): Promise<string> {
  writeSite(folder, more, { hosts: 'h3', root: ROOT })
  const ran = await folder.stagecraft(['deploy', '--version', more.version])
  expectCode(ran, code)
  return ran.stderr
}

async function database(): Promise<string> {
  const filters = [`label=com.docker.compose.project=${folder.name}-prod`, 'label=com.docker.compose.service=db']
  const { stdout } = await server.docker(['ps', '--no-trunc', '-q', ...filters.flatMap((one) => ['--filter', one])])
  return stdout
}

lab('over SSH no request is lost either: rollouts, one that fails, and a rollback', async () => {
  await makeRoot(server, ROOT)
  await release(0, { version: 'v1' })
  const before = await database()
  const target = { ip: server.ip, host: hostOf(folder), rate: 100, seconds: 300 }
  load = await startLoad(target)
  await release(0, { version: 'v2', network: 'two', replicas: 2 })
  expect(await release(5, { version: 'v3', bad: true })).toContain('Cannot start web: its healthcheck says unhealthy')
  expectCode(await folder.stagecraft(['rollback']), 0)
  await until('v1 answers', async () => {
    const { body } = await answer()
    return body.includes('v1') || body
  })
  const result = await load.stop()
  load = undefined
  expect(result.failures).toEqual([])
  expect(movedRequests(result)).toEqual([])
  expect(result.versions).not.toContain('v3')
  expect(result.made).toBeGreaterThan(800)
  expect(await database()).toBe(before)
  expectCode(await folder.stagecraft(['status']), 0)
})

async function answer(): Promise<{ body: string }> {
  const response = await fetch(`http://${server.ip}/`, { headers: { host: hostOf(folder) }, keepalive: false })
  return { body: await response.text() }
}
