import { statSync } from 'node:fs'
import { isAbsolute, relative } from 'node:path'
import { StagecraftError } from '../../util/errors.ts'
import type { Problems } from '../../util/problems.ts'
import { displayPath } from '../bind-mounts.ts'
import { isInside } from '../content-store.ts'
import type { ComposeModel, FileMount, FileResource, Mount, Service } from '../model.ts'

/** Bytes of a config: the most that Swarm takes (swarmkit, MaxConfigSize). */
const MOST = 1_000 * 1_024

/**
 * The nodes of a Swarm do not have the project folder: a file of it that is mounted becomes a config. Paths elsewhere are those of
 * the nodes.
 * @param problems collects an error for what cannot be one: a folder, and what a service writes to
 */
export function bindsAsConfigs(model: ComposeModel, directory: string, problems: Problems): ComposeModel {
  const configs: Record<string, FileResource> = {}
  const services: Record<string, Service> = {}
  for (const [name, service] of Object.entries(model.services)) {
    const mounts = (service.volumes ?? []).filter((mount) => isOfProject(mount, directory))
    const files = mounts.flatMap((mount) => problems.try(() => asConfig(name, mount, directory)) ?? [])
    for (const { path, file } of files) configs[file.source] = { name: `${model.name}_${file.source}`, file: path }
    const kept = (service.volumes ?? []).filter((mount) => !mounts.includes(mount))
    services[name] =
      mounts.length === 0
        ? service
        : { ...service, volumes: kept, configs: [...(service.configs ?? []), ...files.map(({ file }) => file)] }
  }
  if (Object.keys(configs).length === 0) return { ...model, services }
  return { ...model, services, configs: { ...model.configs, ...configs } }
}

function isOfProject({ type, source = '' }: Mount, directory: string): boolean {
  return type === 'bind' && isAbsolute(source) && isInside(directory, source)
}

function asConfig(
  service: string,
  { source = '', target, read_only }: Mount,
  directory: string,
): { readonly path: string; readonly file: FileMount } {
  const path = displayPath(directory, source)
  const fail = (why: string) =>
    new StagecraftError('config', `Cannot mount ${path} into ${service} on a Swarm: ${why}`, {
      hint: 'Copy it into the image (COPY), or use a volume. A single file that is only read may be mounted with :ro.',
    })
  if (read_only !== true) throw fail('the nodes have no such path, and the service may write to it')
  const found = statSync(source, { throwIfNoEntry: false })
  if (found === undefined) throw fail('it does not exist')
  if (!found.isFile()) throw fail('it is a folder, and the nodes do not have it')
  if (found.size >= MOST) throw fail('it is larger than a config may be (1,024,000 bytes)')
  const key = `file-${relative(directory, source).replaceAll(/[^a-zA-Z0-9._-]/g, '-')}`
  return { path: source, file: { source: key, target, mode: found.mode & 0o777 } }
}
