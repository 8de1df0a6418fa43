import { table } from '../../util/format.ts'
import type { IgnoredFile } from './ignores.ts'
import type { Running } from './running.ts'
import { environmentName, SCHEMA_FILE } from './template/config-file.ts'
import type { TemplateInput } from './template/input.ts'

interface Written {
  readonly isSchemaNew: boolean
  readonly ignored: readonly IgnoredFile[]
  readonly running: Running | undefined
}

/** @returns what was written and found, a line for each */
export function summary(input: TemplateInput, { isSchemaNew, ignored, running }: Written): string[] {
  const { project, hosts, migrations, databases, folders } = input
  const where = hosts.length === 0 ? '' : ` on ${hosts.join(', ')}`
  const found = (what: string, why: string) => ['found', what, why]
  return table([
    ['wrote', 'stagecraft.yml', `project ${project}, environment ${environmentName(input)}${where}`],
    ...(isSchemaNew ? [['wrote', SCHEMA_FILE, 'for editors: commit it']] : []),
    ...runningRows(running),
    ...exposeRows(input).map(([what = '', why = '']) => found(what, why)),
    ...Object.keys(databases).map((name) => found(name, 'keeps data: no deploy restarts it')),
    ...migrations.map((job) => found(job, 'migrates before new containers start')),
    ...Object.keys(folders).map((path) => found(path, 'data: it stays in place')),
    ...ignored.flatMap(({ change, file, lines }) => (change === 'unchanged' ? [] : [[change, file, lines.join(' ')]])),
  ])
}

function runningRows(running: Running | undefined): string[][] {
  if (running === undefined) return []
  const { project, containers } = running
  const count = containers.length === 1 ? '1 container' : `${containers.length} containers`
  return [['found', project, `${count} of it: the first deploy takes over what runs`]]
}

function exposeRows({ expose, domain }: TemplateInput): string[][] {
  if (expose === undefined) return []
  const { service, port, published, proxy } = expose
  if (domain === undefined) return [[service, `answers HTTP on port ${port}: see stagecraft.yml`]]
  const first = proxy === undefined && published === undefined ? '' : '; see stagecraft.yml first'
  return [[service, `https://${domain} → port ${port}${first}`]]
}

/** @param well what doctor says of the hosts; undefined: there are none */
export function nextLine(well?: boolean): string {
  if (well !== false) return 'next: stagecraft plan'
  return 'next: solve what is BAD (on a bare server: stagecraft bootstrap), then stagecraft doctor'
}
