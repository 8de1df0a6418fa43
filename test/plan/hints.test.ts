import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { RolloutConfig, ServiceConfig } from '../../lib/config/parse.ts'
import { makePlan } from '../../lib/plan/make.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { inputOf, type Situation } from '../scenes/situation.ts'

// A hint that is followed has the effect that it promises.

const EXPOSE = { host: ['shop.example.com'], port: 3000 }
type Settings = { expose?: ServiceConfig['expose']; rollout?: RolloutConfig }

/** `web` as it is to be, in a new version: deployed like that before. */
function situation(service: Service, { expose, rollout = {} }: Settings): Situation {
  const services = { web: { image: 'web', ...service } }
  const settings = { web: { ...(expose ? { expose } : {}), rollout } }
  return { before: services, now: services, images: { web: 'new' }, settings }
}

function planOf(service: Service, settings: Settings) {
  const [plan] = makePlan(inputOf(situation(service, settings))).services
  return plan
}

const port = { ports: [{ target: 3000, published: '8080' }] }
const volume = { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
const rolling: Settings = { rollout: { strategy: 'rolling' } }
const UNROUTED = 'expose it, or set `strategy: rolling` if two versions may run at once'
const PORT = 'if it is HTTP, let the proxy have the port: `expose`, and no `ports` in the Compose file'
const WRITES = 'set `strategy: rolling` if two may write there at once'

describe('what would avoid downtime avoids it', () => {
  test.each<[string, Service, Settings, string, Service, Settings]>([
    ['exposed', {}, {}, UNROUTED, {}, { expose: EXPOSE }],
    ['rolling', {}, {}, UNROUTED, {}, rolling],
    ['a port', port, {}, PORT, {}, { expose: EXPOSE }],
    ['a port, though it is to roll', port, rolling, PORT, {}, { expose: EXPOSE }],
    ['a port, though it is exposed', port, { expose: EXPOSE }, PORT, {}, { expose: EXPOSE }],
    ['a volume', volume, {}, WRITES, volume, rolling],
    [
      'a port and a volume',
      { ...port, ...volume },
      {},
      `${PORT}; and ${WRITES}`,
      volume,
      { ...rolling, expose: EXPOSE },
    ],
    [
      'a name',
      { container_name: 'web' },
      {},
      `take \`container_name\` out of the Compose file; and ${UNROUTED}`,
      {},
      rolling,
    ],
    [
      'an address',
      { networks: { default: { ipv4_address: '10.0.0.9' } } },
      rolling,
      'take the address out of the Compose file',
      { networks: { default: null } },
      rolling,
    ],
  ])('%s', (_, service, settings, avoid, followed, then) => {
    expect(planOf(service, settings)).toMatchObject({ action: 'recreate', gap: { avoid } })
    expect(planOf(followed, then)?.action).toBe('rolling')
  })

  test.each<[string, Service, string]>([
    ['the host network', { network_mode: 'host' }, 'it is on the host network'],
    ['an anonymous volume', { volumes: [{ type: 'volume', target: '/data' }] }, 'it has an anonymous volume (/data)'],
    ['a hook', { post_start: [] }, 'it has a post_start hook, which only Compose can run'],
  ])('nothing is promised where something stays: %s', (_, service, because) => {
    for (const settings of [{}, rolling]) {
      const gap = planOf({ ...port, ...service }, settings)?.gap
      expect([gap?.because, gap?.avoid]).toEqual([because, undefined])
    }
  })
})

describe('the hint of a refusal resolves it', () => {
  const refusal = (now: Situation) => {
    try {
      makePlan(inputOf(now))
      return undefined
    } catch (error) {
      if (error instanceof StagecraftError) return error.hint
      throw error
    }
  }

  test('a network mode that keeps the proxy away', () => {
    const host = situation({ network_mode: 'host' }, { expose: EXPOSE })
    expect(refusal(host)).toEndWith('take network_mode out of the Compose file.')
    expect(refusal(situation({}, { expose: EXPOSE }))).toBeUndefined()
  })

  test('the network of another service', () => {
    const services = { web: { image: 'web' }, side: { image: 'side', network_mode: 'service:web' } }
    const exposed = (service: string): Situation => ({
      ...{ before: services, now: services, images: {} },
      settings: { [service]: { expose: EXPOSE, rollout: {} } },
    })
    expect(refusal(exposed('side'))).toStartWith('Expose web,')
    expect(refusal(exposed('web'))).toBeUndefined()
  })

  test('one host for two services', () => {
    const services = { api: { image: 'api' }, web: { image: 'web' } }
    const exposed = (path: string): Situation => ({
      ...{ before: services, now: services, images: {} },
      settings: {
        api: { expose: { ...EXPOSE, path }, rollout: {} },
        web: { expose: EXPOSE, rollout: {} },
      },
    })
    expect(refusal(exposed('/'))).toBe('Give one of them another `host` or `path` in stagecraft.yml.')
    expect(refusal(exposed('/api'))).toBeUndefined()
  })
})
