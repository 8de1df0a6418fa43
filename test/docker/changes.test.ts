import { describe, expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { gate } from '../../lib/docker/gate.ts'
import { watchChanges } from '../../lib/docker/readiness/changes.ts'
import type { GateTarget } from '../../lib/docker/readiness/verdict.ts'
import type { Clock } from '../../lib/system/clock.ts'
import type { Exec, ExecOptions } from '../../lib/system/exec.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeEngine } from '../fakes/engine.ts'
import type { Behaviour } from '../fakes/engine-state.ts'
import { composeUp } from '../scenes/compose-up.ts'

/** Watches two containers on an engine that reports what the test says, with a clock that stands still. */
function watch() {
  const listening = Promise.withResolvers<void>()
  const asked: { argv: readonly string[]; options: ExecOptions }[] = []
  const exec: Exec = async (argv, options = {}) => {
    asked.push({ argv, options })
    options.signal?.addEventListener('abort', () => listening.resolve())
    await listening.promise
    return { argv, code: 143, stdout: '', stderr: '', timedOut: false }
  }
  let now = 0
  const never = new Promise<void>(() => {})
  const clock: Clock = { now: () => now, sleep: () => never }
  const changes = watchChanges(
    openDocker(exec, (text) => text),
    ['one', 'two'],
    clock,
  )
  const [{ argv, options } = { argv: [], options: {} }] = asked
  const pass = (ms: number) => {
    now += ms
  }
  return { changes, argv, options, listening, pass, report: () => options.onLine?.('one', 'stdout') }
}

describe('watchChanges()', () => {
  test('asks for the events that show how containers become ready, or do not', () => {
    const filters = ['container=one', 'container=two', 'event=start', 'event=die', 'event=health_status']
    const { argv } = watch()
    expect(argv.join(' ')).toBe(
      `docker events ${filters.map((filter) => `--filter ${filter}`).join(' ')} --format {{.ID}}`,
    )
  })

  test('ends a wait at once when a container changes, and the next one if it changed before that', async () => {
    const { changes, report } = watch()
    const waited = changes.next(1)
    report()
    await waited
    report()
    await changes.next(1)
  })

  test('is open once docker has had time to connect, and not any more when docker has ended', async () => {
    const { changes, listening, pass } = watch()
    expect(changes.isOpen()).toBe(false)
    pass(300)
    expect(changes.isOpen()).toBe(true)
    listening.resolve()
    await Bun.sleep(0)
    expect(changes.isOpen()).toBe(false)
  })

  test('is ended by its user, and, a second after this process has died, by its watcher', async () => {
    const { changes, options, listening } = watch()
    expect(options).toMatchObject({ outlive: 1000 })
    changes.end()
    expect(options.signal?.aborted).toBe(true)
    await listening.promise
  })
})

describe('gate() looks', () => {
  const healthcheck = { test: ['CMD', 'x'] }

  test.each<[string, Behaviour, object, Partial<GateTarget>, number]>([
    ['at a healthcheck', { after: 4_000 }, { healthcheck }, {}, 12],
    ['at a job', { exit: 0, after: 4_000 }, {}, { job: true }, 12],
    ['at min_ready, which no engine reports,', {}, {}, { minReady: 4_000 }, 41],
  ])('less often %s while the engine reports changes', async (_, behaviour, more, settings, most) => {
    const engine = new FakeEngine()
    engine.addImage('app', 'app')
    engine.behave = () => behaviour
    await composeUp(engine, composeModel('shop', { services: { web: { image: 'app', ...more } } }), ['web'])
    const none = { service: 'web', job: false, healthTimeout: undefined, minReady: undefined }
    const target = { ...none, ids: engine.ids('shop', 'web'), ...settings }
    const looks = async (reports: boolean) => {
      const copy = structuredClone(engine.state)
      engine.intercept = (argv) => (reports && argv[1] === 'events' ? 'hang' : undefined)
      const before = engine.calls.length
      await gate(
        openDocker(engine.exec, (text) => text),
        [target],
        engine.clock,
        () => {},
      )
      engine.state = copy
      return engine.calls.length - before - 1
    }
    expect(await looks(false)).toBe(41)
    expect(await looks(true)).toBe(most)
  })
})
