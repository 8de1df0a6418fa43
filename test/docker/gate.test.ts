import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { openDocker } from '../../lib/docker/client.ts'
import { gate } from '../../lib/docker/gate.ts'
import type { GateTarget } from '../../lib/docker/readiness/verdict.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeEngine } from '../fakes/engine.ts'
import type { Behaviour } from '../fakes/engine-state.ts'
import { composeUp } from '../scenes/compose-up.ts'

const CHECK = { test: ['CMD', 'x'] }

/** Starts one service per behaviour and waits at the gate. @returns the reports, with seconds, and how it ended */
async function waitFor(
  behaviours: Record<string, Behaviour>,
  settings: Partial<GateTarget> & { definition?: Service; meanwhile?: (engine: FakeEngine) => void } = {},
) {
  const { definition = {}, meanwhile, ...target } = settings
  const engine = new FakeEngine()
  const docker = openDocker(engine.exec, (text) => text.replaceAll('hunter22', '•••'))
  engine.addImage('app', 'app')
  engine.behave = ({ service }) => behaviours[service]
  const services = Object.fromEntries(Object.keys(behaviours).map((name) => [name, { image: 'app', ...definition }]))
  const model = composeModel('shop', { services })
  const names = Object.keys(behaviours)
  if (names.length > 0) await composeUp(engine, model, names)
  const targets = Object.keys(behaviours).map((service): GateTarget => {
    return {
      service,
      ids: engine.ids('shop', service),
      job: false,
      healthTimeout: undefined,
      minReady: undefined,
      ...target,
    }
  })
  const started = engine.clock.now()
  const seconds = () => (engine.clock.now() - started) / 1000
  const told: string[] = []
  const progress: string[] = []
  engine.intercept = () => void meanwhile?.(engine)
  const error = await gate(docker, targets, engine.clock, (service, step, note) => {
    if (step === 'progress') progress.push(`${service}: ${note}`)
    else told.push(`${service} ${step} ${seconds()}${step === 'wait' ? `: ${note}` : ''}`)
  }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error !== undefined && !(error instanceof StagecraftError)) throw error
  return {
    told,
    progress,
    error: error && [error.kind, error.message, error.detail, error.hint],
    seconds: seconds(),
    looks: engine.calls.length,
  }
}

