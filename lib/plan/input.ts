import type { ComposeModel } from '../compose/model.ts'
import type { ContentFile, Rendering } from '../compose/rendering.ts'
import type { Topology } from '../compose/topology.ts'
import type { Environment, ServiceConfig } from '../config/parse.ts'
import type { ReleasedImage } from '../docker/images.ts'
import type { Container, ProxyContainer } from '../docker/inspect.ts'
import type { Of } from '../util/schema.ts'
import type { Acme, Digests, Route, RoutingTable, Slots } from './routes/table.ts'
import type * as schema from './schema.ts'
import type { PhaseName } from './six-phases.ts'

/** What a rollout does to a service (spec/core/plan.md). */
export type Action = ServicePlan['action']

/** What will be done to one service, and why. */
export type ServicePlan = Of<typeof schema.servicePlan>

/** The downtime of a service that is recreated, and why it does not roll. */
export type Gap = NonNullable<ServicePlan['gap']>

/** What a release does to a route of the proxy. */
export type RoutePlan = Of<typeof schema.routePlan>

/** What a release does to the host's proxy itself. */
export type ProxyPlan = Of<typeof schema.proxyPlan>

export type NetworkPlan = Of<typeof schema.networkPlan>

/**
 * What a rollout does to the containers of one service, and how the new ones come to be. `up`: Compose creates or recreates them.
 * `scale`: Compose adds or removes some. `alongside`: more are added to those that stay until the release is live. `aside`: the
 * same, but the old ones are stopped before the new ones start. `in-turn`: replaced one at a time. `scheduled`: one is created, and
 * started at its hours.
 */
export type Step = Of<typeof schema.step>

/** What a rollout does, in this order (spec/core/plan.md). Each stage begins when the one before has ended on all hosts. */
export type Stages = Of<typeof schema.stages>

/** What is pending in databases: names of files in order, or why it is not known. */
export type Pending = Readonly<Record<string, readonly string[] | string>>

/** How a release migrates one database. */
export type MigrationPlan = Of<typeof schema.migrationPlan>

/** A program of the user that a release runs (spec/core/hooks.md). */
export type HookPlan = Of<typeof schema.hookPlan>

/** What a release will do, phase by phase. */
export type Plan = Of<typeof schema.plan>

/** A job that runs by a schedule, as a release has it on the host that runs it (spec/core/jobs.md). */
export interface Scheduled {
  readonly schedule: string
  /** milliseconds after which a run is ended */
  readonly timeout?: number
  /** the id of the container that is started */
  readonly container: string
  /** the last run of a container that is gone by now */
  readonly last?: LastRun
}

/** What runs jobs by a schedule on a host (lib/hosts/schedules). */
export interface Scheduler {
  readonly by: 'cron' | 'systemd'
  /** whose crontab or units */
  readonly user: string
  readonly endpoint: string
  /** the docker command there */
  readonly docker: string
}

/** How a run of a scheduled job ended. */
export interface LastRun {
  /** ISO 8601, by the engine's clock */
  readonly started_at: string
  readonly finished_at: string
  readonly exit_code: number
  readonly version: string
}

/** Who has changed a service, and when. */
interface ByHand {
  readonly by: string
  /** ISO 8601 */
  readonly at: string
  /** on a Swarm: how many it had when it was stopped, or has since it was scaled */
  readonly replicas?: number
}

/** What a plan needs to know about the live release. Its bundle (lib/record/bundle.ts) has more. */
export interface LiveFacts {
  /** the Compose project's name */
  readonly project: string
  /** the services of stagecraft.yml when the release was made; on disk their hosts are texts, which nothing reads */
  readonly services?: Readonly<Record<string, Omit<ServiceConfig, 'hosts' | 'moved_from'>>>
  /** what the release did to each service, and why */
  readonly plan?: Pick<Plan, 'services'>
  readonly id: string
  readonly version: string
  readonly images: Readonly<Record<string, ReleasedImage>>
  readonly topology: Topology
  readonly content: readonly ContentFile[]
  /** Compose's hash in the label of each service's containers, once they run */
  readonly config_hashes: Readonly<Record<string, string>>
  /** services that somebody stopped (`stagecraft stop`), and who; a deploy starts them */
  readonly stopped?: Readonly<Record<string, ByHand>>
  /** on a Swarm: services whose number of replicas somebody has set (`stagecraft scale`); the next release keeps it */
  readonly scaled?: Readonly<Record<string, ByHand>>
  /** services of the previous release whose containers are still to be removed; the next deploy removes those left */
  readonly retiring?: readonly string[]
  /** its jobs with a schedule, by service */
  readonly schedules?: Readonly<Record<string, Scheduled>>
  /** what has the schedules of the environment on this host, this release's or those of an earlier one; absent: nothing has */
  readonly scheduler?: Scheduler | undefined
  /** milliseconds of downtime of recreated services, from stopped to ready */
  readonly gaps?: Readonly<Record<string, number>>
  /** its routes, and which slots are live once it is live */
  readonly routes?: readonly Route[]
  readonly slots?: Slots
}

/** Everything a plan follows from. */
export interface PlanInput {
  /** absent: the only host */
  readonly host?: string
  readonly environment: Environment
  readonly version: string
  readonly target: Rendering
  readonly topology: Topology
  /** services that wait for jobs on other hosts, with these jobs; absent: none */
  readonly awaits?: Readonly<Record<string, readonly string[]>>
  /** by service; absent: not known until it is built or pulled */
  readonly images: Readonly<Record<string, ReleasedImage>>
  readonly serving: { readonly bundle: LiveFacts; readonly model: ComposeModel } | undefined
  /** of the Compose project, in any state */
  readonly containers: readonly Container[]
  /** without a live release: the config hashes that running containers have if they match the Compose file, by service */
  readonly adoptable: Readonly<Record<string, readonly string[]>>
  /** services whose containers a failed adoption restored: their definition is known */
  readonly remembered?: readonly string[]
  /** services that no release made, of which all that defines their containers could be read from these */
  readonly restorable?: readonly string[]
  /** the host's proxy as it is; undefined: there is none, or no route needs it */
  readonly proxy: SeenProxy | undefined
  /** the project's routes in the proxy; default: those of the live release */
  readonly routed?: RoutingTable
  /** the CA of routes with `tls: auto`; absent: Caddy's default */
  readonly acme?: Acme | undefined
  /** what the operator gives the proxy, such as certificates: as it is to be, and as the proxy has it */
  readonly given?: { readonly wanted: Digests; readonly found: Digests }
  readonly migrations?: readonly MigrationPlan[]
  readonly hooks?: readonly HookPlan[]
  /** what will run jobs by a schedule; absent: there are none, or nothing can */
  readonly scheduler?: Scheduler
  /** services that migrations before the rollout need, also migrations on other hosts */
  readonly needed?: readonly string[]
  /** to a completed release, whose jobs all ran: they are not run again, except for those with `rollback: run` */
  readonly rollback?: boolean
  readonly phases: Readonly<Record<PhaseName, string>>
}

export interface SeenProxy extends ProxyContainer {
  /** why it must be recreated */
  readonly outdated: string | undefined
  /** its routes are not those of the live release */
  readonly lost: boolean
}

/** A published port that one service gives up and another one takes: the first must stop before the second starts. */
export type Handover = Of<typeof schema.handover>
