import type { ComposeModel } from '../compose/model.ts'
import { startHookOf } from '../compose/released/hooks.ts'
import type { Topology } from '../compose/topology.ts'
import type { DatabaseConfig } from '../config/databases.ts'
import type { Plan, PlanInput, ServicePlan, Stages, Step } from './input.ts'
import { networksOf, replacedIn } from './networks.ts'
import { plannedSlots, routedBefore } from './routes/change.ts'
import { toWaves, type Wave } from './waves.ts'

/** Of a plan with nothing to do. */
export const NO_STAGES: Stages = {
  prepare: { waves: [], prove: [] },
  switch: { networks: [], disconnect: [], stop: [], waves: [], proxy: false, slots: {} },
  retire: { old: [], removed: [], networks: [], unroute: [] },
}

/** @param late services that wait for the switch because of another host */
export function planStages(input: PlanInput, plan: Omit<Plan, 'stages'>, late: readonly string[] = []): Stages {
  if (isNothingToDo(plan)) return NO_STAGES
  const { services, routes } = plan
  const waves = (members: readonly ServicePlan[]) =>
    toWaves(
      members.map((member) => stepOf(member, input)),
      input.topology.needs,
    )
  const replaced = replacedIn(plan.networks)
  const waiting = waitForSwitch(plan, input, replaced, late)
  const removed = services.flatMap(({ service, action }) => (action === 'remove' ? [service] : []))
  const changed = (wanted: readonly string[]) =>
    routes.flatMap(({ service, action }) => (wanted.includes(action) ? [service] : []))
  const live = routedBefore(input).slots
  const early = neededFirst(input)
  const preparing = services.filter((member) => isNew(member) && !waiting.has(member.service))
  const needed = preparing.filter(({ service }) => early.has(service))
  const slots = Object.entries(plannedSlots(input, services)).filter(([service, slot]) => live[service] !== slot)
  const stays = new Set(services.flatMap(({ service, action }) => (STAYS.includes(action) ? [service] : [])))
  return {
    ...(needed.length > 0 ? { migrate: { waves: waves(needed).map(awaitAll) } } : {}),
    prepare: {
      waves: waves(preparing.filter(({ service }) => !early.has(service))),
      prove: changed(['add', 'change']).filter((service) => stays.has(service)),
    },
    switch: {
      networks: [...replaced],
      disconnect: removed.filter((service) => isOn(service, input.serving?.model, replaced)),
      stop: [...new Set(plan.handovers.map(({ from }) => from))],
      waves: waves(
        services.filter(({ service, action }) => action === 'recreate' || action === 'scale' || waiting.has(service)),
      ),
      proxy: plan.proxy !== null,
      slots: plan.proxy === null ? {} : Object.fromEntries(slots),
    },
    retire: {
      old: services.flatMap((member) => (leavesOld(member, input) ? [member.service] : [])),
      removed,
      networks: plan.networks.flatMap(({ network, action }) => (action === 'remove' ? [network] : [])),
      unroute: changed(['remove']),
    },
  }
}

/** A migration begins when all that it needs is ready, also what nothing else waits for. */
function awaitAll(wave: Wave<Step>): Wave<Step> {
  return { ...wave, awaited: wave.members.map(({ service }) => service) }
}

/** What a rollout does not touch. Migrations have phases of their own. */
const IDLE: readonly string[] = ['unchanged', 'hold', 'migrate']

/** @returns whether a deploy will apply files to a database, if that is known */
export function hasPending({ migrations = [] }: Pick<Plan, 'migrations'>): boolean {
  return migrations.some(({ strategy, pending }) => strategy !== 'manual' && pending !== null && pending.length > 0)
}

/** @returns services without a container that must be ready before databases are migrated, on whatever host */
function neededFirst({ needed = [], containers }: PlanInput): ReadonlySet<string> {
  return new Set(needed.filter((name) => containers.every(({ service }) => service !== name)))
}

/** @returns the services that must be ready before a database can be migrated, and those that they need, by name */
export function neededBy({ via, migrations }: DatabaseConfig, { needs }: Pick<Topology, 'needs'>): string[] {
  const found = new Set<string>()
  const visit = (service: string) => {
    if (found.has(service)) return
    found.add(service)
    for (const need of needs[service] ?? []) visit(need.service)
  }
  if (via !== undefined) visit(via)
  if (migrations.engine !== 'raw') for (const need of needs[migrations.service] ?? []) visit(need.service)
  return [...found].toSorted()
}

