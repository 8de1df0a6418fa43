import { describe, expect, test } from 'bun:test'
import type { PlanInput, SeenProxy } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { plannedRoutes, plannedSlots } from '../../lib/plan/routes/change.ts'
import type { Route } from '../../lib/plan/routes/table.ts'
import { isNothingToDo } from '../../lib/plan/stages.ts'
import { inputOf, refusal, type Situation } from '../scenes/situation.ts'

const SERVICES = { web: { image: 'web' }, api: { image: 'api' }, db: { image: 'db' } }
const web: Route = { service: 'web', hosts: ['shop.example.com'], path: '/', tls: 'auto', ports: { a: 3000, b: 3000 } }
const EXPOSED = { web: { expose: { host: ['shop.example.com'], port: 3000 } } }
const H2C = { web: { expose: { ...EXPOSED.web.expose, protocol: 'h2c' } } } as const
const RUNS: SeenProxy = {
  ...{ id: 'p', image: 'sha256:caddy', state: 'running', startedAt: '', networks: {}, ports: '', reference: 'caddy:2' },
  ...{ layout: '1', outdated: undefined, lost: false },
}

/** Three services that run; `web` is routed, and its live slot is a. */
const live = (more: Partial<Situation> = {}): Situation => ({
  ...{ before: SERVICES, now: SERVICES, settings: EXPOSED, proxy: RUNS },
  bundle: { routes: [web], slots: { web: 'a' } },
  ...more,
})

function planned(situation: Situation) {
  const input = inputOf(situation)
  const plan = makePlan(input)
  const slots = plannedSlots(input, plan.services)
  return { plan, slots, routes: plannedRoutes(input, slots, plan.services) }
}
const lines = (situation: Situation) =>
  planned(situation).plan.routes.map(({ service, action, route }) => `${service} ${action}: ${route}`)

describe('the slot of a routed service', () => {
  test.each<[string, Situation, object]>([
    ['is a for the first time', { now: SERVICES, settings: EXPOSED }, { web: 'a' }],
    ['stays where nothing changes', live(), { web: 'a' }],
    [
      'stays where it is recreated',
      live({ images: { web: 'new' }, settings: { web: { ...EXPOSED.web, rollout: { strategy: 'recreate' } } } }),
      { web: 'a' },
    ],
    ['is the other one where it rolls', live({ images: { web: 'new' } }), { web: 'b' }],
    [
      'is a again after b',
      live({ images: { web: 'new' }, bundle: { routes: [web], slots: { web: 'b' } } }),
      { web: 'a' },
    ],
    ['is the other one if its container is missing', live({ containers: () => [] }), { web: 'b' }],
    ['is a where it runs and was not routed before', live({ bundle: {} }), { web: 'a' }],
  ])('%s', (_, situation, slots) => {
    expect(planned(situation).slots).toEqual(slots as never)
  })
})

