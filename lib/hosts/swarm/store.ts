import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Docker } from '../../docker/client.ts'
import { whileElecting } from '../../docker/swarm/election.ts'
import { createStored, listStored, readStored, removeStored } from '../../docker/swarm/store.ts'
import type { Clock } from '../../system/clock.ts'
import type { Known } from '../state/known.ts'
import { emptyCopy, fillCopy, lookAtCopy, readHoldText } from './copy.ts'
import { changedMeanwhile, unusableConfig } from './errors.ts'
import { filesOf, type Head, headText, nextHead, type Pack, parseHead, partsOf } from './format.ts'
import { type Kind, type Listing, latest, listingOf, numbered, partPrefix, type StorePlace } from './place.ts'

/** The releases of an environment in the Swarm, and the copy of them here that a command works on. */
export interface SwarmStore {
  readonly docker: Docker
  readonly clock: Clock
  readonly place: StorePlace
  /** the copy */
  readonly folder: string
  /** when it was last looked at */
  listing: Listing
  /** the state that the copy was made from; 0: there is none */
  number: number
  head: Head
  files: Known['files']
  /** a hold: its number in the Swarm, and its description in the copy */
  hold: { readonly number: number; readonly text: string }
  /** a write whose answer may have been lost */
  tried: Tried | undefined
  /** the writes, one after the other */
  keeping: Promise<unknown>
}

interface Tried {
  readonly head: Head
  readonly files: Known['files']
}

/** What a hold's config says once it has ended. */
export const NONE = 'none'

const EMPTY: Head = { write: '', packs: [] }

/** @param folder is created, and must not exist */
export function openStore(docker: Docker, clock: Clock, place: StorePlace, folder: string): SwarmStore {
  emptyCopy(folder)
  return {
    ...{ docker, clock, place, folder },
    listing: listingOf(place, []),
    ...{ number: 0, head: EMPTY, files: new Map(), tried: undefined },
    hold: { number: 0, text: '' },
    keeping: Promise.resolve(),
  }
}

/** Looks at what there is, without reading it. @throws failed (5), unreachable (8) */
export async function look(store: SwarmStore): Promise<Listing> {
  const { docker, place, clock } = store
  store.listing = listingOf(place, await whileElecting(clock, () => listStored(docker, place.store)))
  return store.listing
}

/** Attempts to read a state while somebody else keeps writing. */
const TRIES = 10

/** Makes the copy the same as the newest state. @throws state (9), unreachable (8) */
export async function refresh(store: SwarmStore): Promise<void> {
  for (let tries = 1; ; tries++) {
    const listing = await look(store)
    const newest = latest(listing, 'state')
    const head = newest === undefined ? EMPTY : await readHead(store, newest.name)
    // A config is gone: somebody has written meanwhile, and removed an older state.
    const files = head && (await readFiles(store, head, tries === TRIES))
    if (head === undefined || files === undefined) {
      if (tries < TRIES) continue
      throw unusableConfig(store.place, newest?.name ?? '', 'is gone')
    }
    const hold = latest(listing, 'hold')
    const text = hold === undefined || hold.value === NONE ? '' : hold.value
    fillCopy(store.folder, files, { environment: store.place.environment, text })
    store.number = newest?.number ?? 0
    store.head = head
    store.files = lookAtCopy(store.folder, new Map())
    store.hold = { number: hold?.number ?? 0, text: readHoldText(store.folder, store.place.environment) }
    store.tried = undefined
    return
  }
}

async function readHead({ docker, place, clock }: SwarmStore, name: string): Promise<Head | undefined> {
  const text = (await whileElecting(clock, () => readStored(docker, [name]))).get(name)
  if (text === undefined) return undefined
  const head = parseHead(text, partPrefix(place))
  if (head === undefined) throw unusableConfig(place, name, 'holds what Stagecraft never writes')
  return head
}

/** @returns undefined: a config is gone @param isLast then that is an error */
async function readFiles({ docker, place, clock }: SwarmStore, { packs }: Head, isLast: boolean) {
  const names = [...new Set(partsOf(packs))]
  const texts = names.length === 0 ? new Map() : await whileElecting(clock, () => readStored(docker, names))
  const gone = names.find((name) => !texts.has(name))
  if (gone !== undefined && isLast) throw unusableConfig(place, gone, 'is gone')
  if (gone !== undefined) return undefined
  const files = filesOf(packs, texts)
  if (files instanceof Map) return files
  const of = packs.find(({ entries }) => entries.some(({ path }) => path === files))?.data
  throw unusableConfig(place, Array.isArray(of) ? of.join(', ') : 'of the state', 'is not what was written', files)
}

