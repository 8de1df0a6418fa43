import { formatDuration, pad, plainLine, table } from '../util/format.ts'
import type { MigrationPlan, Plan, ServicePlan, Step } from './input.ts'
import type { Slot, Slots } from './routes/table.ts'
import { PHASES, type PhaseName } from './six-phases.ts'
import { isNothingToDo } from './stages.ts'
import type { Wave } from './waves.ts'

/**
 * @param isLoose a held service is not as it should be (make.ts, hasLoose)
 * @returns a plan as lines for people: what each phase will do, each service with its reason, and the notes
 */
export function formatPlan(plan: Plan, isLoose = false): string[] {
  const width = Math.max(...PHASES.map((phase) => phase.length))
  return [
    ...(plan.host === undefined ? [] : [`On ${plan.host}:`]),
    `Plan for ${plan.environment} (Compose project ${plan.project}): ${plan.version}; ${liveText(plan)}`,
    '',
    ...PHASES.flatMap((phase) => [
      ...hookLines(plan, `before_${phase}`),
      `${pad(phase, width)}  ${workOf(phase, plan)}`.trimEnd(),
      ...(phase === 'rollout' ? rolloutLines(plan) : []),
      ...(phase === 'migrate_pre' ? databaseLines(plan, 'pre_deploy') : []),
      ...(phase === 'migrate_post' ? databaseLines(plan, 'post_deploy') : []),
      ...hookLines(plan, `after_${phase}`),
    ]),
    ...['on_failure', 'on_interrupt'].flatMap((hook) => hookLines(plan, hook)),
    ...(plan.notes.length > 0 ? ['', ...plan.notes.map((note) => `note: ${note}`)] : []),
    '',
    conclusion(plan, isLoose),
    ...(plan.host === undefined ? [] : ['']),
  ]
}

function hookLines({ hooks = [] }: Plan, name: string): string[] {
  return hooks.flatMap(({ hook, command }) => (hook === name ? [`  ${hook}  ${plainLine(command)}`] : []))
}

/** A host may create what migrations on another host need, and migrate nothing itself. */
function workOf(phase: PhaseName, { phases, stages }: Plan): string {
  return phase === 'migrate_pre' && stages.migrate !== undefined ? 'as follows' : phases[phase]
}

/** @returns what is created first, and what is done to each database. */
function databaseLines({ migrations = [], services, stages }: Plan, strategy: MigrationPlan['strategy']): string[] {
  const own = migrations.filter((each) => each.strategy === strategy)
  const waves = strategy === 'pre_deploy' ? (stages.migrate?.waves ?? []) : []
  const first = waves.map((wave) => `  ${waveText(wave, services, {})}`)
  return [...first, ...table(own.map(({ database, work }) => [database, plainLine(work)])).map((line) => `  ${line}`)]
}

/** @returns the lines about networks and services. */
function rolloutLines(plan: Plan): string[] {
  const rows = [
    ...plan.networks.map(({ network, action }) => [
      network,
      action,
      action === 'replace' ? 'network: its definition changed; its services have downtime' : 'network: no longer used',
    ]),
    ...plan.services.map((service) => [
      service.service,
      actionWord(service),
      [service.why, ...downtimeText(service)].join('; '),
    ]),
    ...plan.routes.flatMap(({ service, action, route }) =>
      action === 'keep' ? [] : [[service, ROUTE_WORDS[action], route]],
    ),
    ...(plan.proxy === null || plan.proxy.action === 'keep'
      ? []
      : [['proxy', PROXY_WORDS[plan.proxy.action], plan.proxy.why]]),
  ]
  const ports = plan.handovers.map(({ port, from, to }) => `  port ${port} moves from ${from} to ${to}, with downtime`)
  const stages = stageLines(plan)
  return [...table(rows).map((line) => `  ${line}`), ...ports, ...(stages.length > 0 ? ['', ...stages] : [])]
}

/** @returns what `migrate run` would do, for people: files a line each */
export function migrationLines(migrations: readonly MigrationPlan[]): string[] {
  return migrations.flatMap(({ database, engine, strategy, work, pending }) => {
    const what = pending === null || pending.length === 0 ? work : `${pending.length} pending`
    const files = (pending ?? []).map((file) => `  ${plainLine(file)}`)
    return [`${database} (${engine}, ${strategy}): ${plainLine(what)}`, ...files]
  })
}

/** @returns what the rollout does, in order: an operation a line, or several that begin at once. */
export function stageLines({ services, routes, proxy, stages }: Plan): string[] {
  const { prepare, switch: change, retire } = stages
  const asPlan = (wave: Wave<Step>) => waveText(wave, services, change.slots)
  const changed = routes.filter(({ action }) => action !== 'keep').map(({ service }) => service)
  const moved = Object.entries(change.slots).map(([service, slot]) => `${service} → slot ${slot}`)
  const operations = {
    prepare: [
      ...(proxy && proxy.action !== 'keep' ? [`${PROXY_WORDS[proxy.action]} the proxy`] : []),
      ...prepare.waves.map(asPlan),
      ...listed('ask', prepare.prove, 'through the proxy'),
    ],
    switch: [
      ...listed('disconnect', change.disconnect),
      ...listed('remove network', change.networks),
      ...listed('stop', change.stop),
      ...change.waves.map(asPlan),
      ...listed('change the routes of', changed),
      ...listed('requests for', moved),
    ],
    retire: [
      ...listed('drain and remove the old containers of', retire.old),
      ...listed('remove', retire.removed),
      ...listed('remove network', retire.networks),
      ...listed('disconnect', retire.unroute, 'from the proxy'),
    ],
  }
  const rows = Object.entries(operations).flatMap(([stage, lines]) =>
    lines.map((line, at) => [at === 0 ? stage : '', line]),
  )
  return table(rows).map((line) => `  ${line}`)
}