/** @returns whether a plan leaves everything as it is. */
export function isNothingToDo(plan: Pick<Plan, 'services' | 'routes' | 'networks' | 'proxy'>): boolean {
  const done = plan.services.every(({ action, ifImageChanges }) => !ifImageChanges && IDLE.includes(action))
  const routed = plan.routes.every(({ action }) => action === 'keep')
  return done && routed && plan.networks.length === 0 && (plan.proxy?.action ?? 'keep') === 'keep'
}

/**
 * A service that waits for a job on another host which runs in the switch runs in the switch as well.
 * @param hosts what is planned on each host @returns the same, with the plans of all hosts together
 */
export function awaitLateJobs<T extends { readonly plan: Plan; readonly input: PlanInput }>(hosts: readonly T[]): T[] {
  const late = new Set(hosts.flatMap(({ plan }) => servicesOf(plan.stages.switch.waves)))
  return hosts.map((planned) => {
    const { plan, input } = planned
    const waiting = Object.entries(input.awaits ?? {}).flatMap(([service, jobs]) =>
      jobs.some((job) => late.has(job)) ? [service] : [],
    )
    return waiting.length === 0 ? planned : { ...planned, plan: { ...plan, stages: planStages(input, plan, waiting) } }
  })
}

export function servicesOf(waves: readonly Wave<Step>[]): string[] {
  return waves.flatMap(({ members }) => members.map(({ service }) => service))
}

const STAYS: readonly string[] = ['unchanged', 'hold', 'scale']

/** What is called by its name through the proxy gets its containers alongside, and joins the slot when they are ready. */
function stepOf(plan: ServicePlan, { environment, containers, target }: PlanInput): Step {
  const { service, action, replicas } = plan
  if (isAside(plan)) return { service, how: 'aside', replicas }
  if (plan.gap?.inTurn) return { service, how: 'in-turn', replicas }
  // Only Compose runs hooks, so it starts such a service itself, under its own name.
  const isHooked = startHookOf(target.model.services[service]) !== undefined
  const internal = environment.services[service]?.expose?.internal === true && !isHooked
  if (action === 'rolling' || (action === 'create' && internal)) return { service, how: 'alongside', replicas }
  if (action === 'schedule') return { service, how: 'scheduled', replicas }
  if (action !== 'scale') return { service, how: 'up', replicas }
  const there = containers.filter((container) => container.service === service).length
  if (internal && replicas > there) return { service, how: 'alongside', replicas: replicas - there }
  return { service, how: 'scale', replicas }
}

/** @returns whether the old containers of a service are stopped, and kept until the release is live. */
function isAside({ action, aside }: ServicePlan): boolean {
  return action === 'recreate' && aside === true
}

/** The old container of a scheduled job may be at work: it is removed later. Of a service that stayed up until now, it must go. */
function leavesOld(plan: ServicePlan, { serving, containers }: PlanInput): boolean {
  const { service, action } = plan
  if (action !== 'schedule') return action === 'rolling' || isAside(plan)
  const wasUp = serving?.bundle.schedules?.[service] === undefined
  return wasUp && containers.some((container) => container.service === service)
}

function isNew({ action }: ServicePlan): boolean {
  return ['create', 'job', 'rolling', 'schedule'].includes(action)
}

/**
 * @returns the new services that must wait for the switch: those that take a port from another service, are on a network
 * that is replaced, need such a service, or share the namespace of a recreated one (they would stay in the old namespace).
 */
function waitForSwitch(
  { services, handovers }: Pick<Plan, 'services' | 'handovers'>,
  { topology, target }: PlanInput,
  replaced: ReadonlySet<string>,
  also: readonly string[],
): Set<string> {
  const late = new Set([...also, ...handovers.map(({ to }) => to)])
  const recreated = new Set(services.flatMap((plan) => (plan.action === 'recreate' ? [plan.service] : [])))
  for (const { service } of services.filter(isNew)) {
    const needs = topology.needs[service] ?? []
    const needsLate = needs.some((need) => late.has(need.service) || (need.follows && recreated.has(need.service)))
    if (needsLate || isOn(service, target.model, replaced)) late.add(service)
  }
  return new Set(services.flatMap((plan) => (isNew(plan) && late.has(plan.service) ? [plan.service] : [])))
}

function isOn(service: string, model: ComposeModel | undefined, networks: ReadonlySet<string>): boolean {
  return model !== undefined && networksOf(model.services[service] ?? {}, model).some((name) => networks.has(name))
}
