import { describe, expect, test } from 'bun:test'
import type { Dependency, Service } from '../../lib/compose/model.ts'
import { classify, replicasOf } from '../../lib/compose/topology.ts'

const model = (services: Record<string, Service>) => ({ name: 'shop', services })
const needs = (conditions: Record<string, Dependency['condition']>): Service => ({
  depends_on: Object.fromEntries(Object.entries(conditions).map(([name, condition]) => [name, { condition }])),
})

describe('classify()', () => {
  test('puts a service after everything it needs, and otherwise by name', () => {
    const services = {
      c: {},
      a: needs({ b: 'service_started', d: 'service_healthy' }),
      b: needs({ d: 'service_started' }),
      d: {},
      e: { network_mode: 'service:a' },
    }
    expect(classify(model(services)).order).toEqual(['d', 'b', 'a', 'c', 'e'])
  })

  test('does not loop for ever on a cycle, which Compose refuses', () => {
    const services = { a: needs({ b: 'service_started' }), b: needs({ a: 'service_started' }) }
    expect(classify(model(services)).order).toEqual(['b', 'a'])
  })

  test('knows jobs by what waits for their end, and by what stagecraft.yml says', () => {
    const services = { web: needs({ migrate: 'service_completed_successfully' }), migrate: {}, seed: {}, quiet: {} }
    expect(classify(model(services), ['seed', 'no-such-service']).jobs).toEqual(['migrate', 'seed'])
  })

  test('leaves out what is not in the model: an inactive profile, an optional dependency', () => {
    expect(classify(model({ a: needs({ gone: 'service_started' }) })).needs).toEqual({ a: [] })
  })

  test('keeps the condition of a service that is needed twice over', () => {
    const services = { owner: {}, side: { ...needs({ owner: 'service_healthy' }), network_mode: 'service:owner' } }
    expect(classify(model(services)).needs['side']).toEqual([
      { service: 'owner', condition: 'service_healthy', follows: true, why: 'uses the network of owner' },
    ])
  })
})

describe('replicasOf()', () => {
  test.each<[Service, number]>([
    [{}, 1],
    [{ scale: 0 }, 0],
    [{ deploy: { replicas: 3 } }, 3],
    [{ scale: 2, deploy: { replicas: 3 } }, 2],
    [{ deploy: null }, 1],
  ])('of %j is %i', (service, replicas) => {
    expect(replicasOf(service)).toBe(replicas)
  })
})
