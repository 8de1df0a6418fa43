import type { Container } from './docker.ts'
import type { Routed } from './routes.ts'

/** A container as it was before a rollout, as far as it takes to put it back. */
export type Before = Pick<Container, 'id' | 'name' | 'service' | 'image' | 'state' | 'health'>

/**
 * What a rollout is about to change, written to the bundle before it is done (spec/core/recovery.md): whoever comes after
 * a run that died undoes it, or finishes it, by this and nothing else. Gone once nothing is left to undo or finish.
 */
export interface Journal {
  /** prepare: what served is as it was. switch: services are replaced. retire: the release serves; what is gone goes. */
  readonly step: 'prepare' | 'switch' | 'retire'
  readonly began_at: string
  /** the same, by the engine's clock; absent where an earlier version wrote it, or nothing was to be done */
  readonly engine_time?: string
  /** the containers of the Compose project */
  readonly before: readonly Before[]
  /** ids of containers that the release made, as far as it came to know them */
  readonly made: readonly string[]
  /** services that Compose was, or was about to be, asked to do something about */
  readonly touched: readonly string[]
  /** networks that are removed so that Compose makes them anew */
  readonly replaced: readonly string[]
  /** networks that nothing uses any more once the release serves */
  readonly unused: readonly string[]
  /** services whose new containers are made beside the old ones; those go once the release serves */
  readonly rolling?: readonly string[]
  /** what the proxy did before this release; absent: it has no part in it */
  readonly routing?: Routed
  /** a port passes from one service to another */
  readonly handover: boolean
  /** folder, below that of the releases, of the model that brings back what served; absent: nothing is known of it */
  readonly served?: string
}

/** Keeps the journal of a rollout that is under way. Each call has written it before it returns. */
export interface Recorder {
  readonly journal: Journal
  /** nothing has been changed so far */
  readonly untouched: boolean
  /** these services are about to change */
  touch(services: readonly string[]): void
  /** these containers are new */
  made(ids: readonly string[]): void
  /** from here on services are replaced */
  switch(): void
  /** what the proxy does is about to change */
  routes(): void
}

/** @param write keeps the journal; what it throws stops the rollout before it changes more */
export function openRecorder(begin: Journal, write: (journal: Journal) => void): Recorder {
  let journal = begin
  let untouched = true
  const add = (key: 'touched' | 'made', more: readonly string[]) => {
    const fresh = more.filter((one) => !journal[key].includes(one))
    if (fresh.length === 0) return
    journal = { ...journal, [key]: [...journal[key], ...fresh] }
    write(journal)
  }
  return {
    get journal() {
      return journal
    },
    get untouched() {
      return untouched
    },
    touch(services) {
      untouched = false
      add('touched', services)
    },
    made: (ids) => add('made', ids),
    routes() {
      untouched = false
      write(journal)
    },
    switch() {
      journal = { ...journal, step: 'switch' } // written with the first service that is replaced
    },
  }
}

/** @returns what a journal keeps of a container: nothing that could hold a secret. */
export function asBefore({ id, name, service, image, state, health }: Container): Before {
  return { id, name, service, image, state, health }
}
