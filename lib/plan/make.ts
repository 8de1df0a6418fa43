import { contentNotes, dataNotes } from '../compose/copied-paths.ts'
import type { Plan, PlanInput, ServicePlan } from './input.ts'
import { planNetworks, refuseChangedVolumes, replacedIn } from './networks.ts'
import { planHandovers } from './ports.ts'
import { releaseId } from './release-id.ts'
import { callerNotes, planProxy, planRoutes } from './routes/change.ts'
import { settleKept } from './services/adoption.ts'
import { planService, whyLoose } from './services/decide.ts'
import { endingNotes } from './services/ending.ts'
import { preStartNotes } from './services/hooks.ts'
import { isLeftOut, leftOutNotes, repeatJob } from './services/jobs.ts'
import { rollIfPossible } from './services/rolling.ts'
import { inheritedVolumes } from './services/volumes.ts'
import { planStages } from './stages.ts'

/**
 * Decides what each phase will do. Pure.
 * @throws config (3) for routes that cannot exist, containers that cannot be taken over, and changed definitions of a volume,
 * or of a network with a held service
 */
export function makePlan(input: PlanInput): Plan {
  refuseChangedVolumes(input)
  const networks = planNetworks(input)
  const replaced = replacedIn(networks)
  const plans = new Map<string, ServicePlan>()
  for (const service of input.topology.order) {
    const own = planService(service, input, replaced)
    plans.set(service, rollIfPossible(follow(own, input, plans), input, replaced))
  }
  const services = settleKept(input, [...plans.values(), ...planRemovals(input)])
  const routes = planRoutes(input, services)
  const plan = {
    ...(input.host === undefined ? {} : { host: input.host }),
    environment: input.environment.name,
    project: input.target.model.name,
    version: input.version,
    serving: input.serving ? { id: releaseId(input.serving.bundle.id), version: input.serving.bundle.version } : null,
    phases: input.phases,
    ...(input.migrations && input.migrations.length > 0 ? { migrations: input.migrations } : {}),
    ...(input.hooks && input.hooks.length > 0 ? { hooks: input.hooks } : {}),
    services,
    networks,
    handovers: planHandovers(input, services),
    routes,
    proxy: planProxy(input, routes),
    notes: [
      ...notesOf(input),
      ...inheritedVolumes(input, services),
      ...endingNotes(input, services),
      ...leftOutNotes(input, services),
      ...preStartNotes(input, services),
      ...callerNotes(input, services),
    ],
  }
  return { ...plan, stages: planStages(input, plan) }
}

/** A service that uses something of a recreated service is recreated after it. */
function follow(own: ServicePlan, input: PlanInput, plans: ReadonlyMap<string, ServicePlan>): ServicePlan {
  const { topology } = input
  if (own.action !== 'unchanged' && own.action !== 'scale' && !own.ifImageChanges) return own
  if (topology.jobs.includes(own.service)) return isLeftOut(own.service, input) ? own : repeatJob(own, input, plans)
  const needs = (topology.needs[own.service] ?? []).filter(({ follows, service }) => {
    const plan = plans.get(service)
    return follows && ['recreate', 'rolling', 'create'].includes(plan?.action ?? '')
  })
  const certain = needs.find(({ service }) => !plans.get(service)?.ifImageChanges)
  const cause = certain ?? (own.ifImageChanges ? undefined : needs[0])
  if (cause === undefined) return own
  const why = `it ${cause.why}, which is recreated`
  return { ...own, action: 'recreate', why, ifImageChanges: certain === undefined }
}

function planRemovals(input: PlanInput): ServicePlan[] {
  const left = input.serving?.bundle.retiring?.filter((name) =>
    input.containers.some(({ service }) => service === name),
  )
  const before = new Set([...Object.keys(input.serving?.model.services ?? {}), ...(left ?? [])])
  const gone = [...before].filter((name) => !input.target.model.services[name])
  return gone.toSorted().map((service) => ({
    service,
    action: 'remove',
    why: `no longer ${input.host === undefined ? 'in the Compose file' : 'on this host'}; its volumes stay`,
    replicas: 0,
    ifImageChanges: false,
  }))
}

function notesOf(input: PlanInput): string[] {
  const known = new Set([
    ...Object.keys(input.target.model.services),
    ...Object.keys(input.serving?.model.services ?? {}),
    ...(input.serving?.bundle.retiring ?? []),
  ])
  const strangers = input.containers.filter(({ service }) => !known.has(service))
  return [
    ...dataNotes(input.target.data),
    ...contentNotes(input.target.content),
    ...strangers.map(
      ({ name }) => `container ${name} belongs to this Compose project but not to this release: it is left alone`,
    ),
  ]
}

/** @returns whether a held service has changes waiting, or is not running */
export function hasLoose({ services, networks }: Plan, input: PlanInput): boolean {
  const replaced = replacedIn(networks)
  return services.some(({ service, action }) => action === 'hold' && whyLoose(service, input, replaced) !== undefined)
}
