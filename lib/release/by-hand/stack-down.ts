import type { Docker } from '../../docker/client.ts'
import { listNetworks, removeNetwork } from '../../docker/networks.ts'
import { listReplicas } from '../../docker/swarm/replicas.ts'
import { listServices } from '../../docker/swarm/services.ts'
import { ofStack, removeServices, removeStack } from '../../docker/swarm/stack.ts'
import { openTasks } from '../../docker/swarm/tasks.ts'
import { forget } from '../../hosts/owners.ts'
import type { Clock } from '../../system/clock.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { DownPlan, DownWish } from './down-plan.ts'

/** @returns what `down` would remove of a Swarm. @throws usage (2) for volumes: each node has its own */
export async function planStackDown(
  docker: Docker,
  { project, ...own }: Pick<DownPlan, 'host' | 'project' | 'images'>,
  { volumes }: Pick<DownWish, 'volumes'>,
): Promise<DownPlan> {
  if (volumes)
    throw new StagecraftError('usage', 'Cannot remove the volumes of a Swarm: each node has its own', {
      hint: `Without --volumes, then on each node: docker volume rm $(docker volume ls -q --filter label=${ofStack(project)})`,
    })
  const [replicas, networks] = await Promise.all([
    listReplicas(docker, project),
    listNetworks(docker, ofStack(project)),
  ])
  const containers = replicas.map(({ id, name }) => ({ id, name }))
  return { ...own, project, containers, networks, routes: [], maintenance: false, proxy: false, volumes: [] }
}

/** Milliseconds for tasks to end, and between two looks. */
const [ENDING, PAUSE] = [60_000, 500]

/**
 * Removes a stack, and waits until its tasks have ended and its networks are gone. Its configs and secrets stay for releases that may
 * be restored, unless `history`. May be repeated. @throws failed (5), unreachable (8)
 */
export async function removeWholeStack(
  docker: Docker,
  { project, host }: DownPlan,
  clock: Clock,
  { history }: Pick<DownWish, 'history'>,
): Promise<void> {
  const end = clock.now() + ENDING
  const tasks = openTasks(docker, project)
  const remove = () => (history ? removeStack(docker, [project]) : removeRunning(docker, project))
  for (;;) {
    const { code, stderr } = await remove() // a network is in use until the last task has ended
    const isGone = (await listServices(docker, project)).length === 0 && (await tasks.look()).length === 0
    if (isGone && (await listNetworks(docker, ofStack(project))).length === 0) break
    if (clock.now() > end) throw notGone(project, code === 0 ? '' : stderr.trim())
    await clock.sleep(PAUSE)
  }
  await forget(docker, project, host.marks)
}

async function removeRunning(docker: Docker, project: string) {
  const services = (await listServices(docker, project)).map(({ service }) => `${project}_${service}`)
  await removeServices(docker, services, { what: `remove the services of ${project}` })
  return removeNetwork(docker, await listNetworks(docker, ofStack(project)))
}

function notGone(stack: string, said: string): StagecraftError {
  return new StagecraftError('failed', `Cannot remove stack ${stack}: some of it is still there`, {
    detail: said === '' ? undefined : said,
    hint: `See: docker stack ps ${stack}. Then run the command again.`,
  })
}