describe('gate() opens', () => {
  test('when a container without a healthcheck has run for five seconds', async () => {
    expect(await waitFor({ web: {} })).toMatchObject({ told: ['web ready 5'], error: undefined, seconds: 5 })
  })

  test('when it has run for min_ready', async () => {
    expect((await waitFor({ web: {} }, { minReady: 1_200 })).seconds).toBe(1.2)
    expect((await waitFor({ web: {} }, { minReady: 0 })).seconds).toBe(0)
  })

  test('as soon as a healthcheck says healthy', async () => {
    const found = await waitFor({ web: { after: 700 } }, { definition: { healthcheck: CHECK } })
    expect(found).toMatchObject({ told: ['web ready 0.7'], error: undefined })
  })

  test('and until then reports what each is at, whenever that changes, without secrets', async () => {
    const found = await waitFor({ web: { after: 700 } }, { definition: { healthcheck: CHECK } })
    expect(found.progress).toEqual(['web: starting (the probe says starting)'])
    const { progress } = await waitFor({ web: {} })
    expect(progress).toEqual([0, 1, 2, 3, 4].map((s) => `web: running, ${s} of 5 s`))
  })

  test('when all are ready, and reports each one once', async () => {
    const slow = { db: { after: 9_000 }, web: { after: 2_000 } }
    const found = await waitFor(slow, { definition: { healthcheck: CHECK } })
    expect(found).toMatchObject({ told: ['web ready 2', 'db ready 9'], error: undefined })
  })

  test('when a job has ended with 0, however long it takes', async () => {
    expect((await waitFor({ job: { exit: 0, after: 300_000 } }, { job: true })).error).toBeUndefined()
  })

  test('when what ended while its database came up has run for min_ready since its last start', async () => {
    const found = await waitFor({ web: { after: 1_000, recovers: 1 } })
    expect(found.told).toEqual(['web wait 1: restarted once, waiting', 'web ready 7'])
    expect(found.error).toBeUndefined()
  })

  test('only min_ready after the last start, also where its downtime was not seen', async () => {
    expect((await waitFor({ web: { after: 4_000, recovers: 1, pause: 0 } })).told).toEqual([
      'web wait 4: restarted once, waiting',
      'web ready 9',
    ])
  })

  test('when what was restarted often is up before 30 seconds have passed since its first end', async () => {
    const found = await waitFor({ web: { after: 4_000, recovers: 6 } }) // ends at 4 and 29 s
    expect(found.told.at(-2)).toBe('web wait 29: restarted 6 times, waiting')
    expect(found).toMatchObject({ error: undefined, seconds: 35 })
  })

  test('when what was restarted is healthy, though it has no minute left for it', async () => {
    const settings = { definition: { healthcheck: CHECK } }
    const found = await waitFor({ web: { after: 40_000, recovers: 1 } }, settings)
    expect(found).toMatchObject({ error: undefined, seconds: 81 })
  })

  test('when what may end has ended with 0, also after it was ready', async () => {
    const found = await waitFor({ init: { exit: 0, after: 6_000 }, web: {} }, { mayEnd: true, minReady: 8_000 })
    expect(found).toMatchObject({ told: ['init ready 6', 'web ready 8'], error: undefined })
    const ready = await waitFor({ init: { exit: 0, after: 6_000 }, job: { exit: 0, after: 9_000 } }, { mayEnd: true })
    expect(ready.error).toBeUndefined()
  })

  test('at once where there is nothing to wait for', async () => {
    expect(await waitFor({})).toMatchObject({ told: [], error: undefined, looks: 0 })
  })

  test('after few looks: often at first, then less', async () => {
    const { looks } = await waitFor({ job: { exit: 0, after: 60_000 } }, { job: true })
    expect(looks).toBeLessThan(200)
  })
})

