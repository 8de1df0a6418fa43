import type { StoredConfig } from '../../docker/swarm/store.ts'
import { sha256 } from '../state/manifest.ts'

/** What the configs of an environment in the Swarm are called. */
export interface StorePlace {
  /** `<project>/<environment>`: the value of the label that all of them have */
  readonly store: string
  readonly environment: string
  /** of each name */
  readonly prefix: string
}

/** Characters of the readable part of a name: Swarm takes 64 in all. */
const READABLE = 20

export function swarmPlace(project: string, environment: string): StorePlace {
  const store = `${project}/${environment}`
  const readable = `${project}-${environment}`.slice(0, READABLE).replace(/[^a-z0-9]+$/, '')
  return { store, environment, prefix: `stagecraft.${readable}.${sha256(store).slice(0, 8)}` }
}

/** `state`: all releases; `lock`: who works on it; `hold`: who froze it. The one with the highest number counts. */
export type Kind = 'state' | 'lock' | 'hold'

export function numbered({ prefix }: StorePlace, kind: Kind, number: number): string {
  return `${prefix}.${kind}.${number}`
}

/** @returns the beginning of the names of parts of a state */
export function partPrefix({ prefix }: StorePlace): string {
  return `${prefix}.part.`
}

/** A config of a kind that counts by its number. */
export interface Numbered extends StoredConfig {
  readonly number: number
}

/** The configs of an environment at one moment. */
export interface Listing {
  /** each kind, lowest number first */
  readonly all: Readonly<Record<Kind, readonly Numbered[]>>
  readonly parts: readonly string[]
}

export function listingOf(place: StorePlace, configs: readonly StoredConfig[]): Listing {
  const of = (kind: Kind): Numbered[] => {
    const prefix = `${place.prefix}.${kind}.`
    return configs
      .filter(({ name }) => name.startsWith(prefix) && /^[1-9]\d{0,14}$/.test(name.slice(prefix.length)))
      .map((config) => ({ ...config, number: Number(config.name.slice(prefix.length)) }))
      .toSorted((a, b) => a.number - b.number)
  }
  const parts = configs.flatMap(({ name }) => (name.startsWith(partPrefix(place)) ? [name] : []))
  return { all: { state: of('state'), lock: of('lock'), hold: of('hold') }, parts }
}

/** @returns the one that counts */
export function latest(listing: Listing, kind: Kind): Numbered | undefined {
  return listing.all[kind].at(-1)
}
