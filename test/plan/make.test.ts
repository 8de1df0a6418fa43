import { describe, expect, test } from 'bun:test'
import { classify } from '../../lib/compose/topology.ts'
import type { Plan, PlanInput } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { plannedModel } from '../../lib/plan/model.ts'
import { isNothingToDo } from '../../lib/plan/stages.ts'
import { after, container, inputOf, planned, type Services, type Situation, web } from '../scenes/situation.ts'

const trio: Services = { web: { image: 'web' }, api: { image: 'api' }, db: { image: 'db' } }

/** The same value, with the keys of every object in reverse order. Lists keep theirs. */
function reversed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(reversed) as T
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, entry]) => [key, reversed(entry)])
  return Object.fromEntries(entries.toReversed()) as T
}

describe('makePlan() decides and gives its reason', () => {
  test.each<[string, Situation, string[]]>([
    ['on a first deploy, everything is new', { now: trio }, ['api create: new', 'db create: new', 'web create: new']],
    [
      'in the order of dependencies',
      { now: { a: { image: 'a', ...after('b') }, b: { image: 'b', ...after('c') }, c: { image: 'c' } } },
      ['c create: new', 'b create: new', 'a create: new'],
    ],
    [
      'when nothing changed',
      { before: trio, now: trio },
      ['api unchanged: nothing changed', 'db unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'when one image of three changed',
      { before: trio, now: trio, images: { api: 'new' } },
      ['api recreate: image changed', 'db unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'when env values changed, came and went, with their names and without their values',
      {
        before: web({ environment: { KEPT: 'k', OLD: 'secret1', PASSWORD: 'secret2' } }),
        now: web({ environment: { PASSWORD: 'secret3', NEW: 'secret4', KEPT: 'k' } }),
      },
      ['web recreate: environment changed (NEW, OLD, PASSWORD)'],
    ],
    [
      'when a variable is taken from the image and not set any more',
      { before: web({ environment: { A: null } }), now: web({ environment: {} }) },
      ['web recreate: environment changed (A)'],
    ],
    [
      'when several things changed',
      { before: web({ command: ['a'], user: '1' }), now: web({ command: ['b'], user: '2' }), images: { web: 'new' } },
      ['web recreate: image changed; command changed; user changed'],
    ],
    [
      'when a key says nothing that was not said before',
      { before: web({ deploy: null, labels: {} }), now: web({ deploy: { replicas: 1, resources: {} }, init: null }) },
      ['web unchanged: nothing changed'],
    ],
    [
      'when only the spelling of a mode changed',
      {
        before: web({ configs: [{ source: 'a', mode: 0o440 }] }),
        now: web({ configs: [{ source: 'a', mode: '0440' }] }),
      },
      ['web unchanged: nothing changed'],
    ],
    [
      'when an empty list replaces what the image says',
      { before: web({ entrypoint: null }), now: web({ entrypoint: [] }) },
      ['web recreate: entrypoint changed'],
    ],
    [
      'when a service is added and another removed',
      {
        before: { web: { image: 'web' }, old: { image: 'old' } },
        now: { web: { image: 'web' }, api: { image: 'api' } },
      },
      [
        'api create: new',
        'web unchanged: nothing changed',
        'old remove: no longer in the Compose file; its volumes stay',
      ],
    ],
    [
      'when the release before could not remove everything',
      { before: web(), now: web(), retiring: ['old', 'gone'], containers: (made) => [...made, container('old')] },
      ['web unchanged: nothing changed', 'old remove: no longer in the Compose file; its volumes stay'],
    ],
    [
      'when a container is missing',
      { before: web(), now: web(), containers: () => [] },
      ['web create: it does not exist any more'],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })
})

describe('makePlan() before images are known', () => {
  test('says what is certain, and what depends on the image', () => {
    const situation = {
      before: { ...web(), api: { image: 'api' } },
      now: { ...web(), api: { image: 'api', user: '1' }, new: { image: 'new' } },
      images: { web: undefined, api: undefined, new: undefined },
    }
    expect(planned(situation)).toEqual([
      'api recreate: user changed',
      'new create: new',
      'web recreate?: if the built or pulled image differs',
    ])
    expect(isNothingToDo(makePlan(inputOf(situation)))).toBe(false)
  })
})

describe('makePlan()', () => {
  const situation: Situation = {
    before: {
      db: { image: 'db', environment: { A: '1', B: '2' }, networks: { back: null, default: null } },
      web: { image: 'web', network_mode: 'service:db', labels: { x: '1', y: '2' } },
      old: { image: 'old' },
    },
    now: {
      db: { image: 'db', environment: { A: '1', B: '3' }, networks: { back: null, default: null } },
      web: { image: 'web', network_mode: 'service:db', labels: { x: '1', y: '2' } },
      api: { image: 'api', ...after('db', 'web') },
    },
    beforeParts: {
      networks: { back: { labels: { a: '1', b: '2' } } },
      volumes: { data: { labels: { c: '3', d: '4' } } },
    },
    nowParts: { networks: { back: { labels: { a: '1', b: '3' } } }, volumes: { data: { labels: { c: '3', d: '4' } } } },
  }

  test('gives the same plan whatever the order of keys', () => {
    const input = inputOf(situation)
    const shuffled = { ...reversed(input), topology: classify(reversed(input.target.model)) } as PlanInput
    expect(makePlan(shuffled)).toEqual(makePlan(input))
    expect(JSON.stringify(makePlan(input).services)).toBe(JSON.stringify(makePlan(shuffled).services))
  })

  test('changes nothing in what it is given', () => {
    const input = inputOf(situation)
    const copy = structuredClone(input)
    const plan: Plan = makePlan(input)
    plannedModel(input, plan)
    expect(input).toEqual(copy)
  })
})
