import type { ComposeModel, Service } from './model.ts'

/** Data of a service in a release on one host. */
export interface Keeps {
  readonly service: string
  /** the same for the same data: the engine's name of a volume, or a path */
  readonly key: string
  /** for people */
  readonly what: string
  /** the path in the container */
  readonly target: string
  /** the engine's name of the volume; undefined: it is a folder */
  readonly volume?: string
  /** the path on the host */
  readonly folder?: string
}

/**
 * @param below the parents of hosts' data folders: the same path below them is the same data, whatever each host's root
 * @returns the data of a release's services, without sockets and paths that only the engine's machine has (devices)
 */
export function keptBy(model: ComposeModel, below: readonly string[]): Keeps[] {
  return Object.entries(model.services).flatMap(([service, definition]) =>
    (definition.volumes ?? []).flatMap((mount): Keeps[] => {
      const { type, source = '', target, read_only } = mount
      if (type === 'volume' && source !== '') {
        const volume = model.volumes?.[source]?.name ?? `${model.name}_${source}`
        return [{ service, key: `volume ${volume}`, what: `volume ${volume}`, target, volume }]
      }
      if (type !== 'bind' || read_only === true || NO_DATA.test(source)) return []
      const found = below.find((folder) => source.includes(folder))
      const path = found === undefined ? source : `./${source.slice(source.indexOf(found) + found.length)}`
      return [{ service, key: `folder ${path}`, what: path, target, folder: source }]
    }),
  )
}

const NO_DATA = /\.sock$|^\/(dev(?!\/shm\/)|proc|sys|run|var\/run)(\/|$)/

/** @returns whether a service has data that the model does not name: an anonymous volume, or one that its image declares */
export function keepsUnnamed({ volumes = [] }: Service, image: { readonly volumes: boolean } | undefined): boolean {
  return image?.volumes === true || volumes.some(({ type, source = '' }) => type === 'volume' && source === '')
}

/** Data of the live release, and what its service will mount instead. */
export interface Replaced {
  readonly before: Keeps
  readonly now: Keeps
}

/**
 * @returns data that would start empty although the service already has some: another volume or folder at the same path in its
 * container, or a new one while an old one is no longer mounted
 */
export function replacedBy(before: readonly Keeps[], now: readonly Keeps[]): Replaced[] {
  return now.flatMap((mount) => {
    const had = before.filter(({ service }) => service === mount.service)
    if (had.some(({ key, folder }) => key === mount.key && folder === mount.folder)) return []
    const has = now.filter(({ service }) => service === mount.service)
    const left = had.filter((old) => !has.some(({ key, folder }) => key === old.key && folder === old.folder))
    const old =
      left.find(({ key }) => key === mount.key) ?? left.find(({ target }) => target === mount.target) ?? left[0]
    return old === undefined ? [] : [{ before: old, now: mount }]
  })
}

/** Data that is used on a new host, and no longer on an old one. */
export interface MovedData {
  /** as it is on the old host */
  readonly kept: Keeps
  /** hosts, by their keys */
  readonly from: readonly string[]
  readonly to: readonly string[]
}

/** @param before each host's data, by its key @returns the data that moves. Data that is only added to more hosts does not move */
export function movedData(
  before: ReadonlyMap<string, readonly Keeps[]>,
  now: ReadonlyMap<string, readonly Keeps[]>,
): MovedData[] {
  const hostsOf = (all: ReadonlyMap<string, readonly Keeps[]>, key: string) =>
    [...all].filter(([, list]) => list.some((kept) => kept.key === key)).map(([host]) => host)
  const all = new Map([...before.values()].flat().map((kept) => [kept.key, kept]))
  return [...all.values()].flatMap((kept) => {
    const [was, is] = [hostsOf(before, kept.key), hostsOf(now, kept.key)]
    const from = was.filter((host) => !is.includes(host))
    const to = is.filter((host) => !was.includes(host))
    return from.length === 0 || to.length === 0 ? [] : [{ kept, from, to }]
  })
}
