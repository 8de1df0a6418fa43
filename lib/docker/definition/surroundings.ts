/** What a container's definition refers to. */
export interface Surroundings {
  /** the Compose project */
  readonly project: string
  /** the project's services by the ids of their containers */
  readonly services: ReadonlyMap<string, string>
  /** whether the service stays one with an anonymous volume at a path: Compose carries that over, here and back */
  readonly isCarried: (service: string, path: string) => boolean
  /** the keys that the model has for networks and volumes, by the engine's names */
  readonly keyOf: (kind: 'networks' | 'volumes', name: string) => string
}

/** Some keys of a service. Empty ones count as left out. */
export type Parts = Readonly<Record<string, unknown>>

/** Part of a service. */
export interface Definition {
  readonly service: Parts
  /** what Compose could not make again, in words */
  readonly lost: readonly string[]
}

/** @returns the entries that say something: Compose's defaults are the same as those that are left out */
export function withoutEmpty(parts: Parts): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parts).filter(([key, value]) => key === 'entrypoint' || !isEmpty(value)))
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true
  if (Array.isArray(value)) return value.length === 0
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** @returns a namespace as Compose writes it: `service:db`, `container:<id>`, `host` */
export function namespaceOf(mode: string, { services }: Surroundings): string {
  const [, id] = /^container:(.+)$/.exec(mode) ?? []
  const owner = id === undefined ? undefined : services.get(id)
  return owner === undefined ? mode : `service:${owner}`
}
