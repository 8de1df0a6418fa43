import type { Container } from '../docker/inspect.ts'
import type { RoutingTable } from '../plan/routes/table.ts'
import type { BundleRef } from './bundle/ref.ts'

/** A container as it was before a rollout: what is needed to restore it. */
export type Before = Pick<Container, 'id' | 'name' | 'service' | 'image' | 'state' | 'health'>

/**
 * What a rollout is about to change, written to the bundle before the change (spec/core/recovery.md). If the run dies, the
 * next one undoes or finishes the rollout by the journal alone. It is removed once nothing is left to undo or finish.
 */
export interface Journal {
  /** prepare: the live containers are untouched. switch: they are replaced. retire: the new release is live; old ones are removed. */
  readonly step: 'prepare' | 'switch' | 'retire'
  readonly began_at: string
  /** the same, by the engine's clock; absent if an earlier version wrote it, or if there was nothing to do */
  readonly engine_time?: string
  /** the containers of the Compose project */
  readonly before: readonly Before[]
  /** ids of the containers that the release made and saw */
  readonly made: readonly string[]
  /** services that docker changed, or was about to change */
  readonly touched: readonly string[]
  /** networks that are removed so that Compose recreates them */
  readonly replaced: readonly string[]
  /** networks that nothing uses any more once the release is live */
  readonly unused: readonly string[]
  /** services whose new containers start alongside the old ones, which are removed once the release is live */
  readonly rolling?: readonly string[]
  /** services whose containers get new anonymous volumes: the old ones had only files of their image */
  readonly renewed?: readonly string[]
  /** the routes of the proxy before this release; absent: the release does not use the proxy */
  readonly routing?: RoutingTable
  /** a port passes from one service to another */
  readonly handover: boolean
  /** the model that restores the previous containers; absent: there is none */
  readonly served?: BundleRef
}

/** Keeps the journal of a rollout that is under way. Every call but `switch` has written it when it returns. */
export interface Recorder {
  readonly journal: Journal
  /** nothing has been changed yet */
  readonly untouched: boolean
  /** these services are about to change */
  touch(services: readonly string[]): void
  /** these containers are new */
  made(ids: readonly string[]): void
  /** of the services `among`, exactly these are about to get new anonymous volumes */
  renews(services: readonly string[], among: readonly string[]): void
  /** from now on containers are replaced */
  switch(): void
  /** the routes of the proxy are about to change */
  routes(): void
}

/** @param write saves the journal; an error of it stops the rollout before the change */
export function openRecorder(begin: Journal, write: (journal: Journal) => void): Recorder {
  let journal = begin
  let untouched = true
  const add = (key: 'touched' | 'made', more: readonly string[]) => {
    const added = more.filter((one) => !journal[key].includes(one))
    if (added.length === 0) return
    journal = { ...journal, [key]: [...journal[key], ...added] }
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
    renews(services, among) {
      const others = (journal.renewed ?? []).filter((service) => !among.includes(service))
      journal = { ...journal, renewed: [...others, ...services] }
      write(journal)
    },
    routes() {
      untouched = false
      write(journal)
    },
    switch() {
      journal = { ...journal, step: 'switch' } // written by the next call, before the first container is replaced
    },
  }
}

/** @returns what a journal keeps about a container: no field that could contain a secret */
export function asBefore({ id, name, service, image, state, health }: Container): Before {
  return { id, name, service, image, state, health }
}
