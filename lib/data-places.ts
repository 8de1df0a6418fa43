import type { ComposeModel, Service } from './compose.ts'

/** What a service keeps, as a release on one host has it. */
export interface Keeps {
  readonly service: string
  /** the same for the same data: the engine's name of a volume, or a path */
  readonly key: string
  /** for people */
  readonly what: string
  /** where its container finds it */
  readonly target: string
  /** of the engine; undefined: it is a folder */
  readonly volume?: string
  /** of the host */
  readonly folder?: string
}

/**
 * @param below what the folders of a host's data are below: whatever the root of each host, they are the same data
 * @returns what the services of a release keep. A socket is no data, nor is what only the engine's machine has (devices)
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

/** @returns whether a service keeps something that no mount of the model shows: an anonymous volume, or one that its image declares */
export function keepsUnnamed({ volumes = [] }: Service, image: { readonly volumes: boolean } | undefined): boolean {
  return image?.volumes === true || volumes.some(({ type, source = '' }) => type === 'volume' && source === '')
}

/** A service that is to mount something else than its live release does. */
export interface Replaced {
  readonly before: Keeps
  readonly now: Keeps
}

/**
 * @returns what would begin anew where a service has it already: another volume or folder at the same place of its container, or
 * one that it did not have while one that it had is left out
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

/** What is on a host that it was not on, and is no more on one where it was. */
export interface MovedData {
  /** as it is where it was */
  readonly kept: Keeps
  /** hosts, by their keys */
  readonly from: readonly string[]
  readonly to: readonly string[]
}

/** @param before what each host has, by its key @returns what moves. More hosts for the same data is no move: it stays where it was */
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
