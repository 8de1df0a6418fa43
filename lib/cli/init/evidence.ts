import { readdirSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import { isInside } from '../../compose/content-store.ts'
import type { ComposeModel, Mount, Service } from '../../compose/model.ts'
import { isRenewed, looksLike } from '../../compose/path-names.ts'
import { CONTROL } from '../../config/fields.ts'
import { dataOf } from '../../project/placement.ts'
import { type Exposure, exposureIn, type Images, knownName, placeOf } from './expose.ts'
import { NO_FACTS } from './images/facts.ts'
import { DATABASE, DATABASE_PATH } from './known-images.ts'
import { isJob, migrationJobs } from './migrations.ts'

/** What a Compose file and its images reveal about the use of the services. */
export interface Evidence {
  /** a service that is reached from outside, and where it listens */
  readonly expose?: Exposure
  /** databases, queues and stores that keep data, and where: `the volume data`, `./data` */
  readonly databases: Readonly<Record<string, string>>
  /** jobs that others wait for, and that migrate a database */
  readonly migrations: readonly string[]
  /** folders of the project in which services keep data, as people write them, and the services */
  readonly folders: Readonly<Record<string, readonly string[]>>
  /** folders that are mounted writable, but have files in them that are probably configuration or code */
  readonly unclear: Readonly<Record<string, readonly string[]>>
  /** paths that something renews and that are mounted read-only, as people write them */
  readonly renewed: readonly string[]
  /** services with data, which each host would have by itself */
  readonly keeping: readonly string[]
  /** whether any image is built */
  readonly builds: boolean
}

/** @param directory the project folder, absolute @param images what is known of each service's image */
export function evidenceIn(model: ComposeModel, directory: string, images: Images = {}): Evidence {
  const { services } = model
  const names = Object.keys(services).toSorted()
  const expose = exposureIn(model, directory, images)
  // A job uses a database's image to do something in the database, and ends.
  const databases = names.flatMap((name) => {
    const where = isJob(name, model) ? undefined : databaseAt(name, services[name] ?? {}, images, directory)
    return where === undefined ? [] : [[name, where] as const]
  })
  const binds = bindsIn(model, directory)
  return {
    ...(expose ? { expose } : {}),
    databases: Object.fromEntries(databases),
    migrations: migrationJobs(model),
    folders: foldersOf(binds.filter((bind) => isWritten(bind) && isData(bind))),
    unclear: foldersOf(binds.filter((bind) => isWritten(bind) && !isData(bind))),
    renewed: renewedIn(binds),
    keeping: names.filter((name) => dataOf(services[name] ?? {}) !== undefined && !isJob(name, model)),
    builds: names.some((name) => services[name]?.build),
  }
}

/** @returns where a known database keeps its data; undefined: it is none, or keeps none */
function databaseAt(name: string, service: Service, images: Images, directory: string): string | undefined {
  const image = knownName(service, images[name] ?? NO_FACTS)
  const kept = (service.volumes ?? []).find(
    ({ type, read_only, source = '', target }) =>
      ['volume', 'bind'].includes(type) &&
      read_only !== true &&
      mayBeData(source, target) &&
      (DATABASE.test(image) || (DATABASE_PATH.test(target) && !/backup/.test(`${name} ${image}`))),
  )
  if (kept === undefined) return undefined
  return placeOf(kept, directory)
}

/** Certificates, configuration and scripts are not data, even if they are not mounted read-only. */
function mayBeData(source: string, target: string): boolean {
  return !isRenewed(target) && !NO_DATA.test(target) && looksLike(source, target) === 'folder'
}

const NO_DATA = /\/(etc|conf|config|conf\.d|[\w-]*initdb\.d|logs?|scripts?|health-?checks?|plugins?|certs?)(\/[^/]*)?$/

/** A bind mount of a path in the project folder. */
interface Bind {
  readonly service: string
  readonly mount: Mount
  readonly source: string
  /** as people write it */
  readonly path: string
}

function bindsIn({ services }: ComposeModel, directory: string): Bind[] {
  return Object.entries(services).flatMap(([service, { volumes = [] }]) =>
    volumes.flatMap((mount) => {
      const { type, source = '' } = mount
      if (type !== 'bind' || source === directory || !isInside(directory, source) || CONTROL.test(source)) return []
      return [{ service, mount, source, path: `./${relative(directory, source)}` }]
    }),
  )
}

function isWritten({ mount, source }: Bind): boolean {
  return mount.read_only !== true && looksLike(source, mount.target) === 'folder' && !isFile(source)
}

/** Nobody has put anything into a folder that is missing or empty. What is in another may be code or configuration. */
function isData({ source, path, mount }: Bind): boolean {
  const { target } = mount
  if (target.startsWith('/etc/')) return false
  if (isEmpty(source) || target === '/config') return true // where linuxserver's images and Home Assistant keep all they have
  return !NO_DATA.test(target) && (DATA_NAME.test(path) || DATA_TARGET.test(target))
}

const DATA_NAME =
  /\/([\w.-]*[-_.])?(data|db|database|uploads?|storage|media|backups?|dumps?|library|postgres(ql)?|pgdata|mysql|mariadb|redis|mongo(db)?|minio)(\/|$)/i
const DATA_TARGET = /^\/(data|storage|media|uploads?|backups?|dumps?|var\/lib|bitnami)(\/|$)/

/** The engine or git makes such files: there is nothing in the folder that a container needs. */
const PLACEHOLDERS = ['.gitkeep', '.gitignore', '.keep', '.DS_Store']

/** A folder that may not be read belongs to what a container wrote. */
function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).every((name) => PLACEHOLDERS.includes(name))
  } catch {
    return true
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

function foldersOf(binds: readonly Bind[]): Record<string, readonly string[]> {
  const services = (path: string) => binds.flatMap((bind) => (bind.path === path ? [bind.service] : []))
  const paths = [...new Set(binds.map(({ path }) => path))].toSorted()
  return Object.fromEntries(paths.map((path) => [path, [...new Set(services(path))]]))
}

function renewedIn(binds: readonly Bind[]): string[] {
  const written = new Set(binds.flatMap(({ source, mount }) => (mount.read_only === true ? [] : [source])))
  const paths = binds.flatMap(({ source, path }) => (written.has(source) ? [] : [path]))
  return [...new Set(paths.filter(isRenewed))].toSorted()
}
