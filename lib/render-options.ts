import { join } from 'node:path'
import { contentStore } from './host.ts'
import type { Project } from './project.ts'
import type { RenderOptions } from './render.ts'

/** @param write keep the content files */
export function renderOptions(project: Project, write: boolean): RenderOptions {
  const { directory, host, data, variables, elsewhere } = project
  const dataAt = host.folder && join(host.folder, 'data')
  return { directory, store: contentStore(host, write), dataAt, data, variables, elsewhere }
}
