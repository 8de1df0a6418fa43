import { join } from 'node:path'
import type { RenderOptions } from '../compose/rendering.ts'
import { contentStore } from '../hosts/host.ts'
import type { Project } from './settings.ts'

/** @param write also write the content files */
export function renderOptions(project: Project, write: boolean): RenderOptions {
  const { directory, host, data, variables, elsewhere, environment } = project
  const dataAt = host.folder && join(host.folder, 'data')
  const mounts = environment.engine === 'swarm' ? { ownedWhenMounted: true } : {}
  return { directory, store: contentStore(host, write), dataAt, data, variables, elsewhere, ...mounts }
}
