import { describe, expect, test } from 'bun:test'
import type { Resource } from '../../lib/compose/model.ts'
import { type Parts, planned, refusal, type Services, type Situation, web } from '../scenes/situation.ts'

const bind = (hash: string, target = '/etc/web.conf') => ({
  type: 'bind',
  source: `/app/.stagecraft/content/${hash}`,
  target,
  read_only: true,
})

describe('makePlan() about content', () => {
  const content = (name: string, hash: string) => [{ name, hash }]

  const [old, next] = ['1'.repeat(32), '2'.repeat(32)]

  test.each<[string, Situation, string[]]>([
    [
      'names the bind-mounted file that changed',
      {
        before: web({ volumes: [bind(old)] }),
        now: web({ volumes: [bind(next)] }),
        contentBefore: content('./web.conf', old),
        content: content('./web.conf', next),
      },
      ['web recreate: content of ./web.conf changed'],
    ],
    [
      'names the config that changed',
      {
        before: web({ configs: [{ source: `app-${old.slice(0, 12)}`, target: '/app' }] }),
        now: web({ configs: [{ source: `app-${next.slice(0, 12)}`, target: '/app' }] }),
        contentBefore: content('config app', old),
        content: content('config app', next),
      },
      ['web recreate: content of config app changed'],
    ],
    [
      'names the secret that changed',
      {
        before: web({ secrets: [{ source: `token-${old.slice(0, 12)}`, target: '/run/secrets/token' }] }),
        now: web({ secrets: [{ source: `token-${next.slice(0, 12)}`, target: '/run/secrets/token' }] }),
        contentBefore: content('secret token', old),
        content: content('secret token', next),
      },
      ['web recreate: content of secret token changed'],
    ],
    [
      'does not name a file of another service',
      {
        before: { web: { volumes: [bind(old)] }, api: { volumes: [] } },
        now: {
          web: { volumes: [bind(next)] },
          api: { volumes: [{ type: 'volume', source: 'cache', target: '/cache' }] },
        },
        contentBefore: content('./web.conf', old),
        content: content('./web.conf', next),
      },
      ['api recreate: volumes changed', 'web recreate: content of ./web.conf changed'],
    ],
    [
      'calls a mount that is new a change of volumes',
      { before: web(), now: web({ volumes: [bind(next)] }), content: content('./web.conf', next) },
      ['web recreate: volumes changed'],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })
})

describe('makePlan() about networks and volumes', () => {
  const on = (...networks: string[]): Services => ({
    api: { image: 'api', networks: Object.fromEntries(networks.map((name) => [name, null])) },
    web: { image: 'web' },
  })

  const back = (label: string): Parts => ({ networks: { back: { labels: { label } } } })

  test.each<[string, Situation, string[]]>([
    [
      'recreates a changed network, with the services on it and those that use them',
      {
        before: { ...on('back'), side: { image: 'side', network_mode: 'service:api' } },
        now: { ...on('back'), side: { image: 'side', network_mode: 'service:api' } },
        beforeParts: back('one'),
        nowParts: back('two'),
      },
      [
        'api recreate: its network shop_back changed',
        'side recreate: it uses the network of api, which is recreated',
        'web unchanged: nothing changed',
        'network shop_back replace',
      ],
    ],
    [
      'removes a network that nothing uses any more',
      { before: on('back', 'default'), now: on('default'), beforeParts: back('one'), nowParts: {} },
      ['api recreate: networks changed', 'web unchanged: nothing changed', 'network shop_back remove'],
    ],
    [
      'recreates what leaves one of two networks',
      { before: on('back', 'default'), now: on('default'), nowParts: back('one') },
      ['api recreate: networks changed', 'web unchanged: nothing changed'],
    ],
    [
      'has nothing to do with external networks',
      {
        before: on('back'),
        now: on('back'),
        beforeParts: { networks: { back: { name: 'company', external: true } } },
        nowParts: { networks: { back: { name: 'company', external: true, labels: { a: 'b' } } } },
      },
      ['api unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'sees past the keys to the names that the engine knows',
      {
        before: on('default'),
        now: on('default'),
        beforeParts: { networks: { one: { name: 'shop_net' } } },
        nowParts: { networks: { two: { name: 'shop_net' } } },
      },
      ['api unchanged: nothing changed', 'web unchanged: nothing changed'],
    ],
    [
      'hands a published port over',
      {
        before: { old: { image: 'a', ports: [{ target: 80, published: '8080' }] } },
        now: { new: { image: 'a', ports: [{ target: 80, published: '8080' }] } },
      },
      [
        'new create: new',
        'old remove: no longer in the Compose file; its volumes stay',
        'port 8080/tcp from old to new',
      ],
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toEqual(expected)
  })

  const volume = (definition: Resource): Parts => ({ volumes: { data: definition } })

  test('refuses a changed definition of a volume, and says how to go about it', () => {
    const [beforeParts, nowParts] = [volume({}), volume({ driver_opts: { type: 'nfs' } })]
    expect(refusal({ before: web(), now: web(), beforeParts, nowParts })).toEqual([
      'config',
      'Cannot change the definition of volume shop_data: that would delete its data',
      'Give the volume another name in the Compose file and copy the data into it: docker run --rm -v shop_data:/from -v NEW_NAME:/to busybox cp -a /from/. /to/',
    ])
  })

  test.each<[string, Parts, Parts]>([
    ['that is new', {}, volume({})],
    ['that is not used any more', volume({}), {}],
    [
      'that is external',
      volume({ name: 'd', external: true }),
      volume({ name: 'd', external: true, labels: { a: '1' } }),
    ],
  ])('accepts a volume %s', (_, beforeParts, nowParts) => {
    expect(refusal({ before: web(), now: web(), beforeParts, nowParts })).toEqual(['web unchanged: nothing changed'])
  })

  test('refuses to recreate a network with a held service on it', () => {
    const settings = { api: { rollout: { strategy: 'hold' as const } } }
    const situation = { before: on('back'), now: on('back'), settings }
    expect(refusal({ ...situation, beforeParts: back('one'), nowParts: back('two') })).toEqual([
      'config',
      'Cannot change network shop_back: api is on it, and is held',
      'Remove `strategy: hold` from api for one deploy, or leave the network as it is.',
    ])
  })
})
