import type { Docker } from '../docker/client.ts'
import { listContainers } from '../docker/containers.ts'
import { createConfig, listConfigs, removeConfigs } from '../docker/swarm/objects.ts'
import { createVolume, listVolumes, removeVolumes } from '../docker/volumes/commands.ts'
import type * as contract from '../output/contract/results.ts'
import type { Of } from '../util/schema.ts'

/** Where the releases of a Compose project are kept, as every engine that runs it has recorded (spec/core/ownership.md). */
export type HistoryOwner = Of<typeof contract.owner>

const LABELS = {
  host: 'stagecraft.host',
  root: 'stagecraft.root',
  environment: 'stagecraft.environment',
} as const
const PREFIX = 'stagecraft-'

/** What has the labels: empty volumes of an engine, or empty configs of a Swarm. */
const MARKS = {
  volumes: { list: listVolumes, create: createVolume, remove: removeVolumes },
  configs: { list: listConfigs, create: createConfig, remove: removeConfigs },
} as const

type Marks = keyof typeof MARKS

/** @returns the owners recorded on an engine, by Compose project */
export async function readOwners(docker: Docker, marks: Marks = 'volumes'): Promise<ReadonlyMap<string, HistoryOwner>> {
  const volumes = await MARKS[marks].list(docker, LABELS.root, Object.values(LABELS))
  return new Map(
    volumes
      .filter(([name = '', , root]) => name.startsWith(PREFIX) && root !== '')
      .map(([name = '', host = '', root = '', environment = '']) => {
        return [name.slice(PREFIX.length), { host, root, ...(environment === '' ? {} : { environment }) }]
      }),
  )
}

/**
 * Records on an engine where the releases of a Compose project are kept: in the labels of an empty volume, or of a config.
 * @param instead replace the owner that is recorded; a volume without our labels is always replaced
 */
export async function record(
  docker: Docker,
  project: string,
  owner: HistoryOwner,
  { instead, marks = 'volumes' }: { readonly instead: boolean; readonly marks?: Marks | undefined },
): Promise<void> {
  const name = `${PREFIX}${project}`
  const labels = Object.entries(LABELS).flatMap(([key, label]) => {
    const value = owner[key as keyof typeof LABELS]
    return value === undefined ? [] : [`${label}=${value}`]
  })
  const create = () => MARKS[marks].create(docker, [name], { flags: { label: labels }, what: `make volume ${name}` })
  const remove = () => MARKS[marks].remove(docker, [name], { what: `remove volume ${name}` })
  if (instead) await remove()
  await create()
  if (instead || (await readOwners(docker, marks)).has(project)) return
  await remove() // a volume of that name without our labels
  await create()
}

/** Removes the record of who keeps the releases of a project. */
export async function forget(docker: Docker, project: string, marks: Marks = 'volumes'): Promise<void> {
  const name = `${PREFIX}${project}`
  if ((await readOwners(docker, marks)).has(project))
    await MARKS[marks].remove(docker, [name], { what: `remove volume ${name}` })
}

/** A release whose containers run, by the labels of the containers. */
export interface Runs {
  readonly release: string
  /** folders that may keep its history: that of its model, and Compose's project folder */
  readonly roots: readonly string[]
}

/**
 * Finds the newest running release. No prune removes this information: the containers name the model that they were made from.
 * @returns undefined if no container of the project was released by Stagecraft
 */
export async function runningRelease(docker: Docker, project: string): Promise<Runs | undefined> {
  const found = (await listContainers(docker, project)).flatMap(({ configFiles, workingFolder }): Runs[] => {
    const [, root, release] = /^(.*)\/releases\/(rel-\d{8}-\d{9}[^/]*)\//.exec(configFiles) ?? []
    return root === undefined || release === undefined ? [] : [{ release, roots: [root, workingFolder] }]
  })
  return found.toSorted((a, b) => (a.release < b.release ? 1 : -1))[0]
}
