import type { Result } from '../system/exec.ts'
import { type Docker, verb } from './client.ts'
import type { Container } from './inspect.ts'

/**
 * Labels of a container that is made of a project's image for a moment: an image that Compose built has labels that say whose it
 * is, and a container of it would count as one of the service.
 */
export const NOBODYS = ['com.docker.compose.project=', 'com.docker.compose.service=']

export const create = verb(['create'])
export const runOnce = verb(['run', '--rm'])
export const start = verb(['start'])
export const stop = verb(['stop'])
export const unpause = verb(['unpause'])
/** It is no error if the container is gone, or if another one has that name. */
export const rename = verb(['rename'], { unless: /no such container|is already in use by container/i })
export const removeForced = verb(['rm', '--force'])
export const execIn = verb(['exec'])
export const logs = verb(['logs'])

/**
 * Stops and removes containers by id, with their anonymous volumes; never by scaling down.
 * @param meanwhile runs for each while they stop, and ends before they are removed
 * @throws failed (5), unreachable (8)
 */
export async function removeContainers(
  docker: Docker,
  containers: readonly Pick<Container, 'id' | 'name'>[],
  meanwhile: (container: Pick<Container, 'id' | 'name'>) => Promise<void> = async () => {},
): Promise<void> {
  const ids = containers.map(({ id }) => id)
  if (ids.length === 0) return
  const names = containers.map(({ name }) => name).join(', ')
  const act = async (args: readonly string[]) => {
    const result = await docker.try(args)
    if (result.code !== 0 && !NO_CONTAINER.test(result.stderr)) await docker.run(`remove ${names}`, args)
  }
  await Promise.all([act(['stop', ...ids]), ...containers.map(meanwhile)])
  await act(['rm', '--force', '--volumes', ...ids])
}

/**
 * @param follow include what it prints until it has stopped
 * @returns the last `lines` lines of a container's output, both streams; empty if the engine hangs.
 */
export async function lastLogLines(docker: Docker, id: string, lines = 20, follow = false): Promise<string> {
  // A command with its own time limit has no lock: this one would hold a killed run's lock until the container stops.
  const wait = follow ? { timeout: 600_000 } : { readOnly: true }
  const how = { flags: { follow, tail: String(lines) }, limit: 64 * 1024, ...wait }
  const result = await logs(docker, [id], how).catch(() => undefined)
  return result ? docker.mask(result.stdout + result.stderr).trimEnd() : ''
}

/** @param since epoch milliseconds of the engine's clock @returns ids of containers that were sent a signal in that time */
export async function killedBetween(docker: Docker, since: number, until: number): Promise<Set<string>> {
  const seconds = (ms: number) => (ms / 1000).toFixed(3)
  const span = ['--since', seconds(since), '--until', seconds(until)]
  const filters = ['--filter', 'type=container', '--filter', 'event=kill', '--format', '{{.ID}}']
  const events = await docker.try(['events', ...span, ...filters], { timeout: 30_000 })
  return new Set(events.stdout.split('\n'))
}

/** The engine's words for why a command on a container failed: the CLI has no exit codes for that. */
export const NO_CONTAINER = /no such container/i
export const NAME_TAKEN = /is already in use by container/i
export const PORT_TAKEN = /port is already allocated|address already in use/i
/** The container in which a command should run has ended. */
export const ENDED = /is not running|is restarting/i

/** @returns whether a command in a container failed because the container was removed, stopped, killed (SIGKILL) or paused. */
export function isGone({ code, stderr }: Pick<Result, 'code' | 'stderr'>): boolean {
  return code === 128 + 9 || NO_CONTAINER.test(stderr) || ENDED.test(stderr) || /is paused/i.test(stderr)
}
