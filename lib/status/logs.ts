import { type Docker, openDocker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import { type Container, isUp } from '../docker/inspect.ts'
import { logs } from '../docker/lifecycle.ts'
import type { Host } from '../hosts/host.ts'
import type * as contract from '../output/contract/results.ts'
import type { Mask } from '../secrets/mask.ts'
import type { Clock } from '../system/clock.ts'
import { DAY } from '../util/duration.ts'
import { compare } from '../util/format.ts'
import type { Of } from '../util/schema.ts'

/** One line that a container printed. */
export type LogLine = Of<typeof contract.logLine>

/** Whose lines, and which. */
export interface LogWish {
  /** the Compose project */
  readonly project: string
  /** empty: all */
  readonly services: readonly string[]
  /** the last lines of each container: a number, or `all` */
  readonly tail: string
  /** as `docker logs` takes them */
  readonly since: string | undefined
  readonly until: string | undefined
}

/** Where a container's lines come from. */
interface Source {
  readonly host: Host
  readonly docker: Docker
  readonly container: Container
}

/** Milliseconds between two looks for new containers. */
const LOOK = 1_000
/** Milliseconds that the log of one container is followed at most: a day. */
const LONGEST = DAY

/** @returns the lines that containers have printed, merged by their time */
export async function readLogs(hosts: readonly Host[], mask: Mask, wish: LogWish): Promise<LogLine[]> {
  const sources = (await Promise.all(hosts.map((host) => sourcesOn(host, openDocker(host.exec, mask), wish)))).flat()
  const lines = await Promise.all(sources.map((source) => linesOf(source, wish)))
  return lines.flat().toSorted((a, b) => compare(a.at, b.at) || compare(a.container, b.container))
}

/**
 * Prints lines as they come, of containers that are made later too: a rollout changes nothing for who watches. What was
 * printed before comes first, merged.
 * @param signal ends it
 */
export async function followLogs(
  hosts: readonly Host[],
  { mask, clock, signal, print }: { mask: Mask; clock: Clock; signal: AbortSignal; print: (line: LogLine) => void },
  wish: LogWish,
): Promise<void> {
  const seen = new Map<string, string>()
  for (const line of await readLogs(hosts, mask, wish)) {
    seen.set(line.container, line.at)
    print(line)
  }
  const known = new Set<string>()
  const followed = new Set<string>()
  const engines = hosts.map((host) => ({ host, docker: openDocker(host.exec, mask, { signal }) }))
  for (let first = true; !signal.aborted; first = false) {
    for (const { host, docker } of engines) {
      const all = await sourcesOn(host, docker, wish).catch(() => []) // an engine that is restarting answers again
      for (const { container } of all.filter((source) => isUp(source.container))) {
        const { id, name } = container
        if (followed.has(id)) continue
        followed.add(id)
        // Of a container that was there, only what is new; of one that was made since, all.
        const since = seen.get(name) ?? (first ? new Date(clock.now()).toISOString() : wish.since)
        const isNew = !first && !known.has(id)
        known.add(id)
        const onLine = (line: LogLine) => {
          if (line.at <= (seen.get(name) ?? '')) return
          seen.set(name, line.at)
          print(line)
        }
        void follow({ host, docker, container }, isNew ? undefined : since, onLine).finally(() => followed.delete(id))
      }
    }
    await clock.sleep(LOOK)
  }
}

async function sourcesOn(host: Host, docker: Docker, { project, services }: LogWish): Promise<Source[]> {
  const all = await listContainers(docker, project)
  const wanted = all.filter(({ service }) => services.length === 0 || services.includes(service))
  return wanted.map((container) => ({ host, docker, container }))
}

async function linesOf(source: Source, { tail, since, until }: LogWish): Promise<LogLine[]> {
  const lines: LogLine[] = []
  const onLine = (text: string) => lines.push(parseLine(source, text))
  const flags = { timestamps: true, tail, since, until }
  await logs(source.docker, [source.container.id], { flags, onLine, limit: 4096, timeout: LONGEST })
  return lines
}

async function follow(source: Source, since: string | undefined, print: (line: LogLine) => void): Promise<void> {
  const flags = { timestamps: true, follow: true, since }
  const onLine = (text: string) => print(parseLine(source, text))
  const how = { flags, onLine, limit: 4096, timeout: LONGEST, outlive: 0 }
  await logs(source.docker, [source.container.id], how).catch(() => undefined)
}

function parseLine({ host, container }: Source, text: string): LogLine {
  const [, at = '', line = ''] = /^(\S+Z) ?(.*)$/s.exec(text) ?? [undefined, '', text]
  return { host: host.name, service: container.service, container: container.name, at, line }
}
