import type { Docker } from '../../docker/client.ts'
import { listContainers, listOfStack } from '../../docker/containers.ts'
import { STACK } from '../../docker/swarm/labels.ts'
import { listVolumes } from '../../docker/volumes/commands.ts'
import { nodeEngines } from '../../project/engine/nodes.ts'
import { openReleaseDocker, type Session } from '../../project/session.ts'
import { StagecraftError } from '../../util/errors.ts'
import { mapConcurrently } from '../../util/map-concurrently.ts'
import type { ReleaseRequest } from '../request.ts'

// An environment is moved to another engine, and what ran under the first one still does. Their histories may be in different
// places, and their volumes have the same names: two databases would write to one volume.

/** Something of the other engine, where it was found. */
interface Left {
  /** the host or node; empty: this engine */
  readonly at: string
  readonly services: readonly string[]
  readonly volumes: readonly string[]
}

/**
 * Before a first release: what has the same name under the other engine must not run. Looks at all hosts.
 * @throws config (3), with its services and volumes; unreachable (8)
 */
export async function refuseLeftRunning(request: ReleaseRequest, session: Session): Promise<void> {
  const { project, serving } = request
  if (serving !== undefined) return
  const toSwarm = project.environment.engine === 'swarm'
  const { name } = project.model
  const engines = await enginesOf(request, session)
  const found = await mapConcurrently(engines, async ({ at, docker }): Promise<Left> => {
    const services = toSwarm
      ? (await listContainers(docker, name)).map(({ service }) => service)
      : (await listOfStack(docker, name)).map((task) => task.slice(name.length + 1).replace(/\..*/, ''))
    const label = toSwarm ? 'com.docker.compose.project' : STACK
    const volumes = services.length === 0 ? [] : await listVolumes(docker, label, [label])
    const own = volumes.flatMap(([volume = '', owner]) => (owner === name ? [volume] : []))
    return { at, services: [...new Set(services)].toSorted(), volumes: own.toSorted() }
  })
  const [first] = found.filter(({ services }) => services.length > 0)
  if (first) throw refusal(request, first)
}

async function enginesOf(
  { project, parts }: ReleaseRequest,
  session: Session,
): Promise<readonly { readonly at: string; readonly docker: Docker }[]> {
  if (project.environment.engine !== 'swarm')
    return parts.map((part) => ({ at: part.project.host.name, docker: openReleaseDocker(part.project, session) }))
  const manager = openReleaseDocker(project, session)
  if (project.host.nodes === undefined) return [{ at: '', docker: manager }]
  const engines = await nodeEngines(project.host, manager, session.signal)
  return engines.map(({ name, docker }) => ({ at: name, docker }))
}

function refusal({ project }: ReleaseRequest, { at, services, volumes }: Left): StagecraftError {
  const { engine = 'compose', name: environment } = project.environment
  const { name } = project.model
  const [is, was, other] =
    engine === 'swarm' ? ['stack', 'a Compose project', 'compose'] : ['Compose project', 'a stack of a Swarm', 'swarm']
  const where = at === '' ? '' : ` on ${at}`
  const data = volumes.length > 0 ? [`its volumes there: ${volumes.join(', ')}`] : []
  return new StagecraftError('config', `Cannot deploy as ${is} ${name}: it runs as ${was}${where}`, {
    detail: [`its services: ${services.join(', ')}`, ...data].join('\n'),
    hint:
      `Take down what runs first, with downtime: set \`engine: ${other}\` again, then stagecraft down --env ${environment}. ` +
      'Volumes stay on the host where they are, under the same names: both at once would write to them, and a service that ' +
      `starts on another host begins empty (spec/guides/to-swarm.md). Or set another \`compose_project\`. Nothing has been changed.`,
  })
}
