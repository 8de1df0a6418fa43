import type { ComposeModel } from '../../compose/model.ts'
import { replicasOf } from '../../compose/topology.ts'
import { findProxy } from '../../proxy/container.ts'
import type { ProxyPorts } from '../../proxy/ports.ts'
import { refuseObstacles, type Seeing } from './obstacles.ts'

/** What is to run, before there is a plan. */
export interface Wanted {
  readonly model: ComposeModel
  /** services that no release touches */
  readonly held?: readonly string[]
  /** something is to be routed: it needs the proxy */
  readonly isRouted: boolean
  readonly verb?: string
  readonly ports?: ProxyPorts | undefined
}

/** Looks for what would be in the way of every service, as if all of them were created. @throws failed (5), as refuseObstacles */
export async function refuseEarly({ model, held = [], isRouted, verb, ports }: Wanted, seeing: Seeing): Promise<void> {
  const services = Object.entries(model.services)
    .filter(([service]) => !held.includes(service))
    .map(([service, definition]) => ({ service, action: 'create' as const, replicas: replicasOf(definition) }))
  const needsProxy = isRouted && (await findProxy(seeing.docker))?.state !== 'running'
  const proxy = needsProxy ? { action: 'start' as const } : null
  await refuseObstacles({ services, proxy }, model, seeing, { ports, ...(verb === undefined ? {} : { verb }) })
}
