import { beforeAll, expect, test } from 'bun:test'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, idle, releases, sharedFolders, writeApp } from './app.ts'

// On a host of its own where there is one: it looks at the proxy, which all projects of a host share.
const server = host(isUp('h2') ? 'h2' : 'h1')
const [folder, other] = sharedFolders(server, 'down', 'stays-up')
const web = (host: string) => ({
  services: {
    web: {
      image: 'busybox:1',
      command: ['httpd', '-f', '-p', '80', '-h', '/etc'],
      volumes: ['data:/data'],
      stop_signal: 'SIGKILL',
    },
  },
  compose: { volumes: { data: {} } },
  settings: { web: { expose: { host, port: 80, tls: 'off' } } },
})

beforeAll(async () => {
  writeApp(folder, web('shop.test'))
  writeApp(other, { services: { own: idle } })
  await Promise.all([deploy(folder, 'v1'), deploy(other, 'v1')])
})

const down = (...args: string[]) => folder.stagecraft(['down', ...args])
/** What the engine has of the project, by kind. */
async function left(): Promise<Record<string, number>> {
  const label = ['--filter', `label=com.docker.compose.project=${folder.name}`]
  const count = async (...args: string[]) =>
    (await folder.docker([...args, '-q', ...label])).stdout.split('\n').filter(Boolean).length
  return {
    containers: await count('ps', '-a'),
    networks: await count('network', 'ls'),
    volumes: await count('volume', 'ls'),
  }
}
const names = async (...args: string[]) => (await folder.docker(args)).stdout.split('\n')

test('it names what it removes, and asks; nothing is removed without an answer', async () => {
  const refused = await down()
  expect(refused.code).toBe(2)
  // Whether the proxy goes depends on what else is routed on this host.
  const proxy = '  proxy       no other project needs it; certificates stay\n'
  const said = refused.stderr.replaceAll(folder.name, 'shop').replace(proxy, '')
  expectGolden('commands/down.md', 'asks', said.replace(/( {2}routes .*\n)/, `$1${proxy}`))
  expectCode(await folder.stagecraft(['maintenance', 'on']), 0)
  const more = (await down()).stderr.replaceAll(folder.name, 'shop').replace(proxy.replace('  no', '   no'), '')
  const whole = more.replace(/( {2}maintenance .*\n)/, `$1${proxy.replace('  no', '   no')}`)
  expectGolden('commands/down.md', 'maintenance', whole)
  const data = await down('--yes', '--volumes')
  expect([data.code, data.stderr]).toEqual([
    2,
    expect.stringMatching(/down without --confirm\n[\s\S]*--yes --confirm local/),
  ])
  const other = await down('--yes', '--confirm', 'prod')
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('down: --confirm names "prod"\n')])
  expect((await down('--yes', '--volumes', '--confirm', 'prod')).code).toBe(2)
  expect((await down('--dry-run', '--json')).stdout).toContain(`"containers":["${folder.name}-web-1"]`)
  expect(await left()).toEqual({ containers: 1, networks: 1, volumes: 1 })
})

test('containers, networks, routes and the record of the owner go; data, history and other projects stay', async () => {
  const before = await other.containers()
  const done = await down('--yes')
  expectCode(done, 0)
  expect(done.stdout).toContain(
    'local is down; its volumes stay. To bring it back: stagecraft deploy, or stagecraft rollback\n',
  )
  expect(await left()).toEqual({ containers: 0, networks: 0, volumes: 1 })
  expect(await names('volume', 'ls', '-q')).not.toContain(`stagecraft-${folder.name}`)
  expect(await names('network', 'ls', '--format', '{{.Name}}')).not.toContain(`stagecraft-${folder.name}`)
  expect(releases(folder)).toHaveLength(1)
  expect(await other.containers()).toEqual(before)
  const status = await folder.stagecraft(['status'])
  expect([status.code, status.stdout]).toEqual([
    5,
    expect.stringMatching(/^local: down since \d{4}-\d\d-\d\d \d\d:\d\d; /),
  ])
  const again = await down('--yes')
  expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('nothing is there\n')])
})

test('a rollback brings it back as it was, and so does a deploy', async () => {
  expectCode(await folder.stagecraft(['rollback']), 0)
  expect((await folder.stagecraft(['status'])).code).toBe(0)
  expectCode(await down('--yes'), 0)
  await deploy(folder, 'v2')
  expect((await folder.stagecraft(['status'])).code).toBe(0)
  expect(await left()).toEqual({ containers: 1, networks: 1, volumes: 1 })
})

test('volumes go only with the name of the environment', async () => {
  expectCode(await down('--yes', '--volumes', '--confirm', 'local'), 0)
  expect(await left()).toEqual({ containers: 0, networks: 0, volumes: 0 })
})

const images = async () =>
  (await names('image', 'ls', '--format', '{{.Repository}}')).filter((name) => name.startsWith(`${folder.name}-`))

test('--history names what it removes, and then no record of the environment is left', async () => {
  await deploy(folder, 'v3')
  const refused = await down('--history')
  expect(refused.code).toBe(2)
  const said = refused.stderr.replaceAll(folder.name, 'shop').replace(/sc-[0-9a-f]{12}/, 'sc-0123456789ab')
  expectGolden(
    'commands/down.md',
    'history',
    said.replace(/ {2}(routes|proxy) .*\n/g, '').replace(/\d releases/, '3 releases'),
  )
  const done = await down('--yes', '--history')
  expectCode(done, 0)
  expect(done.stdout).toContain('local is down; its volumes stay. To bring it back: stagecraft deploy\n')
  expect([await left(), await images(), releases(folder)]).toEqual([{ containers: 0, networks: 0, volumes: 1 }, [], []])
  expect((await folder.stagecraft(['releases', 'list'])).stdout).toBe(
    'No releases yet. The first one: stagecraft deploy\n',
  )
  expect((await folder.stagecraft(['rollback'])).code).toBe(4)
  await deploy(folder, 'v1')
  expect(releases(folder)).toHaveLength(1)
})

test('after a killed run, another down removes the rest, and a deploy repairs it', async () => {
  for (const [at, delay] of [20, 300, 800, 1500].entries()) {
    const running = folder.startStagecraft(['down', '--yes', '--history'])
    await Bun.sleep(delay)
    await running.signal('KILL')
    const { code } = await running.done
    if (at % 2 === 0) {
      const again = await down('--yes', '--history')
      // 4: it had ended before it was killed.
      expect(code === 0 ? [4] : [0, 4]).toContain(again.code)
      expect([await left(), await images(), releases(folder)]).toEqual([
        { containers: 0, networks: 0, volumes: 1 },
        [],
        [],
      ])
    }
    await deploy(folder, 'v1')
    expect([(await folder.stagecraft(['status'])).code, await left()]).toEqual([
      0,
      { containers: 1, networks: 1, volumes: 1 },
    ])
  }
})

test('where nothing was deployed there is nothing to take down', async () => {
  const never = server.folder('never-up')
  writeApp(never, { services: { web: idle } })
  const { code, stderr } = await never.stagecraft(['down', '--yes'])
  expect([code, stderr]).toEqual([4, expect.stringContaining('nothing was deployed to it')])
  await never.cleanUp()
})
