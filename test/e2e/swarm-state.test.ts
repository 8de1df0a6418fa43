import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { canSwarm, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import type { Running } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { host, LAB_DIR, labHostCommand } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, until } from './app.ts'

// Two operators, each with a checkout of their own: what they have in common is in the Swarm.
describe.skipIf(!canSwarm)('state and lock of an environment on a Swarm', () => {
  const app = new SwarmApp('swarm-state')
  const ana = app.folder
  const bob = laptop('h1').folder('swarm-state-bob')
  const [first, second] = MANAGERS

  beforeAll(async () => {
    await app.begin()
    write('one')
    expectCode(await deploy(ana, 'v1', 'the token of ana'), 0)
  })
  afterEach(() => labHostCommand('heal', first))
  afterAll(async () => {
    await app.end()
    await bob.cleanUp()
  })

  function write(word: string, more: object = {}): void {
    const mounts = { configs: [{ source: 'motd', target: '/motd' }], secrets: ['token'], deploy: { replicas: 1 } }
    const files = { configs: { motd: { content: `${word}\n` } }, secrets: { token: { environment: 'TOKEN' } } }
    app.write({ web: said(word, mounts), ...more }, files, { connect_timeout: '3s' })
    for (const file of ['compose.yaml', 'stagecraft.yml']) bob.write(file, ana.read(file))
  }

  const deploy = (who: Folder, version: string, token: string) =>
    who.stagecraft(['deploy', '--version', version], { env: { TOKEN: token } })

  const begins = (running: Running, pattern: RegExp) =>
    until(String(pattern), () => pattern.test(running.output()) || running.output())

  const versions = async (who: Folder) => (await app.releases(who)).map(({ version }) => version)

  test('one history: a release of one operator is replaced and restored by the other, with its secrets', async () => {
    expect(await versions(bob)).toEqual(['v1'])
    write('two')
    expectCode(await deploy(bob, 'v2', 'the token of bob'), 0)
    expect(ana.exists('.stagecraft')).toBe(false)
    expectCode(await ana.stagecraft(['rollback']), 0)
    expect(await versions(bob)).toEqual(['v1', 'v2', 'v1'])
    await app.isWell()
    // Without `hosts`: the engine that docker uses.
    const { project, environments } = JSON.parse(ana.read('stagecraft.yml'))
    const { hosts: _, ...prod } = environments.prod
    bob.write('stagecraft.yml', JSON.stringify({ project, environments: { prod } }))
    const listed = await bob.stagecraft(['releases', 'list'], {
      env: { DOCKER_HOST: `unix://${join(LAB_DIR, 'hosts', second, 'run/docker.sock')}` },
    })
    expect(listed.stdout.match(/ (v1|v2) /g)).toEqual([' v1 ', ' v2 ', ' v1 '])
    const all = await inConfigs()
    expect([all.includes('it says'), all.includes('the token of')]).toEqual([true, false])
  })

  /** The content of all configs of the environment, as clear text. */
  async function inConfigs(): Promise<string> {
    const { docker } = host(first)
    const filter = ['--filter', `label=stagecraft.store=${ana.name}/prod`, '--format', '{{.Name}}']
    const names = (await docker(['config', 'ls', ...filter])).stdout.split('\n').filter(Boolean)
    const found: { Spec: { Data: string } }[] = JSON.parse((await docker(['config', 'inspect', ...names])).stdout)
    const texts = found.map(({ Spec }) => Buffer.from(Spec.Data, 'base64').toString('utf8'))
    const packed = texts.flatMap((text) => text.match(/H4sI[A-Za-z0-9+/=]+/g) ?? [])
    return [...texts, ...packed.map((each) => gunzipSync(Buffer.from(each, 'base64')).toString('utf8'))].join('\n')
  }

  test('two at once: one of them is refused, and makes no release', async () => {
    write('three')
    const before = await versions(ana)
    const ran = await Promise.all([deploy(ana, 'of-ana', 'a token'), deploy(bob, 'of-bob', 'a token')])
    expect(ran.map(({ code }) => code).toSorted()).toEqual([0, 7])
    const refused = ran.find(({ code }) => code === 7)
    expect(refused?.stderr).toMatch(/^Cannot deploy to prod: another run is under way: deploy /)
    expect(await versions(bob)).toEqual([...before, ran[0]?.code === 0 ? 'of-ana' : 'of-bob'])
  })

  test('a freeze by one applies to the other, who may end it', async () => {
    expectCode(await ana.stagecraft(['lock', 'hold', '--message', 'moving']), 0)
    const ran = await deploy(bob, 'frozen', 'a token')
    expectCode(ran, 7)
    expect(ran.stderr).toContain('"moving"')
    expectCode(await bob.stagecraft(['lock', 'release']), 0)
    expect((await ana.stagecraft(['lock', 'status'])).stdout).toBe('prod is free\n')
  })

  test('the lock of a killed run is taken over, and its changes are undone', async () => {
    const never = { healthcheck: { test: ['CMD', 'false'], interval: '1s', start_period: '10m' } }
    write('three', { slow: said('slow', never) })
    const running = ana.startStagecraft(['deploy', '--version', 'killed'], { env: { TOKEN: 'a token' } })
    await begins(running, /slow +create/)
    await running.signal('KILL')
    await running.done
    write('four')
    const ran = await deploy(bob, 'next', 'a token')
    expectCode(ran, 0)
    expect(ran.stderr).toMatch(/waiting: for .* \(deploy of killed .*: it does not renew its lock\n/)
    expect(ran.stderr).toContain('recovery: killed')
    expect(await app.tasks()).not.toHaveProperty('slow')
    expect((await versions(ana)).slice(-2)).toEqual(['killed', 'next'])
  })

  test('the first manager is cut off: nothing is lost, and the next release is made', async () => {
    const before = await versions(ana)
    await labHostCommand('cut', first)
    expect(await versions(bob)).toEqual(before)
    write('five')
    expectCode(await deploy(bob, 'cut', 'a token'), 0)
    expect((await app.tasks(second))['web']?.length).toBe(1)
    expect(await versions(ana)).toEqual([...before, 'cut'])
  })
})
