import { describe, expect, test } from 'bun:test'
import { formatPlan } from '../../../lib/plan/format.ts'
import type { Plan, ServicePlan } from '../../../lib/plan/input.ts'
import { isNothingToDo, NO_STAGES } from '../../../lib/plan/stages.ts'
import { expectGolden } from '../../support/golden.ts'

const line = (service: string, action: ServicePlan['action'], why: string, ifImageChanges = false): ServicePlan => ({
  service,
  action,
  why,
  replicas: 1,
  ifImageChanges,
})

const PLAN: Plan = {
  environment: 'local',
  project: 'shop',
  version: 'v2',
  serving: { id: 'rel-20261122-080225643', version: 'v1' },
  phases: {
    build: 'build web',
    push: 'nothing: the engine that builds the images runs them',
    migrate_pre: 'nothing: no databases are configured',
    rollout: 'as follows',
    migrate_post: 'nothing: no databases are configured',
    finalize: 'check that what runs is what was released, and prune',
  },
  services: [
    line('db', 'hold', 'held; waiting: image changed'),
    line('migrate', 'job', 'runs again: environment changed (DATABASE_URL)'),
    line('web', 'rolling', 'if the built or pulled image differs', true),
    {
      ...line('mail', 'recreate', 'command changed'),
      gap: {
        because: 'it writes to volume spool',
        avoid: 'set `strategy: rolling` if two may write there at once',
        ms: 2140,
        inTurn: false,
      },
    },
    line('worker', 'create', 'new'),
    line('old', 'remove', 'no longer in the Compose file; its volumes stay'),
  ],
  networks: [{ network: 'shop_back', action: 'replace' }],
  routes: [
    { service: 'web', action: 'change', route: 'https://shop.example.com, https://www.example.com' },
    { service: 'mail', action: 'keep', route: 'https://mail.example.com' },
  ],
  proxy: {
    action: 'upgrade',
    why: 'from caddy:2.10 to caddy:2.11: for about a second no route of any project on this host answers',
  },
  handovers: [{ port: '80/tcp', from: 'old', to: 'worker' }],
  stages: {
    prepare: {
      waves: [
        { members: [{ service: 'migrate', how: 'up', replicas: 1 }], awaited: ['migrate'] },
        { members: [{ service: 'web', how: 'alongside', replicas: 2 }], awaited: [] },
      ],
      prove: [],
    },
    switch: {
      networks: ['shop_back'],
      disconnect: [],
      stop: ['old'],
      waves: [
        {
          members: [
            { service: 'mail', how: 'up', replicas: 1 },
            { service: 'worker', how: 'up', replicas: 1 },
          ],
          awaited: [],
        },
      ],
      proxy: true,
      slots: { web: 'b' },
    },
    retire: { old: ['web'], removed: ['old'], networks: [], unroute: [] },
  },
  notes: ['./uploads is mounted in place and is not part of the release: a service writes to it'],
}

const NOTHING: Plan = {
  ...PLAN,
  phases: { ...PLAN.phases, build: 'nothing: no service has a build section' },
  services: [line('db', 'unchanged', 'nothing changed')],
  networks: [],
  routes: [],
  proxy: null,
  handovers: [],
  stages: NO_STAGES,
  notes: [],
}

describe('stagecraft plan', () => {
  test('prints what each phase will do, each service with its reason, and what to know', () => {
    expectGolden('commands/plan.md', 'plan', formatPlan(PLAN).join('\n'))
    expect(isNothingToDo(PLAN)).toBe(false)
  })

  test('says that there is nothing to do', () => {
    expectGolden('commands/plan.md', 'nothing', formatPlan(NOTHING).join('\n'))
    expect(isNothingToDo(NOTHING)).toBe(true)
  })
})
