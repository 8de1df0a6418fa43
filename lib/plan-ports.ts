import type { ComposeModel, Service } from './compose.ts'
import type { PlanInput, ServicePlan } from './plan.ts'

/** A published port that one service gives up and another one takes: the first must stop before the second starts. */
export interface Handover {
  /** `8080/tcp` */
  readonly port: string
  readonly from: string
  readonly to: string
}

/** @returns ports that pass from a service that goes or is recreated to one that is created or recreated. */
export function planHandovers({ serving, target }: PlanInput, services: readonly ServicePlan[]): Handover[] {
  const holders = services.filter(({ action }) => action === 'remove' || action === 'recreate')
  const takers = services.filter(({ action }) => ['create', 'recreate', 'job'].includes(action))
  return takers.flatMap(({ service: to }) =>
    holders
      .filter(({ service }) => service !== to)
      .flatMap(({ service: from }) => {
        const held = portsOf(serving?.model, from)
        return portsOf(target.model, to).flatMap((port) => (held.includes(port) ? [{ port, from, to }] : []))
      }),
  )
}

function portsOf(model: ComposeModel | undefined, service: string): string[] {
  const ports: Service['ports'] = model?.services[service]?.ports
  return (ports ?? []).flatMap(({ published, protocol = 'tcp' }) =>
    published === undefined || published === '' ? [] : [`${published}/${protocol}`],
  )
}
