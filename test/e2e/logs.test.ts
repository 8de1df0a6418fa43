import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import type { Running } from '../support/engine.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { deploy, expectCode, makeRoot, QUICK_STOP, sharedFolder, until, writeApp } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'logs')
const PASSWORD = 'correct-horse-battery'

/** Prints lines in an order that does not depend on how fast anything is. */
const printing = (...lines: string[]) => ({
  image: 'busybox:1',
  command: ['sh', '-c', `${lines.join('; ')}; exec sleep 1d`],
  ...QUICK_STOP,
})
const services = (version: string) => ({
  db: {
    ...printing('echo ready', 'touch /tmp/said'),
    healthcheck: { test: ['CMD', 'test', '-e', '/tmp/said'], interval: '1s', retries: 60 },
  },
  tick: { ...printing(), command: ['sh', '-c', 'while :; do echo tick; sleep 0.2; done'] },
  web: {
    // One of the two is the first to make the folder, and prints the password.
    ...printing('echo started; mkdir /kept/first 2>/dev/null && echo GET / $$PASSWORD'),
    depends_on: { db: { condition: 'service_healthy' } },
    environment: { PASSWORD, VERSION: version },
    volumes: ['kept:/kept'],
    scale: 2,
  },
})
const settings = { web: { rollout: { strategy: 'rolling', min_ready: '1s' } } }
const write = (version: string) =>
  writeApp(folder, { services: services(version), compose: { volumes: { kept: {} } }, settings })

beforeAll(async () => {
  write('v1')
  await deploy(folder, 'v1')
})

test('lines of all services and replicas, merged, with names aligned and secrets masked', async () => {
  const asked = () => folder.stagecraft(['logs', 'db', 'web'])
  await until('all have printed', async () => {
    const { stdout } = await asked()
    return (stdout.match(/started/g)?.length === 2 && stdout.includes('GET')) || stdout
  })
  const { code, stdout } = await asked()
  expect(code).toBe(0)
  const [first, ...rest] = stdout.trimEnd().split('\n')
  expect(first).toBe('db-1  | ready')
  expect(rest.filter((line) => line.endsWith('started')).toSorted()).toEqual(['web-1 | started', 'web-2 | started'])
  const [got = ''] = rest.filter((line) => line.includes('GET'))
  expect(got).toMatch(/^web-[12] \| GET \/ •••$/)
  const shown = ['db-1  | ready', 'web-1 | started', 'web-2 | started', got.replace(/^web-2/, 'web-1')]
  expectGolden('commands/logs.md', 'lines', `${shown.join('\n')}\n`)
  expect((await folder.stagecraft(['logs', 'db', '--since', '1s'])).stdout).toBe('')
})

test('--json says where each line comes from, and has no secret', async () => {
  const { stdout } = await folder.stagecraft(['logs', 'db', 'web', '-n', '1', '--json'])
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines[0]).toEqual({
    ...{ v: 1, type: 'log', host: '', service: 'db', container: `${folder.name}-db-1`, line: 'ready' },
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  })
  expect(lines).toHaveLength(4) // one of each container, and the end
  expect(stdout).not.toContain(PASSWORD)
})

test('an unknown service, an invalid time, and a reader that has closed the pipe', async () => {
  const unknown = await folder.stagecraft(['logs', 'wbe'])
  expect([unknown.code, unknown.stderr]).toEqual([4, expect.stringContaining('Did you mean "web"?')])
  expect((await folder.stagecraft(['logs', '--since', 'tomorrow'])).code).toBe(2)
  expect((await folder.stagecraft(['logs', '-f', '--until', '1m'])).code).toBe(2)
  const line = '{ "$0" logs tick -f -n all; echo "$?" >&2; } | head -1'
  const { stdout, stderr } = await h1.exec(['sh', '-c', line, h1.binary()], { cwd: folder.path })
  expect([stdout.trim(), stderr.trim()]).toEqual(['tick-1 | tick', '141'])
})

const says = (running: Running, text: string) => until(text, () => running.output().includes(text) || running.output())

test('-f continues across a rollout; replaced logs are kept with the release that replaced them', async () => {
  const following = folder.startStagecraft(['logs', 'web', '-f', '-n', '0'])
  const inWeb = (...argv: string[]) => folder.docker(['exec', `${folder.name}-web-1`, ...argv])
  await until('it follows', async () => {
    expectCode(await inWeb('sh', '-c', 'echo followed >/proc/1/fd/1'), 0)
    return following.output().includes('web-1 | followed') || following.output()
  })
  write('v2')
  await deploy(folder, 'v2')
  await says(following, 'web-3 | started')
  await says(following, 'web-4 | started')
  await following.signal('INT')
  const { code, stdout } = await following.done
  expect(code).toBe(130)
  expect(stdout.match(/started/g)).toHaveLength(2)
  const kept = await folder.stagecraft(['logs', '--release', 'latest'])
  expect(kept.stdout).toMatch(new RegExp(`^${folder.name}-web-[12] \\| started$`, 'm'))
})

describe.skipIf(!isUp('h2') || !isUp('h3'))('on two hosts', () => {
  const far = laptop('h1').folder('logs-far')
  const servers = [host(isUp('h2') ? 'h2' : 'h1'), host(isUp('h3') ? 'h3' : 'h1')]
  const ROOT = '/srv/stagecraft'
  afterAll(async () => {
    for (const server of servers) {
      await cleanUp(server, far.name)
      await server.exec(['rm', '-rf', `${ROOT}/${far.name}`])
    }
    await far.cleanUp()
  })

  test('the host stands before the name; one host alone can be asked', async () => {
    for (const server of servers) await makeRoot(server, ROOT)
    far.write('compose.yaml', JSON.stringify({ services: { web: printing('echo hello') } }))
    const rollout = { strategy: 'rolling', min_ready: '300ms' }
    const prod = { hosts: ['h2', 'h3'], root: ROOT, services: { web: { rollout } } }
    far.write('stagecraft.yml', JSON.stringify({ project: { name: far.name }, environments: { prod } }))
    expectCode(await far.stagecraft(['deploy', '--version', 'v1']), 0)
    const all = async () => (await far.stagecraft(['logs'])).stdout.trimEnd().split('\n').toSorted()
    await until('both have printed', async () => (await all()).length === 2 || 'not yet')
    expect(await all()).toEqual(['h2 web-1 | hello', 'h3 web-1 | hello'])
    expect((await far.stagecraft(['logs', '--host', 'h3'])).stdout).toBe('web-1 | hello\n')
  })
})