/** Writes what was changed in the copy. @throws state (9) if somebody else has written, failed (5), unreachable (8) */
export async function persist(store: SwarmStore): Promise<void> {
  const mine = store.keeping.then(() => keep(store))
  store.keeping = mine.catch(() => {})
  await mine
}

async function keep(store: SwarmStore): Promise<void> {
  await keepHold(store)
  const files = lookAtCopy(store.folder, store.files)
  const isSame =
    files.size === store.files.size && [...files].every(([path, one]) => store.files.get(path)?.hash === one.hash)
  if (isSame) return
  const write = crypto.randomUUID()
  const named = () => `${partPrefix(store.place)}${crypto.randomUUID().replaceAll('-', '').slice(0, 16)}`
  const read = (path: string) => fs.readFileSync(join(store.folder, path))
  const { packs, parts } = nextHead(store.head.packs, files.values(), read, named)
  for (const { name, text } of parts) await create(store, name, '', text)
  await keepHead(store, { head: { write, packs }, files })
}

/** Its name is the next number: of two that write the next state, one succeeds. */
async function keepHead(store: SwarmStore, next: Tried): Promise<void> {
  const { place, tried } = store
  const number = store.number + 1
  store.tried = next
  const isMade = await create(store, numbered(place, 'state', number), next.head.write, headText(next.head))
  const listing = await look(store)
  const newest = latest(listing, 'state')
  if (newest?.number === number && newest.value === next.head.write) return kept(store, number, next, listing)
  // This one was too late: states up to a later one have been removed already.
  if (isMade) await remove(store, [numbered(place, 'state', number)])
  const isEarlier = newest?.number === number && newest.value === tried?.head.write
  if (tried === undefined || !isEarlier) throw changedMeanwhile(place)
  await kept(store, number, tried, listing) // the answer to the write before was lost
  await keep(store)
}

/** States that stay until they are tidied away: for commands that are just reading one, and so that a late writer finds its name taken. */
const MOST_STATES = 8

async function kept(store: SwarmStore, number: number, { head, files }: Tried, listing: Listing): Promise<void> {
  const before = store.head.packs
  Object.assign(store, { number, head, files, tried: undefined })
  if (listing.all.state.length > MOST_STATES) await tidy(store, listing, before)
}

/**
 * Removes older states, and what only they need.
 * @param listing when this state was the newest @param before of the state before: somebody may be reading it
 */
export async function tidy(
  store: SwarmStore,
  listing: Listing,
  before: readonly Pack[] = store.head.packs,
): Promise<void> {
  const { number, head } = store
  const states = listing.all.state.filter((one) => one.number < number - 1).map(({ name }) => name)
  const needed = new Set([...partsOf(head.packs), ...partsOf(before)])
  const parts = listing.parts.filter((name) => !needed.has(name))
  await remove(store, [...states, ...parts])
}

/** @returns false: there is one of that name. It may be this very one, if the answer was lost. */
async function create({ docker, clock, place }: SwarmStore, name: string, value: string, text: string) {
  return whileElecting(clock, () => createStored(docker, place.store, { name, value }, text))
}

async function remove({ docker, clock }: SwarmStore, names: readonly string[]): Promise<boolean> {
  return names.length === 0 || whileElecting(clock, () => removeStored(docker, names))
}

/** A person's hold is replaced only if it is as it was read. */
async function keepHold(store: SwarmStore): Promise<void> {
  const text = readHoldText(store.folder, store.place.environment)
  if (text === store.hold.text) return
  const value = text === '' ? NONE : JSON.stringify(JSON.parse(text))
  if (!(await advance(store, 'hold', store.hold.number, value))) throw changedMeanwhile(store.place)
  store.hold = { number: store.hold.number + 1, text }
}

/**
 * Makes the next one of a kind, if nobody else has, and removes those before.
 * @param from the number of the one that it follows @param isOurs of a value @returns whether it is the newest now
 */
export async function advance(
  store: SwarmStore,
  kind: Kind,
  from: number,
  value: string,
  isOurs = (one: string) => one === value,
): Promise<boolean> {
  const { place } = store
  const number = from + 1
  const isMade = await create(store, numbered(place, kind, number), value, TEXT)
  const listing = await look(store)
  const newest = latest(listing, kind)
  const isNewest = newest?.number === number && isOurs(newest.value)
  const older = listing.all[kind].filter((one) => one.number < (newest?.number ?? 0))
  // Among the older ones may be this one, if it came too late.
  if (isNewest || isMade)
    await remove(
      store,
      older.map(({ name }) => name),
    ).catch(() => {}) // the next one does it
  return isNewest
}

/** Swarm takes no empty config. */
const TEXT = 'See its labels: docker config inspect\n'
