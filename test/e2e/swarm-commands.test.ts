import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import { host } from '../support/lab.ts'
import { expectCode } from './app.ts'

// What people do on a Swarm between two releases.
describe.skipIf(!canSwarm)('commands on a Swarm', () => {
  const app = new SwarmApp('swarm-commands')
  const { folder } = app
  const env = { SUDO_USER: 'ana' }
  const run = (...words: string[]) => folder.stagecraft(words, { env })

  const write = (word: string, replicas = 2) => {
    const web = said(word, { deploy: { replicas, placement: { max_replicas_per_node: 2 } } })
    const agent = said('agent', { deploy: { mode: 'global', replicas: undefined } })
    const rollout = { strategy: 'rolling', min_ready: '300ms', health_timeout: '20s' }
    app.write({ web, agent }, {}, { services: { web: { rollout }, agent: { rollout } } })
  }
  const count = async () => Object.entries(await app.tasks()).map(([service, ids]) => `${service} ×${ids.length}`)

  beforeAll(async () => {
    await app.begin()
    write('one')
    expectCode(await app.deploy('v1'), 0)
  })
  afterAll(() => app.end())

  test('a global service is released with a task on each node', async () => {
    expect((await count()).toSorted()).toEqual(['agent ×3', 'web ×2'])
    await app.isWell()
  })

  test('scale is watched, said by status, and kept by the next release', async () => {
    const scaled = await run('scale', 'web=4')
    expect([scaled.code, scaled.stdout]).toEqual([0, 'web  2 → 4 replicas\n'])
    const status = await run('status')
    expect([status.code, status.stdout]).toEqual([
      5,
      expect.stringContaining('web  scaled from 2 to 4 by ana: the next release keeps it'),
    ])
    write('two')
    expectCode(await app.deploy('v2'), 0)
    expect((await count()).toSorted()).toEqual(['agent ×3', 'web ×4'])
    await app.isWell()
  })

  test('scale that no node has room for says why, and goes back', async () => {
    const before = await app.tasks()
    const ran = await run('scale', 'web=7')
    expect([ran.code, ran.stderr]).toEqual([5, expect.stringContaining('Cannot start web: no node runs it after 20 s')])
    // Which tasks end is the Swarm's choice, also of those that were there before.
    const after = await app.tasks()
    expect([after['web']?.length, { ...after, web: [] }]).toEqual([before['web']?.length, { ...before, web: [] }])
    await app.isWell()
  })

  test('restart replaces the tasks of a service, and stop and start are remembered', async () => {
    const before = await app.tasks()
    expectCode(await run('restart', 'web'), 0)
    const after = await app.tasks()
    expect([after['agent'], after['web']?.filter((id) => before['web']?.includes(id))]).toEqual([before['agent'], []])
    await app.isWell()
    expectCode(await run('stop', 'web'), 0)
    expect(await count()).toEqual(['agent ×3'])
    expect((await run('status')).stdout).toContain('web  it was stopped by ana')
    const started = await run('start')
    expect([started.code, started.stdout]).toEqual([0, expect.stringContaining('web    4 containers started')])
    await app.isWell()
  })

  test('doctor and prune look at the Swarm; what it does not have is refused', async () => {
    const doctor = await run('doctor', '--json')
    expectCode(doctor, 0)
    const { checks } = JSON.parse(doctor.stdout.split('\n')[0] ?? '')
    const found = checks.map(({ what, found }: { what: string; found: string }) => `${what}: ${found}`)
    expect(found).toEqual(expect.arrayContaining(MANAGERS.map((name) => `root@${name}: a manager`)))
    expect(found).toContain('managers: 3 of 3 reachable: 1 of them may fail')
    const name = `${app.stack}_left-0123456789ab`
    const label = ['--label', `com.docker.stack.namespace=${app.stack}`]
    expectCode(await host(MANAGERS[0]).docker(['config', 'create', ...label, name, '/etc/hostname']), 0)
    expect((await run('prune', '--dry-run')).stdout).toBe(`would remove  config  ${name}\n`)
    expect((await run('prune')).stdout).toBe(`removed  config  ${name}\n`)
    expectCode(await run('maintenance', 'on'), 2)
  })
})
