import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import type { Engine, Ran, Running } from '../support/engine.ts'
import { type HostName, host, isUp, labHostCommand } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, httpd, makeRoot, QUICK_STOP, type ServiceSource, until, writePage } from './app.ts'

const NAMES = ['h6', 'h7', 'h5'] as const
const ADDRESSES = { h6: 'ssh://deploy@h6:22', h7: 'h7', h5: 'root@h5' } as const
const ROOT = '/srv/stagecraft'

// One application on three servers of different engines, as root and as a user without rights, and cables that are cut.
// On hosts of their own: no other test may be cut off.
describe.skipIf(!NAMES.every(isUp) || !isUp('h1'))('an environment on three hosts', () => {
  const folder = laptop('h1').folder('hosts')
  const engines = Object.fromEntries(NAMES.map((name) => [name, host(name)])) as Record<(typeof NAMES)[number], Engine>
  const project = `${folder.name}-prod`

  beforeAll(async () => {
    for (const name of NAMES) await makeRoot(engines[name], ROOT)
    folder.write('.env.prod', 'PASSWORD=correct-horse-battery\n')
    folder.write('conf/motd.txt', 'hello\n')
    writePage(folder, 'one')
    write()
    expectCode(await deploy('v1'), 0)
  })
  afterAll(async () => {
    for (const name of NAMES) await labHostCommand('heal', name)
    for (const name of NAMES) {
      await cleanUp(engines[name], folder.name)
      await engines[name].exec(['rm', '-rf', `${ROOT}/${folder.name}`])
    }
    await folder.cleanUp()
  })

  /** Asked to stop, it continues until there is a file `go`. */
  const END = 'echo ending; until [ -e /tmp/go ]; do sleep 0.1; done; exit 0'
  const slowEnd = {
    command: ['sh', '-c', `trap "${END}" TERM; while :; do sleep 0.2; done`],
    stop_grace_period: '100s',
  }

  function write(more: Record<string, ServiceSource> = {}, settings: Record<string, object> = {}): void {
    const web: ServiceSource = {
      build: './web',
      environment: { PASSWORD: '${PASSWORD}' },
      volumes: ['./conf:/www/conf:ro'],
      healthcheck: { test: ['CMD', 'wget', '-qO-', 'http://127.0.0.1/'], interval: '1s', retries: 60 },
      ...QUICK_STOP,
    }
    const db: ServiceSource = { image: 'busybox:1', command: ['sleep', '1d'], volumes: ['data:/data'], ...QUICK_STOP }
    folder.write('compose.yaml', JSON.stringify({ services: { web, db, ...more }, volumes: { data: {} } }))
    const services = {
      web: { rollout: { strategy: 'rolling', min_ready: '300ms' } },
      db: { hosts: [ADDRESSES.h5], rollout: { min_ready: '300ms' } },
      ...settings,
    }
    const prod = { hosts: NAMES.map((name) => ADDRESSES[name]), root: ROOT, env_file: '.env.prod', services }
    folder.write('stagecraft.yml', JSON.stringify({ project: { name: folder.name }, environments: { prod } }))
  }

  const deploy = (version: string, more: readonly string[] = []) =>
    folder.stagecraft(['deploy', '--version', version, ...more])

  /** @returns service and image of what runs, by host; the same word where the same containers run */
  async function runs(name: (typeof NAMES)[number]): Promise<string[]> {
    const format = '{{.Label "com.docker.compose.service"}} {{.ID}} {{.State}}'
    const { stdout } = await engines[name].docker([
      'ps',
      '-a',
      '--filter',
      `label=com.docker.compose.project=${project}`,
      '--format',
      format,
    ])
    return stdout.split('\n').filter(Boolean).toSorted()
  }

  const all = async () =>
    Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await runs(name)] as const)))

  async function imagesOfWeb(): Promise<Set<string>> {
    const filters = [`label=com.docker.compose.project=${project}`, 'label=com.docker.compose.service=web']
    const images = NAMES.map(async (name) => {
      const { stdout } = await engines[name].docker(['ps', '-q', ...filters.flatMap((one) => ['--filter', one])])
      return (await engines[name].docker(['inspect', '--format', '{{.Image}}', ...stdout.split('\n').filter(Boolean)]))
        .stdout
    })
    return new Set((await Promise.all(images)).flatMap((text) => text.split('\n').filter(Boolean)))
  }

  /** Waits for a line of a deploy that is under way. */
  const says = (running: Running, pattern: RegExp) =>
    until(String(pattern), () => pattern.test(running.output()) || running.output())

  const cutAt = (pattern: RegExp, cut: HostName, version: string) =>
    cutWhen((running) => says(running, pattern), cut, version)

  async function cutWhen(come: (running: Running) => Promise<unknown>, cut: HostName, version: string): Promise<Ran> {
    const running = folder.startStagecraft(['deploy', '--version', version])
    await come(running)
    await labHostCommand('cut', cut)
    const ran = await running.done
    await labHostCommand('heal', cut)
    return ran
  }

  /** After any fault: the next deploy succeeds on all hosts, and everything is in order. */
  async function repairedBy(version: string): Promise<Ran> {
    const ran = await deploy(version, ['--wait', '2m'])
    expectCode(ran, 0)
    expectCode(await folder.stagecraft(['status']), 0)
    return ran
  }

  test('each host runs what is placed there, by the same image, and nothing else', async () => {
    const services = Object.fromEntries(
      Object.entries(await all()).map(([name, lines]) => [name, lines.map((line) => line.split(' ')[0])]),
    )
    expect(services).toEqual({ h6: ['web'], h7: ['web'], h5: ['db', 'web'] })
    const inspect = ['image', 'inspect', '--format', '{{.Id}}', `${project}-web:v1`]
    const ids = await Promise.all([folder.docker(inspect), ...NAMES.map((name) => engines[name].docker(inspect))])
    expect(new Set(ids.map(({ stdout }) => stdout)).size).toBe(1)
  })

  test('nothing changed: nothing is touched anywhere', async () => {
    const before = await all()
    const ran = await deploy('v1')
    expectCode(ran, 0)
    expect(ran.stderr).toContain('nothing to do: everything runs as it should on 3 hosts')
    expect(await all()).toEqual(before)
  })

  test('a version that one host cannot run: no host switches, and the output says what runs where', async () => {
    const before = await all()
    await engines.h7.exec([
      'sh',
      '-c',
      `mkdir -p ${ROOT}/${folder.name}/prod/data/marks && touch ${ROOT}/${folder.name}/prod/data/marks/bad`,
    ])
    const command = ['sh', '-c', `[ -e /marks/bad ] && exit 3; exec ${httpd('/www').join(' ')}`]
    const { web } = JSON.parse(folder.read('compose.yaml')).services
    const hosts = NAMES.map((name) => ADDRESSES[name])
    write(
      { web: { ...web, command, volumes: [...web.volumes, './marks:/marks'] } },
      { web: { hosts, rollout: { strategy: 'rolling', min_ready: '300ms' } } },
    )
    const ran = await deploy('v-bad')
    expect(ran).toMatchObject({ code: 5 })
    expect(ran.stderr).toMatch(/^Cannot start web: it ended with exit code 3 \(on h7\)$/m)
    for (const address of hosts)
      expect(ran.stderr).toMatch(new RegExp(`^${address} +v1 \\(rel-\\S+\\) +(db, )?web$`, 'm'))
    expect(await all()).toEqual(before)
    write()
  })

  test('the cable of one is cut in the switch: the others roll back, exit 6 names it, and the next command repairs it', async () => {
    // The switch to 2 continues for as long as something waits for it.
    const healthcheck = { test: ['CMD', 'sh', '-c', '[ "$$SIZE" != 2 ]'], interval: '1s', retries: 200 }
    const cache = (size: string) => ({
      cache: {
        image: 'busybox:1',
        command: ['sleep', '1d'],
        environment: { SIZE: size },
        healthcheck,
        ...QUICK_STOP,
      },
    })
    write(cache('1'))
    expectCode(await deploy('v3'), 0)
    const webOf = async (name: 'h6' | 'h5') => (await runs(name)).filter((line) => line.startsWith('web'))
    const before = { h6: (await webOf('h6')).join(), h5: (await webOf('h5')).join() }
    write(cache('2'))
    const ran = await cutAt(/h7 +cache +recreate/, 'h7', 'v-switch')
    expect(ran).toMatchObject({ code: 6 })
    expect(ran.stderr).toContain('Cannot restore the previous release on h7: lost in the switch')
    expect(ran.stderr).toMatch(/^h7 +unknown +it cannot be reached$/m)
    // The service is recreated from the previous release: another container, but with the old one's settings.
    const sizes = async (name: 'h6' | 'h5') => {
      const { stdout } = await engines[name].docker(['ps', '-q', '--filter', `name=${project}-cache`])
      return (await engines[name].docker(['inspect', '--format', '{{.Config.Env}}', stdout.trim()])).stdout
    }
    for (const name of ['h6', 'h5'] as const) expect(await sizes(name)).toContain('SIZE=1')
    for (const name of ['h6', 'h5'] as const) expect((await webOf(name)).join()).toBe(before[name] ?? '')
    write(cache('3'))
    expect((await repairedBy('v4')).stderr).toContain('v-switch')
  })

  test('it is cut in retire: the release is live, exit 10, and the next command finishes it', async () => {
    write({ old: { image: 'busybox:1', ...slowEnd } })
    expectCode(await deploy('v6'), 0)
    const letEnd = (name: (typeof NAMES)[number]) =>
      engines[name].docker(['exec', `${project}-old-1`, 'touch', '/tmp/go'])
    for (const name of ['h6', 'h5'] as const) expectCode(await letEnd(name), 0)
    write()
    const isEnding = async () =>
      (await engines.h7.docker(['logs', `${project}-old-1`])).stdout.includes('ending') || 'old is not being stopped'
    const come = async (running: Running) => {
      await says(running, /migrate_pre +completed/)
      await until('old is being stopped', isEnding)
    }
    const ran = await cutWhen(come, 'h7', 'v7')
    expect(ran).toMatchObject({ code: 10 })
    expect(ran.stderr).toContain('v7 is live.')
    await letEnd('h7')
    expect((await repairedBy('v8')).stderr).toContain('v7')
    expect((await all())['h7']?.map((line) => line.split(' ')[0])).toEqual(['web'])
  })

  test('the one with the state is cut off in prepare: exit 8, the others are as before, and the next deploy succeeds', async () => {
    const never = { test: ['CMD', 'false'], interval: '1s', retries: 200 }
    write({ fresh: { image: 'busybox:1', command: ['sleep', '1d'], healthcheck: never, ...QUICK_STOP } })
    const before = await all()
    const ran = await cutAt(/h6:22 +fresh +create/, 'h6', 'v-first')
    expect(ran).toMatchObject({ code: 8 })
    expect(ran.stderr).toContain('Cannot continue: the connection to ssh://deploy@h6:22 was lost')
    const { h7, h5 } = await all()
    expect([h7, h5]).toEqual([before['h7'], before['h5']])
    write()
    expect((await repairedBy('v9')).stderr).toContain('v-first')
  })

  test('a killed run leaves no lock on any host, and the next one repairs all hosts', async () => {
    const never = { test: ['CMD', 'false'], interval: '1s', retries: 200 }
    write({ fresh: { image: 'busybox:1', command: ['sleep', '1d'], healthcheck: never, ...QUICK_STOP } })
    const running = folder.startStagecraft(['deploy', '--version', 'v-killed'])
    await says(running, /h5 +fresh +create/)
    await running.signal('KILL')
    await running.done
    write()
    const { stderr } = await repairedBy('v10')
    expect(stderr).toContain('v-killed')
    for (const name of NAMES) expect(await runs(name)).toHaveLength(name === 'h5' ? 2 : 1)
  })

  test('a rollback restores all of them, and another laptop sees who is at work', async () => {
    const before = await imagesOfWeb()
    writePage(folder, 'two')
    expectCode(await deploy('v11'), 0)
    const after = await imagesOfWeb()
    expect([before.size, after.size]).toEqual([1, 1])
    expect(after).not.toEqual(before)
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect(await imagesOfWeb()).toEqual(before)
    const held = await folder.stagecraft(['lock', 'hold', '--message', 'moving house'])
    expectCode(held, 0)
    expect(await deploy('v12')).toMatchObject({ code: 7 })
    expectCode(await folder.stagecraft(['lock', 'release']), 0)
    expectCode(await folder.stagecraft(['prune']), 0)
  })

  test('another first host has no history: it is refused until that is moved there; then nothing is touched', async () => {
    const config = JSON.parse(folder.read('stagecraft.yml'))
    const before = await all()
    const { hosts } = config.environments.prod
    config.environments.prod.hosts = [hosts[1], hosts[0], hosts[2]]
    folder.write('stagecraft.yml', JSON.stringify(config))
    const refused = await deploy('v13')
    expect(refused).toMatchObject({ code: 9 })
    expect(refused.stderr).toContain(`its releases are kept in ${ROOT}/${folder.name}/prod on h6_22`)
    expect(await folder.stagecraft(['prune'])).toMatchObject({ code: 0 }) // it knows nothing, so it removes nothing
    expectCode(await folder.stagecraft(['state', 'move']), 0)
    expectCode(await folder.stagecraft(['status']), 0)
    expect(await all()).toEqual(before)
    config.environments.prod.hosts = hosts
    folder.write('stagecraft.yml', JSON.stringify(config))
    expect(await deploy('v13')).toMatchObject({ code: 9 }) // from a checkout with the former order of hosts
  })
})
