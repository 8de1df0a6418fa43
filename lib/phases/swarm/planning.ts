import type { ComposeModel } from '../../compose/model.ts'
import { isOnEachNode, replicasOf } from '../../compose/topology.ts'
import type { Image } from '../../docker/client.ts'
import { type ReleasedImage, releasedImage } from '../../docker/images.ts'
import { askSwarm } from '../../docker/swarm/stack.ts'
import { portable } from '../../hosts/transfer.ts'
import type { Plan, PlanInput } from '../../plan/input.ts'
import { makePlan } from '../../plan/make.ts'
import { withEndedJobs } from '../../plan/services/ending.ts'
import { listRunning } from '../../project/engine/running.ts'
import { StagecraftError } from '../../util/errors.ts'
import { planHooks } from '../hooks.ts'
import type { HostRequest, HostTools } from '../host-run.ts'
import { planMigrations } from '../migrate/describe.ts'
import { describePhases } from '../rollout/describe.ts'
import type { Planning, PlanningFacts } from '../rollout/planning.ts'

interface StackFacts extends PlanningFacts {
  /** what built images are called on all nodes, by service */
  readonly onNodes?: Readonly<Record<string, string>>
}

/** Plans a rollout on a Swarm, as planRollout does on a host. @throws config (3), failed (5), unreachable (8) */
export async function planStack(
  request: HostRequest,
  { docker }: Pick<HostTools, 'docker'>,
  { version, rendering, images, onNodes = {} }: StackFacts,
): Promise<Planning> {
  const { project, serving, target, awaits } = request
  const { name } = rendering.model
  const [containers, { nodes }] = await Promise.all([
    listRunning(project.environment, docker, name, serving?.bundle.images),
    askSwarm(docker),
  ])
  const input: PlanInput = {
    environment: project.environment,
    version,
    target: rendering,
    awaits,
    topology: target ? project.topology : withEndedJobs(project.topology, rendering.model, { serving, containers }),
    images: target?.bundle.images ?? imagesOf(request, images, onNodes),
    serving,
    containers,
    adoptable: {},
    proxy: undefined,
    rollback: target !== undefined,
    phases: describePhases(request),
    migrations: target ? [] : planMigrations(request),
    needed: request.needed,
    hooks: planHooks(project, docker.mask),
  }
  const plan = makePlan(input)
  refuseUnbuilt(plan)
  const notes = nodes > 1 ? looseNames(input.images, rendering.model) : []
  return {
    plan: { ...plan, notes: [...plan.notes, ...notes, ...keptNumbers(plan, input)] },
    isLoose: false,
    input,
    containers,
  }
}

/**
 * Nodes pull what has a digest by that, and find what has none by the name in the Compose file. What is built is named by its id:
 * a node that has it does not try to pull it.
 */
function imagesOf(
  { project, images }: HostRequest,
  present: ReadonlyMap<string, Image>,
  onNodes: Readonly<Record<string, string>>,
): Record<string, ReleasedImage> {
  const found: Record<string, ReleasedImage> = {}
  for (const [service, name] of images.names) {
    const image = present.get(name)
    if (image === undefined) continue
    const built = images.built.has(name)
    const released = releasedImage(image, { name, project: project.model.name, service, built })
    const own = built ? image.id : released.reference.includes('@') ? released.reference : name
    // The managers of a Swarm may have engines of different versions.
    found[service] = { ...released, fingerprint: portable(image), reference: onNodes[service] ?? own }
  }
  return found
}

function looseNames(images: Readonly<Record<string, ReleasedImage>>, { services }: ComposeModel): string[] {
  const names = Object.entries(images).flatMap(([service, { reference, built }]) =>
    services[service] && !built && !reference.includes('@') ? [reference] : [],
  )
  return [...new Set(names)].map(
    (name) => `${name} has no digest: each node runs what it has, or pulls, by that name, also after a rollback`,
  )
}

/** A number of replicas that is not that of the Compose file is kept from release to release. */
function keptNumbers({ services }: Plan, { target, topology, serving }: PlanInput): string[] {
  return services.flatMap(({ service, replicas }) => {
    const own = target.model.services[service]
    const written = replicasOf(own ?? {})
    if (own === undefined || topology.jobs.includes(service) || isOnEachNode(own) || replicas === written) return []
    const { by } = serving?.bundle.scaled?.[service] ?? {}
    return [
      `${service} keeps ${replicas} replicas, ${by ? `scaled by ${by}` : 'set by hand'}; the Compose file says ${written}`,
    ]
  })
}

/** What Compose does on a host, and is not built for a Swarm. @throws config (3) */
function refuseUnbuilt({ networks, handovers }: Plan): void {
  const replaced = networks.find(({ action }) => action === 'replace')
  if (replaced)
    throw new StagecraftError('config', `Cannot change network ${replaced.network} on a Swarm: services use it`, {
      hint: 'Give the changed network another name in the Compose file. Nothing has been changed.',
    })
  const [moved] = handovers
  if (moved)
    throw new StagecraftError(
      'config',
      `Cannot move port ${moved.port} from ${moved.from} to ${moved.to} in one release on a Swarm`,
      {
        hint: `First deploy without the port in ${moved.from}, then with it in ${moved.to}. Nothing has been changed.`,
      },
    )
}
