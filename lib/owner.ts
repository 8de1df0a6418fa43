import { type Docker, listContainers } from './docker.ts'

/** Who keeps the releases of a Compose project: every engine that runs it has it written down (spec/core/ownership.md). */
export interface Owner {
  /** the first host of the environment (lib/host.ts, key), or the machine whose checkout it is; empty: not known */
  readonly host: string
  /** the folder of releases.json there; empty: not known */
  readonly root: string
  /** undefined: written down by a version that did not say */
  readonly environment?: string | undefined
}

const LABELS = {
  host: 'stagecraft.host',
  root: 'stagecraft.root',
  environment: 'stagecraft.environment',
} as const
const PREFIX = 'stagecraft-'

/** @returns who keeps the releases of what an engine runs, by Compose project, as it is written down there */
export async function readOwners(docker: Docker): Promise<ReadonlyMap<string, Owner>> {
  const format = ['{{.Name}}', ...Object.values(LABELS).map((label) => `{{.Label "${label}"}}`)].join('\t')
  const args = ['volume', 'ls', '--filter', `label=${LABELS.root}`, '--format', format]
  const { stdout } = await docker.run('list volumes', args, { asks: true })
  return new Map(
    stdout
      .split('\n')
      .filter((line) => line.startsWith(PREFIX) && line.split('\t')[2] !== '')
      .map((line) => {
        const [name = '', host = '', root = '', environment = ''] = line.split('\t')
        return [name.slice(PREFIX.length), { host, root, ...(environment === '' ? {} : { environment }) }]
      }),
  )
}

/**
 * Writes down on an engine who keeps the releases of a Compose project. Nothing is in the volume but its labels.
 * @param instead of what is written there; a volume without labels of ours says nothing, and is replaced too
 */
export async function record(docker: Docker, project: string, owner: Owner, instead: boolean): Promise<void> {
  const name = `${PREFIX}${project}`
  const labels = Object.entries(LABELS).flatMap(([key, label]) => {
    const value = owner[key as keyof typeof LABELS]
    return value === undefined ? [] : ['--label', `${label}=${value}`]
  })
  const create = () => docker.run(`make volume ${name}`, ['volume', 'create', ...labels, name])
  const remove = () => docker.run(`remove volume ${name}`, ['volume', 'rm', name])
  if (instead) await remove()
  await create()
  if (instead || (await readOwners(docker)).has(project)) return
  await remove() // there was a volume of that name already
  await create()
}

/** A release whose containers run, as they say themselves. */
export interface Runs {
  readonly release: string
  /** folders that may keep its history: where its model was, and what Compose was told is the project's folder */
  readonly roots: readonly string[]
}

/**
 * What no prune takes away while a project runs: its containers say which model they were made from, and so of which release.
 * @returns undefined where nothing of it was released by us
 */
export async function runningRelease(docker: Docker, project: string): Promise<Runs | undefined> {
  const found = (await listContainers(docker, project)).flatMap(({ configFiles, workingFolder }): Runs[] => {
    const [, root, release] = /^(.*)\/releases\/(rel-\d{8}-\d{9}[^/]*)\//.exec(configFiles) ?? []
    return root === undefined || release === undefined ? [] : [{ release, roots: [root, workingFolder] }]
  })
  return found.toSorted((a, b) => (a.release < b.release ? 1 : -1))[0]
}
