import type { ServiceConfig } from '../config/parse.ts'
import type { Docker } from '../docker/client.ts'
import type { Emit } from '../output/events.ts'
import type { Route, Slots } from '../plan/routes/table.ts'
import type { Clock } from '../system/clock.ts'
import type { Keys } from './certificates/keys.ts'

/** The routes of one environment, and what it takes to apply them. */
export interface RouteJob {
  readonly docker: Docker
  readonly clock: Clock
  readonly emit: Emit
  /** the Compose project's name */
  readonly name: string
  readonly services: Readonly<Record<string, ServiceConfig>>
  /** the wanted routes; the subnets of internal ones are looked up when they are applied */
  readonly routes: readonly Route[]
  readonly slots: Slots
  /** for these routes; undefined: what the proxy has */
  readonly keys?: Keys | undefined
  /** repairs the proxy: it runs, is connected, and has the routes and slots from before the release */
  readonly repair: () => Promise<void>
}
