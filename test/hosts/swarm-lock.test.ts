import { describe, expect, test } from 'bun:test'
import type { Pace } from '../../lib/hosts/swarm/lease.ts'
import { lockIn, withSwarmLock } from '../../lib/hosts/swarm/lock.ts'
import { look, persist } from '../../lib/hosts/swarm/store.ts'
import type { EnvironmentLock } from '../../lib/lock/environment-lock.ts'
import { FakeConfigs } from '../fakes/configs.ts'
import { type Laptop, laptops } from '../scenes/swarm-store.ts'
import { failureOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const scene = laptops()

/** A hundredth of the times of a real run. */
const PACE: Pace = { renew: 50, steal: 300, look: 10, doubt: 150, patience: 60_000 }

function lock<T>(
  { store }: Laptop,
  work: (held: EnvironmentLock) => Promise<T>,
  { wait = 0, signal = new AbortController().signal, printed = [] as string[] } = {},
): Promise<T> {
  const request = { stateFile: `${store.folder}/releases.json`, environment: 'prod', command: 'deploy', wait }
  const clock = { now: () => performance.now(), sleep: (ms: number) => Bun.sleep(ms) }
  const emit = (event: object) => void printed.push('message' in event ? String(event.message) : '')
  return withSwarmLock(store, request, { user: 'ana', clock, emit, signal }, work, { pace: PACE, onChange: () => {} })
}

/** A run that holds the lock until it is let go. */
async function holding(laptop: Laptop) {
  const [begun, end] = [Promise.withResolvers<EnvironmentLock>(), Promise.withResolvers<void>()]
  const ended = lock(laptop, async (held) => {
    begun.resolve(held)
    await end.promise
  })
  ended.catch(begun.reject)
  return { held: await begun.promise, end: end.resolve, ended }
}

describe('the lock of an environment in a Swarm', () => {
  test('is taken by one of two, and the other one is refused once it is seen that the first one lives', async () => {
    const configs = new FakeConfigs()
    const both = [await scene.open(configs.machine()), await scene.open(configs.machine())]
    let inside = 0
    const over = Promise.withResolvers<void>()
    const ended = await Promise.allSettled(
      both.map((one) =>
        lock(one, async () => {
          inside++
          await over.promise
        }).catch((error: unknown) => {
          over.resolve()
          throw error
        }),
      ),
    )
    const refused = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect([inside, refused.map(({ kind }) => kind)]).toEqual([1, ['locked']])
    expect(refused[0].message).toMatch(/^Cannot deploy to prod: another run is under way: deploy by ana on /)
  })

  test('is free after the run, and says so; another one begins at once with what the first one wrote', async () => {
    const configs = new FakeConfigs()
    const [one, other] = [await scene.open(configs.machine()), await scene.open(configs.machine())]
    await lock(one, async () => one.write('releases.json', 'of one'))
    expect(lockIn(await look(other.store))).toEqual({ locked: false })
    const printed: string[] = []
    expect(await lock(other, async () => other.files()['releases.json'], { printed })).toBe('of one')
    expect(printed).toEqual([])
    expect(configs.names().filter((name) => name.startsWith('lock'))).toEqual([expect.stringMatching(/^lock\.\d+$/)])
  })

  test('of a run that was killed is taken when it has not been renewed for a while', async () => {
    const configs = new FakeConfigs()
    let isDead = false
    const one = await scene.open(configs.machine(() => (isDead ? 'dies before' : undefined)))
    void (await holding(one))
    isDead = true
    const other = await scene.open(configs.machine())
    const printed: string[] = []
    const begun = performance.now()
    const waited = await lock(other, async (held) => held.waited, { printed })
    const took = performance.now() - begun
    expect([waited, took >= PACE.steal]).toEqual([true, true])
    expect(printed).toEqual([expect.stringMatching(/^for ana on .*: it does not renew its lock$/)])
  })

  test('that is renewed is waited for', async () => {
    const configs = new FakeConfigs()
    const [one, other] = [await scene.open(configs.machine()), await scene.open(configs.machine())]
    const first = await holding(one)
    const second = lock(other, async (held) => held.waited, { wait: 60_000 })
    await Bun.sleep(2 * PACE.steal)
    first.end()
    await first.ended
    expect(await second).toBe(true)
  })

  test('that was lost stops the run before it writes or changes anything, and stays with the other one', async () => {
    const configs = new FakeConfigs()
    let isCut = false
    const one = await scene.open(configs.machine(() => (isCut ? 'lost' : undefined)))
    const first = await holding(one)
    isCut = true
    const other = await scene.open(configs.machine())
    const second = await holding(other)
    await Bun.sleep(4 * PACE.renew) // the number that the first one would make is free again
    isCut = false
    one.write('releases.json', 'of one')
    const lost = await failureOf(first.held.persist?.() ?? Promise.resolve())
    await expectGolden('core/swarm.md', 'lost', [lost.message, `  hint: ${lost.hint}`].join('\n'))
    expect([() => first.held.check()].map((each) => expect(each).toThrow(lost.message))).toHaveLength(1)
    first.end()
    expect((await failureOf(first.ended)).message).toBe(lost.message)
    other.write('releases.json', 'of the other')
    second.held.check()
    second.end()
    await second.ended
    expect((await scene.open(configs.machine())).files()['releases.json']).toBe('of the other')
  })

  test('that cannot be renewed lets nothing more begin until it can', async () => {
    const configs = new FakeConfigs()
    let isCut = false
    const one = await scene.open(configs.machine(() => (isCut ? 'lost' : undefined)))
    const first = await holding(one)
    isCut = true
    await Bun.sleep(2 * PACE.doubt)
    let isSure = false
    const sure = first.held.sure?.().then(() => {
      isSure = true
    })
    await Bun.sleep(PACE.doubt)
    expect(isSure).toBe(false)
    isCut = false
    await sure
    first.end()
    await first.ended
  })

  test('is not taken while the environment is frozen, even if that was written at the same moment', async () => {
    const configs = new FakeConfigs()
    const holder = await scene.open(configs.machine())
    const hold = { user: 'bob', machine: 'm', since: '2026-11-22T11:59:00.000Z', message: 'moving' }
    let isAsked = false
    const one = await scene.open(
      configs.machine((_, verb) => {
        if (verb === 'create' && !isAsked) {
          isAsked = true
          holder.write('locks/prod.hold.json', JSON.stringify(hold))
          void persist(holder.store)
        }
        return undefined
      }),
    )
    for (let time = 0; time < 2; time++) {
      const error = await failureOf(lock(one, async () => {}))
      expect([error.kind, error.message]).toEqual([
        'locked',
        expect.stringMatching(/is held by bob on m since .*"moving"/),
      ])
    }
    expect(lockIn(await look(one.store))).toMatchObject({ locked: false, hold })
  })

  test('ends the waiting at a signal', async () => {
    const configs = new FakeConfigs()
    const [one, other] = [await scene.open(configs.machine()), await scene.open(configs.machine())]
    const first = await holding(one)
    const stop = new AbortController()
    setTimeout(() => stop.abort(15), 100)
    const error = await failureOf(lock(other, async () => {}, { wait: 60_000, signal: stop.signal }))
    expect([error.kind, error.signal]).toEqual(['locked', 15])
    first.end()
    await first.ended
  })
})
