import * as v from 'valibot'
import { HOOK_NAMES } from '../config/hooks.ts'
import { described, text } from '../util/schema.ts'
import { PHASES } from './six-phases.ts'

// The plan as a bundle keeps it and `--json` prints it. `input.ts` has the types that follow from it.

const texts = v.array(v.string())
const yes = v.literal(true)

const gap = v.strictObject({
  because: v.string(),
  avoid: v.exactOptional(text('what would make it roll')),
  ms: v.exactOptional(
    described(v.number(), 'milliseconds from stopped to ready, the last time; absent: not measured yet'),
  ),
  inTurn: described(v.boolean(), 'replicas are replaced one at a time: the others keep running'),
})

export const servicePlan = v.strictObject({
  service: v.string(),
  action: v.picklist([
    ...([
      'unchanged',
      'create',
      'rolling',
      'recreate',
      'scale',
      'job',
      'schedule',
      'migrate',
      'hold',
      'remove',
    ] as const),
  ]),
  why: text('one line, without env values'),
  replicas: described(v.number(), 'how many containers the service will have'),
  ifImageChanges: described(v.boolean(), 'true: only if its image changes, which is not known yet'),
  aside: v.exactOptional(
    described(yes, 'recreate: no release made its containers: they are kept, stopped, until the release is live'),
  ),
  stale: v.exactOptional(
    described(yes, "a job: what ran last is another release's, because a rollback left this one out"),
  ),
  gap: v.exactOptional(described(gap, 'recreate: it has downtime, and why it does not roll')),
})

export const routePlan = v.strictObject({
  service: v.string(),
  action: v.picklist(['add', 'change', 'keep', 'remove']),
  route: text('its addresses, for people'),
})

export const proxyPlan = v.strictObject({
  action: described(v.picklist(['start', 'upgrade', 'mend', 'keep']), '`mend`: its routes are loaded again'),
  why: v.string(),
})

export const networkPlan = v.strictObject({
  network: text("the engine's name for it"),
  action: v.picklist(['replace', 'remove']),
})

export const step = v.strictObject({
  service: v.string(),
  how: v.picklist(['up', 'scale', 'alongside', 'aside', 'in-turn', 'scheduled']),
  replicas: described(
    v.number(),
    'how many the service will have, or with `alongside` and `aside`, how many are added',
  ),
})

const waves = v.array(
  v.strictObject({
    members: v.array(step),
    awaited: described(texts, 'those of them that must be ready before the next wave starts'),
  }),
)

export const stages = v.strictObject({
  migrate: v.exactOptional(
    described(
      v.strictObject({ waves }),
      'creates what migrations before the rollout need and what has no container yet; absent: nothing',
    ),
  ),
  prepare: described(
    v.strictObject({
      waves,
      prove: described(texts, 'services that stay, and must answer the proxy: their route is new or changed'),
    }),
    'starts what does not disturb the live release',
  ),
  switch: v.strictObject({
    networks: described(texts, 'networks that are removed, for Compose to create again'),
    disconnect: described(texts, 'removed services that lose such a network before they are removed'),
    stop: described(texts, 'services that are stopped first: another one takes their port'),
    waves,
    proxy: described(v.boolean(), 'the proxy is made to have the routes and slots of the release'),
    slots: described(
      v.record(v.string(), v.picklist(['a', 'b'])),
      'services whose requests go to new containers, with the slot of these',
    ),
  }),
  retire: described(
    v.strictObject({
      old: described(texts, 'services whose old containers are drained and removed'),
      removed: described(texts, 'services that are removed'),
      networks: texts,
      unroute: described(texts, 'services that are disconnected from the proxy'),
    }),
    'removes what the live release does not need',
  ),
})

export const migrationPlan = v.strictObject({
  database: v.string(),
  engine: v.picklist(['job', 'command', 'raw']),
  strategy: v.picklist(['pre_deploy', 'post_deploy', 'manual']),
  work: text('what runs, for people'),
  pending: described(
    v.nullable(texts),
    'files in order; null: not known here. The tool of a job or command knows what is pending',
  ),
})

export const hookPlan = v.strictObject({
  hook: v.picklist(HOOK_NAMES),
  command: text('its command, for people'),
})

export const handover = v.strictObject({ port: text('`8080/tcp`'), from: v.string(), to: v.string() })

export const plan = v.strictObject({
  host: v.exactOptional(text('absent: the only host')),
  environment: v.string(),
  project: v.string(),
  version: v.string(),
  serving: described(
    v.nullable(v.strictObject({ id: v.string(), version: v.string() })),
    'the live release; null: none is live',
  ),
  phases: described(v.strictObject(v.entriesFromList(PHASES, v.string())), 'one line a phase'),
  migrations: v.exactOptional(
    described(v.array(migrationPlan), 'in the order of their names; absent: none is migrated from this host'),
  ),
  hooks: v.exactOptional(
    described(
      v.array(hookPlan),
      "programs that run around its phases, in order; absent: none. Of several hosts, the first one's plan has them",
    ),
  ),
  services: described(v.array(servicePlan), 'in the order in which they are acted on; removed services are last'),
  networks: v.array(networkPlan),
  handovers: v.array(handover),
  routes: v.array(routePlan),
  proxy: described(v.nullable(proxyPlan), 'null: there are no routes'),
  stages: described(stages, 'what the rollout does, in order'),
  notes: described(texts, 'what the user should know, and Stagecraft does nothing about'),
})
