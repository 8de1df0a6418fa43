import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import type { ContentFile } from '../../lib/compose/rendering.ts'
import { classify, replicasOf } from '../../lib/compose/topology.ts'
import type { Environment, ServiceConfig } from '../../lib/config/parse.ts'
import type { ReleasedImage } from '../../lib/docker/images.ts'
import type { Container } from '../../lib/docker/inspect.ts'
import type { PlanInput } from '../../lib/plan/input.ts'
import { makePlan } from '../../lib/plan/make.ts'
import type { Bundle } from '../../lib/record/bundle.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'

export type Services = Record<string, Service>
export type Parts = Omit<ComposeModel, 'name' | 'services'>

/** An application of `web` alone. */
export const web = (more: Service = {}): Services => ({ web: { image: 'web', ...more } })
/** Makes a service wait until these have started. */
export const after = (...names: string[]) => ({
  depends_on: Object.fromEntries(names.map((name) => [name, { condition: 'service_started' as const }])),
})

/** What is planned: a Compose file, the live one (if any), and the differences from what that one created. */
export interface Situation {
  readonly now: Services
  readonly before?: Services
  readonly nowParts?: Parts
  readonly beforeParts?: Parts
  readonly settings?: Record<string, Partial<ServiceConfig>>
  readonly jobs?: readonly string[]
  /** contents of images by service, now; before it was `old` */
  readonly images?: Record<string, string | undefined>
  readonly content?: readonly ContentFile[]
  readonly contentBefore?: readonly ContentFile[]
  readonly containers?: (made: Container[]) => Container[]
  readonly adoptable?: Record<string, string[]>
  readonly retiring?: readonly string[]
  readonly data?: PlanInput['target']['data']
  /** of the live release, in addition to what follows from its model */
  readonly bundle?: Partial<Bundle>
  readonly environment?: Partial<Environment>
  readonly proxy?: PlanInput['proxy']
}

const PHASES = { build: 'b', push: 'p', migrate_pre: 'm', rollout: 'r', migrate_post: 'm', finalize: 'f' }

/** What `makePlan` is given in a situation. */
export function inputOf(situation: Situation): PlanInput {
  const { now, before, settings = {}, jobs = [], images = {} } = situation
  const target = composeModel('shop', { services: now, ...situation.nowParts })
  const model = before && composeModel('shop', { services: before, ...(situation.beforeParts ?? situation.nowParts) })
  const known = Object.keys(now).filter((service) => !(service in images) || images[service] !== undefined)
  const made = Object.entries(model?.services ?? {}).flatMap(([name, service]) => containersOf(name, service, jobs))
  return {
    environment: {
      name: 'local',
      env_file: [],
      data: [],
      keep: 5,
      services: Object.fromEntries(
        Object.entries(settings).map(([name, setting]) => [name, { rollout: {}, ...setting }]),
      ),
      ...situation.environment,
    },
    version: 'v2',
    target: { model: target, content: situation.content ?? [], data: situation.data ?? [] },
    topology: classify(target, jobs),
    images: Object.fromEntries(known.map((service) => [service, imageOf(service, images[service] ?? 'old')])),
    serving: model && {
      model,
      bundle: { ...bundleOf(model, jobs, situation), ...situation.bundle },
    },
    containers: situation.containers?.(made) ?? made,
    adoptable: situation.adoptable ?? {},
    proxy: situation.proxy,
    phases: PHASES,
  }
}

function bundleOf(model: ComposeModel, jobs: readonly string[], { contentBefore, retiring }: Situation): Bundle {
  const names = Object.keys(model.services)
  return {
    v: 1,
    id: 'rel-20261122-080000000',
    environment: 'local',
    version: 'v1',
    commit_sha: '',
    project: 'shop',
    phases: {},
    images: Object.fromEntries(names.map((service) => [service, imageOf(service, 'old')])),
    topology: classify(model, jobs),
    content: contentBefore ?? [],
    config_hashes: Object.fromEntries(names.map((service) => [service, `hash of ${service}`])),
    switched_at: '2026-11-22T08:00:00.000Z',
    ...(retiring ? { retiring } : {}),
  }
}

export function imageOf(service: string, content: string): ReleasedImage {
  const id = `sha256:${content}`
  const reference = `shop-${service}:sc-${content}`
  return { name: `${service}:latest`, reference, id, fingerprint: content, built: true, volumes: content === 'data' }
}

function containersOf(service: string, definition: Service, jobs: readonly string[]): Container[] {
  return Array.from({ length: replicasOf(definition) }, (_, index) =>
    container(service, index + 1, jobs.includes(service)),
  )
}

export function container(service: string, number = 1, ended = false): Container {
  return {
    id: `${service}-${number}`,
    name: `shop-${service}-${number}`,
    service,
    image: 'sha256:old',
    configHash: `hash of ${service}`,
    configFiles: '',
    workingFolder: '',
    state: ended ? 'exited' : 'running',
    exitCode: 0,
    oomKilled: false,
    health: 'none',
    healthTime: 0,
    failingTime: 0,
    anonymous: [],
    healthOutput: '',
    failedProbes: 0,
    mostProbes: 0,
    restarts: 0,
    startedAt: '2026-11-22T08:00:00Z',
    finishedAt: '0001-01-01T00:00:00Z',
    error: '',
    shares: [],
    networks: {},
  }
}

/** The plan in short: one line per service, then everything else. */
export function planned(situation: Situation): string[] {
  const { services, networks, handovers } = makePlan(inputOf(situation))
  return [
    ...services.map(
      ({ service, action, ifImageChanges, why }) => `${service} ${action}${ifImageChanges ? '?' : ''}: ${why}`,
    ),
    ...networks.map(({ network, action }) => `network ${network} ${action}`),
    ...handovers.map(({ port, from, to }) => `port ${port} from ${from} to ${to}`),
  ]
}

export function refusal(situation: Situation): unknown {
  try {
    return planned(situation)
  } catch (error) {
    if (!(error instanceof StagecraftError)) throw error
    return [error.kind, error.message, error.hint]
  }
}