describe('the routes of a release', () => {
  test('give each slot the port that its own containers listen on', () => {
    const settings = { web: { expose: { ...EXPOSED.web.expose, port: 5000 } } }
    expect(planned(live({ settings, images: { web: 'new' } })).routes).toEqual([
      { ...web, ports: { a: 3000, b: 5000 } },
    ])
    expect(planned(live({ settings })).routes).toEqual([{ ...web, ports: { a: 5000, b: 3000 } }])
  })

  test('keep as they are what does not change, to the letter', () => {
    expect(JSON.stringify(planned(live()).routes)).toBe(JSON.stringify([web]))
  })

  test.each<[string, Situation, string[]]>([
    ['come', live({ bundle: {} }), ['web add: https://shop.example.com']],
    ['stay', live(), ['web keep: https://shop.example.com']],
    ['stay where only the slot changes', live({ images: { web: 'new' } }), ['web keep: https://shop.example.com']],
    [
      'change',
      live({ settings: { web: { expose: { host: ['new.example.com'], port: 3000, tls: 'off' } } } }),
      ['web change: http://new.example.com'],
    ],
    ['change', live({ settings: H2C }), ['web change: https://shop.example.com (rules: protocol)']],
    [
      'change back',
      live({ images: { web: 'new' }, bundle: { routes: [{ ...web, h2c: ['a', 'b'] }], slots: { web: 'a' } } }),
      ['web change: https://shop.example.com (rules: none)'],
    ],
    [
      'stay with what they speak',
      live({ settings: H2C, bundle: { routes: [{ ...web, h2c: ['a', 'b'] }], slots: { web: 'a' } } }),
      ['web keep: https://shop.example.com'],
    ],
    ['go', live({ settings: {} }), ['web remove: https://shop.example.com']],
    [
      'move',
      live({ settings: { api: EXPOSED.web } }),
      ['api add: https://shop.example.com', 'web remove: https://shop.example.com'],
    ],
  ])('%s', (_, situation, expected) => {
    expect(lines(situation)).toEqual(expected)
  })

  test('of internal callers are the same whatever the subnets are called now', () => {
    const settings = { web: { expose: { internal: true, port: 80 } } }
    const internal = { port: 80, names: ['web'], networks: ['shop_default'], subnets: ['10.1.0.0/24'] }
    const route: Route = { service: 'web', hosts: [], path: '/', tls: 'auto', ports: { a: 80, b: 80 }, internal }
    expect(lines(live({ settings, bundle: { routes: [route], slots: { web: 'a' } } }))).toEqual([
      'web keep: http://web:80 (internal)',
    ])
  })

  test('of two services cannot be one', () => {
    expect(refusal(live({ settings: { ...EXPOSED, api: EXPOSED.web } }))).toEqual([
      'config',
      'Cannot expose web as shop.example.com/: api is exposed there too',
      'Give one of them another `host` or `path` in stagecraft.yml.',
    ])
  })

  test('alone make a plan that has something to do', () => {
    const isIdle = (situation: Situation) => isNothingToDo(makePlan(inputOf(situation)))
    expect(isIdle(live())).toBe(true)
    expect(isIdle(live({ bundle: {} }))).toBe(false)
    expect(isIdle(live({ settings: {} }))).toBe(false)
    expect(isIdle(live({ proxy: undefined }))).toBe(false)
  })
})

describe('the proxy', () => {
  test.each<[string, PlanInput['proxy'], Partial<Situation>, object | null]>([
    ['is not needed without a route', undefined, { settings: {}, bundle: {} }, null],
    ['is started where there is none', undefined, {}, { action: 'start', why: 'this host has none yet (caddy:2)' }],
    [
      'is started from the image that is named',
      undefined,
      { environment: { proxy: { image: 'caddy:2.9' } } },
      { action: 'start', why: 'this host has none yet (caddy:2.9)' },
    ],
    ['is started where it has ended', { ...RUNS, state: 'exited' }, {}, { action: 'start', why: 'it is exited' }],
    ['is kept', RUNS, {}, { action: 'keep', why: 'caddy:2 runs' }],
    [
      'is recreated, and the plan says so',
      { ...RUNS, outdated: 'from caddy:2 to caddy:2.9' },
      {},
      {
        action: 'upgrade',
        why: 'from caddy:2 to caddy:2.9: for about a second no route of any project on this host answers',
      },
    ],
  ])('%s', (_, proxy, more, expected) => {
    expect(planned(live({ ...more, proxy })).plan.proxy).toEqual(expected as never)
  })
})

test('callers that may reach a rolling service past the proxy are named', () => {
  const services = {
    ...SERVICES,
    shop: { image: 'web', depends_on: { web: { condition: 'service_started' as const } } },
  }
  const situation = live({ before: services, now: services, images: { web: 'new' } })
  expect(planned(situation).plan.notes).toEqual([
    'shop may call web by its name on their network: these requests bypass the proxy and may fail during the update; ' +
      '`expose: {internal: true, port: …}` makes the proxy answer there',
  ])
  expect(planned({ ...situation, images: {} }).plan.notes).toEqual([])
  const settings = { web: { expose: { ...EXPOSED.web.expose, internal: true } } }
  expect(planned({ ...situation, settings }).plan.notes).toEqual([])
})
