import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import type { Running } from '../support/engine.ts'
import { host, labHostCommand } from '../support/lab.ts'
import { expectCode, until } from './app.ts'

// What changes on a Swarm, and what dies there. The first manager is the one that commands go to.
describe.skipIf(!canSwarm)('an environment on a Swarm', () => {
  const app = new SwarmApp('swarm-changes')
  const { folder } = app
  const [first, second, third] = MANAGERS
  const env = (token: string) => ({ env: { TOKEN: token } })

  beforeAll(async () => {
    await app.begin()
    write('one')
    expectCode(await folder.stagecraft(['deploy', '--version', 'v1'], env('abcdefgh')), 0)
  })
  afterEach(() => labHostCommand('heal', first))
  afterAll(() => app.end())

  const worker = (more: object = {}) =>
    said('x', { secrets: [{ source: 'token', uid: '5', mode: 0o400 }], ...more, deploy: { replicas: 1 } })

  function write(word: string, more: Readonly<Record<string, ReturnType<typeof said>>> = {}, motd = 'hello'): void {
    const reads = { command: ['sh', '-c', 'cat /motd; touch /ready; exec sleep 1d'] }
    const web = said(word, { configs: [{ source: 'motd', target: '/motd' }], ...reads })
    const compose = { configs: { motd: { content: `${motd}\n` } }, secrets: { token: { environment: 'TOKEN' } } }
    app.write({ web, worker: worker(), ...more }, compose)
  }

  const deploy = (version: string, token = 'abcdefgh') =>
    folder.stagecraft(['deploy', '--version', version], env(token))

  const begins = (running: Running, pattern: RegExp) =>
    until(String(pattern), () => pattern.test(running.output()) || running.output())

  test('a changed config, or secret, replaces the tasks that use it alone', async () => {
    const before = await app.tasks()
    write('one', {}, 'changed')
    expectCode(await deploy('config'), 0)
    const config = await app.tasks()
    expect([config['worker'], config['web']?.some((id) => before['web']?.includes(id))]).toEqual([
      before['worker'],
      false,
    ])
    expect(await app.says('web')).toContain('changed')
    expectCode(await deploy('secret', 'ijklmnop'), 0)
    const secret = await app.tasks()
    expect([secret['web'], secret['worker']?.join() === config['worker']?.join()]).toEqual([config['web'], false])
  })

  test('a change is rolled out, and rolled back', async () => {
    const before = await app.tasks()
    write('six')
    expectCode(await deploy('six', 'ijklmnop'), 0)
    const { web, worker } = await app.tasks()
    expect([worker, web?.some((id) => before['web']?.includes(id))]).toEqual([before['worker'], false])
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect((await app.releases()).at(-1)).toMatchObject({ version: 'secret', phases: { finalize: 'completed' } })
    await app.isWell()
  })

  test('a service is added and removed, and a job runs before what waits for it', async () => {
    const job = { image: 'busybox:1', command: ['sh', '-c', 'echo migrating'], deploy: { endpoint_mode: 'dnsrr' } }
    const waits = { depends_on: { job: { condition: 'service_completed_successfully' } }, deploy: { replicas: 1 } }
    write('one', { job, late: said('late', waits) })
    const ran = await deploy('added')
    expectCode(ran, 0)
    expect(ran.stderr).toMatch(/job +done +exit code 0[\s\S]*late +create/)
    expect(await app.says('job')).toEqual(['migrating'])
    write('one')
    expectCode(await deploy('removed'), 0)
    expect(Object.keys(await app.tasks()).toSorted()).toEqual(['web', 'worker'])
    await app.isWell()
  })

  test('the manager that commands go to dies during an update: it ends on the others', async () => {
    write('two')
    const running = folder.startStagecraft(['deploy', '--version', 'cut'], env('abcdefgh'))
    await begins(running, /web +rolling/)
    await labHostCommand('cut', first)
    expectCode(await running.done, 0)
    expect((await app.tasks(second))['web']?.length).toBe(2)
    expect((await app.releases()).at(-1)?.phases['finalize']).toBe('completed')
    await app.becomesWell()
  })

  test('a node loses its power during an update: it ends on the others', async () => {
    const three = (word: string) => write('two', { many: said(word, { deploy: { replicas: 3 } }) })
    three('one')
    expectCode(await deploy('many'), 0)
    three('two')
    const running = folder.startStagecraft(['deploy', '--version', 'power'], env('abcdefgh'))
    await begins(running, /many +rolling/)
    await labHostCommand('kill', third)
    try {
      expectCode(await running.done, 0)
      expect((await app.tasks())['many']?.length).toBe(3)
      await app.becomesWell()
      expect((await app.releases()).at(-1)?.version).toBe('power')
    } finally {
      await labHostCommand('start', third)
    }
    await until('it is back', async () => {
      const { stdout } = await host(first).docker(['node', 'ls', '--format', '{{.Hostname}} {{.Status}}'])
      return stdout.includes(`${third} Ready`) || stdout
    })
  })

  test('a killed run is undone by the next one; until then no one else may deploy', async () => {
    write('three', {
      slow: said('slow', { healthcheck: { test: ['CMD', 'false'], interval: '1s', start_period: '10m' } }),
    })
    const running = folder.startStagecraft(['deploy', '--version', 'killed'], env('abcdefgh'))
    await begins(running, /slow +create/)
    expectCode(await deploy('second'), 7)
    await running.signal('KILL')
    await running.done
    write('three')
    const ran = await deploy('next')
    expectCode(ran, 0)
    expect(ran.stderr).toContain('recovery: killed')
    expect(await app.tasks()).not.toHaveProperty('slow')
    await app.isWell()
  })

  test('no config or secret is left that no kept release needs, and none after `down --history`', async () => {
    const list = async (kind: string) => {
      const filter = ['--filter', `label=com.docker.stack.namespace=${app.stack}`]
      return (await host(first).docker([kind, 'ls', ...filter, '--format', '{{.Name}}'])).stdout.trim()
    }
    expect((await list('config')).split('\n').length).toBeLessThanOrEqual(2)
    expectCode(await folder.stagecraft(['down', '--yes', '--history']), 0)
    expect([await list('config'), await list('secret')]).toEqual(['', ''])
  })
})