function listed(verb: string, names: readonly string[], more = ''): string[] {
  return names.length === 0 ? [] : [`${verb} ${names.join(', ')} ${more}`.trimEnd()]
}

function waveText({ members, awaited }: Wave<Step>, services: Plan['services'], slots: Slots): string {
  const steps = members.map((step) => stepText(step, services, slots[step.service])).join(', ')
  return awaited.length === 0 ? steps : `${steps}; wait for ${awaited.join(', ')}`
}

function stepText({ service, how, replicas }: Step, services: Plan['services'], slot: Slot | undefined): string {
  const own = services.find((each) => each.service === service)
  const name = `${service}${own?.ifImageChanges ? '?' : ''}`
  const count = replicas === 1 ? '' : ` ×${replicas}`
  switch (how) {
    case 'alongside':
      return `start ${name}${count} alongside${slot === undefined ? '' : ` in slot ${slot}`}`
    case 'aside':
      return `stop ${name}, and start it${count} alongside`
    case 'scheduled':
      return `create ${name} for its schedule`
    case 'in-turn':
      return `replace ${name} one at a time`
    case 'scale':
      return `scale ${name} to ${replicas}`
    default:
      return `${own?.action === 'job' ? 'run' : own?.action === 'recreate' ? 'recreate' : 'create'} ${name}${count}`
  }
}

const PROXY_WORDS = { start: 'start', upgrade: 'upgrade', mend: 'repair' } as const
const ROUTE_WORDS = { add: 'route', change: 'reroute', remove: 'unroute' } as const

/** @returns how long a service has downtime, why, and how to avoid it. */
function downtimeText({ gap }: ServicePlan): string[] {
  if (gap === undefined) return []
  if (gap.inTurn) return [`one at a time, because ${gap.because}`]
  const span = gap.ms === undefined ? 'until it is ready' : `of about ${formatDuration(gap.ms)} (as last time)`
  const avoid = gap.avoid ? [`to avoid it: ${gap.avoid}`] : []
  return [`downtime ${span}, because ${gap.because}`, ...avoid]
}

function liveText({ serving }: Plan): string {
  return serving ? `${serving.version} (${serving.id}) is live` : 'no release is live yet'
}

function actionWord({ action, ifImageChanges }: ServicePlan): string {
  return ifImageChanges ? `${action}?` : action
}

/** @returns whether a deploy changes a database, or may: the tool of a job or command knows whether something is pending */
function mayMigrate({ strategy, pending }: MigrationPlan): boolean {
  return strategy !== 'manual' && pending?.length !== 0
}

function conclusion(plan: Plan, isLoose: boolean): string {
  if (isNothingToDo(plan) && plan.migrations?.some(mayMigrate))
    return 'No service is to change; databases are migrated.'
  if (isNothingToDo(plan)) return isLoose ? 'Nothing to do.' : 'Nothing to do: everything runs as it should.'
  const open = plan.services.filter(({ ifImageChanges }) => ifImageChanges).length
  const changed = plan.services.filter(
    ({ action, ifImageChanges }) => !ifImageChanges && !['unchanged', 'hold', 'migrate'].includes(action),
  )
  const words = [`${changed.length} to change`, ...(open > 0 ? [`${open} to change if the image differs`] : [])]
  const gap = plan.services.some(({ action }) => action === 'recreate')
  const count = plan.services.length === 1 ? '1 service' : `${plan.services.length} services`
  return `${count}: ${words.join(', ')}.${gap ? ' Recreated services have downtime.' : ''}`
}

/** @param all of one release, by host @returns what it did, counted over all hosts */
export function summarizePlans(all: readonly { readonly plan: Plan; readonly isLoose: boolean }[]): string {
  const plans = all.map(({ plan }) => plan)
  const services = plans.flatMap((plan) => plan.services)
  const where = plans.length === 1 ? '' : ` on ${plans.length} hosts`
  if (plans.every(isNothingToDo))
    return (
      (all.some(({ isLoose }) => isLoose) ? 'nothing to do' : 'nothing to do: everything runs as it should') + where
    )
  const counts = new Map<string, number>()
  for (const { action } of services) counts.set(action, (counts.get(action) ?? 0) + 1)
  const words = {
    create: 'created',
    rolling: 'rolled',
    recreate: 'recreated',
    scale: 'scaled',
    job: 'run',
    schedule: 'scheduled',
    remove: 'removed',
    hold: 'held',
    unchanged: 'unchanged',
  }
  const said = Object.entries(words).flatMap(([action, word]) =>
    counts.get(action) ? [`${counts.get(action)} ${word}`] : [],
  )
  return said.join(', ') + where
}
