import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { RolloutConfig } from '../../lib/config/parse.ts'
import type { ServicePlan } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { GENEROUS } from '../scenes/big-swarm.ts'
import { inputOf, type Services } from '../scenes/situation.ts'

const environment = { engine: 'swarm' } as const

/** What is planned for `web` in a new version on a Swarm. */
function changed(more: Service = {}, rollout: RolloutConfig = {}): ServicePlan | undefined {
  const services = { web: { image: 'web', ...more } }
  const settings = { web: { rollout } }
  const { services: plans } = makePlan(
    inputOf({ before: services, now: services, images: { web: 'new' }, settings, environment }),
  )
  return plans[0]
}

describe('on a Swarm', () => {
  test('a service that publishes a port through the routing mesh rolls, like a routed service elsewhere', () => {
    expect(changed({ ports: [{ target: 80, published: '8080', mode: 'ingress' }] })?.action).toBe('rolling')
    expect(changed({ ports: [{ target: 80, published: '8080' }], container_name: 'web' })?.action).toBe('rolling')
  })

  test.each<[string, Service, RolloutConfig, string]>([
    [
      'a port of the node',
      { ports: [{ target: 80, published: '80', mode: 'host' }] },
      {},
      'it publishes port 80 of its node',
    ],
    ['no port', {}, {}, 'it publishes no port through the routing mesh'],
    [
      'a volume that it writes to',
      { volumes: [{ type: 'volume', source: 'data', target: '/data' }] },
      {},
      'it writes to volume data',
    ],
    [
      'its settings',
      { ports: [{ target: 80, published: '80' }] },
      { order: 'stop-first' },
      '`order: stop-first` is set',
    ],
  ])('%s: its old tasks stop first', (_, more, rollout, because) => {
    expect(changed(more, rollout)).toMatchObject({ action: 'recreate', gap: { because, inTurn: false } })
  })

  test('replicas are replaced one at a time', () => {
    expect(changed({ deploy: { replicas: 3 } })?.gap?.inTurn).toBe(true)
    expect(changed({ deploy: { replicas: 3 } }, { strategy: 'rolling' })?.action).toBe('rolling')
  })

  test('a change of only the number of replicas is not a rollout, routed or not', () => {
    const ports = [{ target: 80, published: '8080' }]
    const web = (replicas: number): Services => ({ web: { image: 'web', ports, deploy: { replicas } } })
    const plan = makePlan(inputOf({ before: web(2), now: web(4), environment }))
    expect(plan.services).toMatchObject([{ action: 'scale', replicas: 4 }])
  })

  test('200 services on 50 nodes are planned in a few seconds of CPU time', () => {
    const all = (word: string): Services =>
      Object.fromEntries(
        Array.from({ length: 200 }, (_, at) => [
          `s${at}`,
          { image: 'a', environment: { WORD: word }, deploy: { replicas: 50 } },
        ]),
      )
    const input = inputOf({ before: all('one'), now: all('two'), environment })
    const began = process.cpuUsage()
    const plan = makePlan(input)
    const { user, system } = process.cpuUsage(began)
    expect([input.containers.length, plan.services.length]).toEqual([10_000, 200])
    expect((user + system) / 1_000).toBeLessThan(GENEROUS)
  })
})
