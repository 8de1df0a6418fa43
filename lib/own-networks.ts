import { childError, type Docker, inspectContainers, listContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import { findProxy } from './proxy-life.ts'

/**
 * Names of networks come from a model or a journal, and those from a folder that others can write to.
 * @returns those that are this Compose project's, as the engine says
 */
export async function ownNetworks(docker: Docker, project: string, networks: readonly string[]): Promise<string[]> {
  if (networks.length === 0) return []
  const filter = ['--filter', `label=com.docker.compose.project=${project}`]
  const list = await docker.run('list networks', ['network', 'ls', ...filter, '--format', '{{.Name}}'], { asks: true })
  const own = new Set(list.stdout.split('\n'))
  return networks.filter((network) => own.has(network))
}

/** Compose gives a replaced container's anonymous volumes to the new one, so containers are unplugged, not removed. */
export async function freeNetworks(
  docker: Docker,
  project: string,
  networks: readonly string[],
  onFirst: () => void = () => {},
): Promise<void> {
  for (const network of await ownNetworks(docker, project, networks)) {
    const args = ['network', 'inspect', '--format', '{{range $id, $c := .Containers}}{{$id}} {{end}}', network]
    const inspect = await docker.try(args)
    if (inspect.code !== 0 && isMissing(inspect)) continue // nothing stands in the way
    if (inspect.code !== 0) throw childError(`look at network ${network}`, inspect)
    const ids = inspect.stdout.trim().split(/\s+/).filter(Boolean)
    await refuseStrangers(docker, project, network, ids)
    onFirst()
    for (const id of ids)
      await unlessGone(docker, `unplug a container from ${network}`, ['network', 'disconnect', '--force', network, id])
    await unlessGone(docker, `remove network ${network}`, ['network', 'rm', network])
  }
}

/** What somebody else has removed or unplugged meanwhile is as it was to be. */
async function unlessGone(docker: Docker, what: string, args: readonly string[]): Promise<void> {
  const result = await docker.try(args)
  if (result.code === 0 || isMissing(result)) return
  if (!/no such container|is not connected to/i.test(result.stderr)) throw childError(what, result)
}

/** What is not a service of this project is not ours to unplug. */
async function refuseStrangers(
  docker: Docker,
  project: string,
  network: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return
  const proxy = await findProxy(docker) // it is plugged in again by the switch
  const own = new Set([proxy?.id, ...(await listContainers(docker, project)).map(({ id }) => id)])
  const strange = ids.filter((id) => !own.has(id))
  const stranger = (await inspectContainers(docker, strange))[0]?.id // unless it has gone meanwhile
  if (stranger === undefined) return
  throw new StagecraftError(
    'failed',
    `Cannot make network ${network} anew: container ${stranger.slice(0, 12)} is on it, and is no service of ${project}`,
    { hint: `docker network disconnect ${network} ${stranger.slice(0, 12)}, deploy again, and connect it afterwards.` },
  )
}

/** The CLI has no code of its own for it: the engine's words (moby libnetwork/error.go). */
export function isMissing({ stderr }: Result): boolean {
  return /network .* not found|no such network/i.test(stderr)
}