describe('gate() stays shut', () => {
  const last = (name: string, state: string) => `container shop-${name}-1: ${state}\nit has logged nothing`

  test.each<[string, Behaviour, Service, string, string | undefined]>([
    ['an exit', { exit: 2, after: 400 }, {}, 'it ended with exit code 2', undefined],
    [
      'an exit with 0',
      { exit: 0 },
      {},
      'it ended with exit code 0',
      'If it is meant to exit, set `job: true` for it in stagecraft.yml.',
    ],
    ['a lack of memory', { exit: 137, oom: true }, {}, 'it ended with exit code 137 (out of memory)', undefined],
    [
      'an unhealthy check',
      { health: 'unhealthy', after: 900 },
      { healthcheck: CHECK },
      'its healthcheck says unhealthy',
      undefined,
    ],
  ])('at once after %s', async (_, behaviour, definition, why, hint) => {
    const found = await waitFor({ web: behaviour }, { definition })
    expect(found.seconds).toBe((behaviour.after ?? 0) / 1000)
    expect(found.error).toEqual([
      'failed',
      `Cannot start web: ${why}`,
      expect.stringContaining('container shop-web-1: '),
      hint,
    ])
    expect(found.told).toEqual([`web failed ${found.seconds}`])
  })

  test.each<[string, Behaviour, Partial<GateTarget> & { definition?: Service }, number, string]>([
    ['30 s of restarts', { exit: 1, after: 200, restarts: true }, {}, 30.2, 'it crashes and restarts (exit code 1)'],
    [
      '30 s of coming and going',
      { exit: 4, after: 3_000, recovers: 99 },
      {},
      35,
      'it crashes and restarts (exit code 4)',
    ],
    [
      'as long as its healthcheck may fail',
      { exit: 1, after: 200, restarts: true },
      { definition: { healthcheck: CHECK } },
      90.2,
      'it crashes and restarts (exit code 1)',
    ],
    [
      'health_timeout',
      { exit: 1, after: 200, restarts: true },
      { healthTimeout: 4_000 },
      4.2,
      'it crashes and restarts (exit code 1)',
    ],
    [
      'the first end of what was ready',
      { exit: 1, after: 6_000, recovers: 1 },
      {},
      6,
      'it exited after it was ready, and was restarted (exit code 1)',
    ],
    [
      'an end of what may end, but not with 1',
      { exit: 1, after: 300 },
      { mayEnd: true },
      0.3,
      'it ended with exit code 1',
    ],
  ])('after %s', async (_, behaviour, settings, seconds, why) => {
    const others = { slow: { after: 4_000, recovers: 3 } } // keeps the gate shut
    const found = await waitFor({ web: behaviour, ...(seconds === 6 ? others : {}) }, settings)
    expect(found.error?.slice(0, 2)).toEqual(['failed', `Cannot start web: ${why}`])
    expect(found.seconds).toBeCloseTo(seconds, 0)
    expect(found.told.at(-1)).toBe(`web failed ${found.seconds}`)
  })

  test('after a job that failed', async () => {
    const found = await waitFor({ job: { exit: 4 } }, { job: true })
    expect(found.error).toEqual([
      'failed',
      'Cannot start job: the job failed with exit code 4',
      last('job', 'exited, exit code 4'),
      undefined,
    ])
  })

  test('when a container disappears', async () => {
    const meanwhile = (engine: FakeEngine) => {
      if (engine.state.now > Date.UTC(2026, 10, 22, 8, 0, 1)) engine.state.containers = []
    }
    const found = await waitFor({ web: {} }, { meanwhile })
    expect(found.error).toEqual(['failed', 'Cannot start web: it disappeared', undefined, undefined])
  })

  test('when one that was ready fails before the others are', async () => {
    const healthcheck = { definition: { healthcheck: CHECK } }
    const found = await waitFor({ db: { health: 'never' }, web: { exit: 1, after: 8_000 } }, healthcheck)
    expect(found.error?.[1]).toBe('Cannot start web: it ended with exit code 1')
    expect(found.seconds).toBe(8)
  })

  test.each<[string, Partial<GateTarget> & { definition?: Service }, Behaviour, number, string]>([
    [
      'health_timeout',
      { healthTimeout: 3_000, definition: { healthcheck: CHECK } },
      { health: 'never' },
      3,
      'it has not become healthy after 3 s',
    ],
    [
      'longer than the healthcheck can take',
      { definition: { healthcheck: CHECK } },
      { health: 'never' },
      185,
      'it has not become healthy after 185 s',
    ],
    ['ten minutes of a job', { job: true }, {}, 600, 'it has not ended after 600 s'],
    ['health_timeout of a job', { job: true, healthTimeout: 2_000 }, {}, 2, 'it has not ended after 2 s'],
  ])('after %s', async (_, settings, behaviour, seconds, why) => {
    const found = await waitFor({ web: behaviour }, settings)
    expect(found.seconds).toBe(seconds)
    expect(found.error?.slice(0, 2)).toEqual(['failed', `Cannot start web: ${why}`])
    expect(found.error?.[3]).toBe('Raise services.web.rollout.health_timeout in stagecraft.yml if it needs longer.')
  })

  test('and shows state, health, restarts, the engine’s words and 20 log lines, masked', async () => {
    const logs = [...Array(25).keys()]
      .map((line) => `line ${line}`)
      .concat('password hunter22')
      .join('\n')
    const behaviour: Behaviour = { exit: 1, restarts: true, oom: true, logs, after: 100 }
    const { error } = await waitFor({ web: behaviour }, { definition: { healthcheck: CHECK } })
    expect(error?.[2]).toMatchInlineSnapshot(`
      "container shop-web-1: restarting, exit code 1, restarted 3 times, out of memory, health starting
      last health output: the probe says starting
      last log lines:
        line 6
        line 7
        line 8
        line 9
        line 10
        line 11
        line 12
        line 13
        line 14
        line 15
        line 16
        line 17
        line 18
        line 19
        line 20
        line 21
        line 22
        line 23
        line 24
        password •••"
    `)
  })
})
