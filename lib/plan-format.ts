import { formatDuration, pad, table } from './format.ts'
import { hasLoose, isNothingToDo, type Plan, type ServicePlan } from './plan.ts'
import { PHASES } from './state-format.ts'

/** @returns a plan as lines for people: what each phase will do, each service with its reason, and what to know. */
export function formatPlan(plan: Plan): string[] {
  const width = Math.max(...PHASES.map((phase) => phase.length))
  return [
    ...(plan.host === undefined ? [] : [`On ${plan.host}:`]),
    `Plan for ${plan.environment} (Compose project ${plan.project}): ${plan.version}, ${serves(plan)}`,
    '',
    ...PHASES.flatMap((phase) => [
      `${pad(phase, width)}  ${plan.phases[phase]}`.trimEnd(),
      ...(phase === 'rollout' ? rolloutLines(plan) : []),
    ]),
    ...(plan.notes.length > 0 ? ['', ...plan.notes.map((note) => `note: ${note}`)] : []),
    '',
    conclusion(plan),
    ...(plan.host === undefined ? [] : ['']),
  ]
}

/** @returns the lines about networks and services. */
function rolloutLines(plan: Plan): string[] {
  const rows = [
    ...plan.networks.map(({ network, action }) => [
      network,
      action,
      action === 'replace' ? 'network: its definition changed; its services have a gap' : 'network: not used any more',
    ]),
    ...plan.services.map((service) => [
      service.service,
      actionWord(service),
      [service.why, ...gapText(service)].join('; '),
    ]),
    ...plan.routes.flatMap(({ service, action, route }) =>
      action === 'keep' ? [] : [[service, ROUTE_WORDS[action], route]],
    ),
    ...(plan.proxy === null || plan.proxy.action === 'keep' ? [] : [['proxy', plan.proxy.action, plan.proxy.why]]),
  ]
  const ports = plan.handovers.map(({ port, from, to }) => `  port ${port} goes from ${from} to ${to}, with a gap`)
  return [...table(rows).map((line) => `  ${line}`), ...ports]
}

const ROUTE_WORDS = { add: 'route', change: 'reroute', remove: 'unroute' } as const

/** @returns that a service does not answer for a while, how long, why that is so, and how it can be avoided. */
function gapText({ gap }: ServicePlan): string[] {
  if (gap === undefined) return []
  if (gap.inTurn) return [`one after the other, since ${gap.because}`]
  const span = gap.ms === undefined ? 'until it is ready' : `of about ${formatDuration(gap.ms)} (as last time)`
  const avoid = gap.avoid ? [`to avoid it: ${gap.avoid}`] : []
  return [`a gap ${span}, since ${gap.because}`, ...avoid]
}

function serves({ serving }: Plan): string {
  return serving ? `where ${serving.version} (${serving.id}) serves` : 'the first release'
}

function actionWord({ action, ifImageChanges }: ServicePlan): string {
  return ifImageChanges ? `${action}?` : action
}

function conclusion(plan: Plan): string {
  if (isNothingToDo(plan))
    return hasLoose(plan.services) ? 'Nothing to do.' : 'Nothing to do: everything runs as it should.'
  const open = plan.services.filter(({ ifImageChanges }) => ifImageChanges).length
  const changed = plan.services.filter(
    ({ action, ifImageChanges }) => !ifImageChanges && action !== 'unchanged' && action !== 'hold',
  )
  const words = [`${changed.length} to change`, ...(open > 0 ? [`${open} to change if the image differs`] : [])]
  const gap = plan.services.some(({ action }) => action === 'recreate')
  const count = plan.services.length === 1 ? '1 service' : `${plan.services.length} services`
  return `${count}: ${words.join(', ')}.${gap ? ' What is recreated does not answer meanwhile.' : ''}`
}

/** @returns what was done, counted over the plans of all hosts. */
export function summarizePlans(plans: readonly Plan[]): string {
  const services = plans.flatMap((plan) => plan.services)
  const where = plans.length === 1 ? '' : ` on ${plans.length} hosts`
  if (plans.every(isNothingToDo))
    return (hasLoose(services) ? 'nothing to do' : 'nothing to do: everything runs as it should') + where
  const counts = new Map<string, number>()
  for (const { action } of services) counts.set(action, (counts.get(action) ?? 0) + 1)
  const words = {
    create: 'created',
    rolling: 'rolled',
    recreate: 'recreated',
    scale: 'scaled',
    job: 'run',
    remove: 'removed',
    hold: 'held',
    unchanged: 'unchanged',
  }
  const said = Object.entries(words).flatMap(([action, word]) =>
    counts.get(action) ? [`${counts.get(action)} ${word}`] : [],
  )
  return said.join(', ') + where
}
