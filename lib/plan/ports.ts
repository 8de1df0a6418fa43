import type { ComposeModel, Service } from '../compose/model.ts'
import type { Handover, PlanInput, ServicePlan } from './input.ts'

/** @returns the ports that move from a removed or recreated service to one that is created or recreated. */
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
