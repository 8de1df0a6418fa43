import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, SwarmApp, said } from '../scenes/swarm.ts'
import { expectCode, expectPhasesOf } from './app.ts'

// A Swarm of three managers, of two versions of the engine. This kernel has no routing mesh. What takes longer:
// test/e2e/swarm-changes.test.ts.
describe.skipIf(!canSwarm)('an environment on a Swarm', () => {
  const app = new SwarmApp('swarm')
  const { folder } = app
  let tasks: Record<string, string[]> = {}
  const hook = (words: string) => `echo "$STAGECRAFT_VERSION ${words}" >>hooks`
  const settings = { hooks: { after_rollout: hook('is out'), on_failure: hook('failed in $STAGECRAFT_PHASE') } }

  beforeAll(async () => {
    await app.begin()
    app.write({ web: said('one'), worker: said('x', { deploy: { replicas: 1 } }) }, {}, settings)
    expectCode(await app.deploy('v1'), 0)
    tasks = await app.tasks()
  })
  afterAll(() => app.end())

  test('runs what was released, and says so', async () => {
    expect(Object.entries(tasks).map(([service, ids]) => [service, ids.length])).toEqual([
      ['web', 2],
      ['worker', 1],
    ])
    await app.isWell()
    expect(await app.says('web')).toEqual(['it says one'])
  })

  test('nothing changed: no task is replaced', async () => {
    const ran = await app.deploy('v1-again')
    expectCode(ran, 0)
    expect(ran.stderr).toContain('nothing to do: everything runs as it should')
    expect(await app.tasks()).toEqual(tasks)
  })

  test('a version that fails: the whole stack is rolled back, and the exit code says so', async () => {
    const fails = { command: ['sh', '-c', 'echo no such table; exit 3'] }
    app.write(
      { web: said('two', fails), worker: said('y', { deploy: { replicas: 1 } }), extra: said('z') },
      {},
      settings,
    )
    const ran = await app.deploy('v2')
    expectCode(ran, 5)
    expect(ran.stderr).toContain('Cannot start web: it ended with exit code 3')
    expect(ran.stderr).toContain('no such table')
    expect(ran.stderr).toMatch(/v1-again \(rel-\S+\) is still live\./)
    expectPhasesOf((await app.releases()).at(-1), 'v2', 'rollout')
    const now = await app.tasks()
    expect(Object.entries(now).map(([service, ids]) => [service, ids.length])).toEqual([
      ['web', 2],
      ['worker', 1],
    ])
    await app.isWell()
  })

  test('hooks have run with each release', () => {
    expect(folder.read('hooks')).toBe('v1 is out\nv1-again is out\nv2 failed in rollout\n')
  })

  test('is taken down', async () => {
    expectCode(await folder.stagecraft(['down', '--yes']), 0)
    expect(await app.tasks()).toEqual({})
  })
})
