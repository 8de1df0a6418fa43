import { describe, expect, test } from 'bun:test'
import { isNothingToDo, type Plan, type ServicePlan } from '../../lib/plan.ts'
import { formatPlan } from '../../lib/plan-format.ts'
import { expectGolden } from '../support/golden.ts'

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
    line('db', 'hold', 'held; waiting: its image changed'),
    line('migrate', 'job', 'runs again: environment changed (DATABASE_URL)'),
    line('web', 'rolling', 'if the image that is built or pulled differs', true),
    {
      ...line('mail', 'recreate', 'command changed'),
      gap: {
        because: 'it writes to volume spool',
        avoid: 'say `strategy: rolling` if two may write there at once',
        ms: 2140,
        inTurn: false,
      },
    },
    line('worker', 'create', 'new'),
    line('old', 'remove', 'not in the Compose file any more; its volumes stay'),
  ],
  networks: [{ network: 'shop_back', action: 'replace' }],
  routes: [
    { service: 'web', action: 'change', route: 'https://shop.example.com, https://www.example.com' },
    { service: 'mail', action: 'keep', route: 'https://mail.example.com' },
  ],
  proxy: {
    action: 'upgrade',
    why: 'from caddy:2.10 to caddy:2.11: for a second or so no route of this host answers, of any project',
  },
  handovers: [{ port: '80/tcp', from: 'old', to: 'worker' }],
  notes: ['./uploads is mounted from where it is, and is not part of the release: a service writes to it'],
}

const NOTHING: Plan = {
  ...PLAN,
  phases: { ...PLAN.phases, build: 'nothing: no service has a build section' },
  services: [line('db', 'unchanged', 'nothing changed')],
  networks: [],
  routes: [],
  proxy: null,
  handovers: [],
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
