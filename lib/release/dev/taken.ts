import type { ComposeModel } from '../../compose/model.ts'
import type { Docker } from '../../docker/client.ts'
import { listContainers, listWriters } from '../../docker/containers.ts'
import { isUp } from '../../docker/inspect.ts'
import { listListeners } from '../../hosts/listeners.ts'
import { readOwners } from '../../hosts/owners.ts'
import { refuseEarly } from '../../phases/rollout/early.ts'
import { refuseImpossibleRoutes, refuseTakenRoutes } from '../../plan/routes/conflicts.ts'
import type { Route } from '../../plan/routes/table.ts'
import type { Session } from '../../project/session.ts'
import type { Project } from '../../project/settings.ts'
import { readProxyIfUp } from '../../proxy/api.ts'
import { StagecraftError } from '../../util/errors.ts'

interface Wanted {
  readonly project: Project
  readonly model: ComposeModel
  readonly routes: readonly Route[]
  readonly docker: Docker
  readonly session: Pick<Session, 'clock' | 'exec'>
}

/**
 * Looks for everything that would stop `dev` halfway, or that it would harm. Changes nothing.
 * @throws config (3) for routes, failed (5) for ports, names and data, locked (7) if another checkout runs it
 */
export async function refuseTaken({ project, model, routes, docker, session }: Wanted): Promise<void> {
  refuseImpossibleRoutes(project.environment.services, model)
  await refuseOtherUse(docker, model.name, project)
  if (routes.length > 0) refuseTakenRoutes(model.name, routes, (await readProxyIfUp(docker))?.projects ?? {})
  const seeing = { docker, clock: session.clock, listen: () => listListeners(project.host, session.exec) }
  await refuseEarly({ model, isRouted: routes.length > 0, verb: 'start dev' }, seeing)
  await refuseSharedData(docker, model)
}

/** Its name may be that of a release only by `compose_project` of an environment. */
async function refuseOtherUse(docker: Docker, name: string, { environment, directory }: Project): Promise<void> {
  const owner = (await readOwners(docker)).get(name)
  if (owner !== undefined)
    throw new StagecraftError('failed', `Cannot start dev of ${environment.name}: ${name} is a released environment`, {
      hint: `Its releases are kept in ${owner.root} on ${owner.host}. Give it another compose_project in stagecraft.yml.`,
    })
  const running = (await listContainers(docker, name)).filter(isUp)
  const elsewhere = running.find(({ workingFolder }) => workingFolder !== '' && workingFolder !== directory)
  if (elsewhere === undefined) return
  throw new StagecraftError(
    'locked',
    `Cannot start dev of ${environment.name}: it runs from another folder, ${elsewhere.workingFolder}`,
    { hint: `End it there with Ctrl-C. If it was killed: docker compose -p ${name} stop` },
  )
}

/** Two databases on the same files would destroy them. A socket is no data. */
async function refuseSharedData(docker: Docker, model: ComposeModel): Promise<void> {
  const wanted = Object.entries(model.services).flatMap(([service, { volumes = [] }]) =>
    volumes.flatMap(({ type, source = '', read_only }) => {
      const volume = model.volumes?.[source]
      const name = type === 'bind' ? source : volume?.external ? (volume.name ?? source) : ''
      return name === '' || read_only === true || name.endsWith('.sock') ? [] : [{ service, name }]
    }),
  )
  if (wanted.length === 0) return
  const others = (await listWriters(docker)).filter(({ project }) => project !== model.name)
  for (const { service, name } of wanted) {
    const other = others.find(({ writes }) => writes.includes(name))
    if (other === undefined) continue
    throw new StagecraftError(
      'failed',
      `Cannot mount ${name} into ${service}: the container ${other.name} writes to it`,
      {
        hint: `Stop that first (docker stop ${other.name}), or mount it read-only (:ro) in the Compose file. Nothing has been changed.`,
      },
    )
  }
}
