import { type Docker, openDocker } from '../../docker/client.ts'
import { listServices } from '../../docker/swarm/services.ts'
import { serviceLogs } from '../../docker/swarm/stack.ts'
import type { Host } from '../../hosts/host.ts'
import type { Mask } from '../../secrets/mask.ts'
import { DAY } from '../../util/duration.ts'
import { compare } from '../../util/format.ts'
import type { followLogs, LogLine, LogWish } from '../logs.ts'

// On a Swarm the manager gathers the lines of all nodes, also of tasks that come later.

/** @returns the lines that the tasks of services have printed, merged by their time */
export async function readStackLogs([host]: readonly Host[], mask: Mask, wish: LogWish): Promise<LogLine[]> {
  if (host === undefined) return []
  const docker = openDocker(host.exec, mask)
  const lines: LogLine[] = []
  const each = (await servicesOf(docker, wish)).map((service) =>
    follow(docker, service, wish, { follow: false, print: (line) => void lines.push(line) }),
  )
  await Promise.all(each)
  return lines.toSorted((a, b) => compare(a.at, b.at) || compare(a.container, b.container))
}

/** Prints lines as they come, until the signal. */
export async function followStackLogs(
  [host]: readonly Host[],
  { mask, signal, print }: Parameters<typeof followLogs>[1],
  wish: LogWish,
): Promise<void> {
  if (host === undefined) return
  const docker = openDocker(host.exec, mask, { signal })
  const names = await servicesOf(docker, wish)
  await Promise.all(names.map((service) => follow(docker, service, wish, { follow: true, print })))
}

async function servicesOf(docker: Docker, { project, services }: LogWish): Promise<string[]> {
  const all = (await listServices(docker, project)).map(({ service }) => service)
  return all.filter((service) => services.length === 0 || services.includes(service))
}

async function follow(
  docker: Docker,
  service: string,
  { project, tail, since }: LogWish,
  how: { readonly follow: boolean; readonly print: (line: LogLine) => void },
): Promise<void> {
  const flags = { timestamps: true, 'no-task-ids': true, 'no-trunc': true, tail, since, follow: how.follow }
  const onLine = (text: string) => {
    how.print(parseLine(service, project, text))
  }
  await serviceLogs(docker, [`${project}_${service}`], { flags, onLine, limit: 4096, timeout: DAY, outlive: 0 })
}

/** @param text `<time> shop_web.1@node-2    | the line` */
function parseLine(service: string, stack: string, text: string): LogLine {
  const [, at = '', task = '', host = '', line = ''] = /^(\S+Z) ([^\s@|]+)@(\S+)\s*\| ?(.*)$/s.exec(text) ?? [
    '',
    '',
    '',
    '',
    text,
  ]
  return { host, service, container: task.replace(`${stack}_`, ''), at, line }
}
