import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { DEFAULT_FILES } from '../../compose/model.ts'
import { findLive } from '../../record/bundle.ts'
import { openState, stateFile, stateFileIn } from '../../record/releases.ts'
import type { Release } from '../../record/releases-file/format.ts'

/** Where names are looked for. */
export interface Place {
  readonly directory: string
  readonly stateOverride: string | undefined
  /** undefined: all environments */
  readonly environment: string | undefined
}

/** A word that may come next, and what it means. */
export type Candidate = readonly [value: string, meaning?: string | undefined]

/** What names are of. */
export type Names = 'environments' | 'services' | 'releases' | 'versions' | 'databases' | 'hosts'

/** Most bytes of a YAML file, and releases, that are read while a person waits. */
const [MOST_BYTES, MOST_RELEASES] = [1_000_000, 100]

/**
 * Reads names from files of this machine, as well as that goes: no host and no engine is asked, and files with mistakes have the
 * names that can be read.
 */
export function namesOf(what: Names, place: Place): readonly Candidate[] {
  const settings = objectAt(readYaml(join(place.directory, 'stagecraft.yml')))
  const environments = objectAt(settings['environments'])
  const chosen = place.environment === undefined ? Object.values(environments) : [environments[place.environment]]
  const ofChosen = (key: string) => chosen.map((environment) => objectAt(environment)[key])
  switch (what) {
    case 'environments': {
      const names = Object.keys(environments)
      return (names.length === 0 ? ['local'] : names).map((name) => [name])
    }
    case 'databases':
      return ofChosen('databases').flatMap((databases) =>
        Object.keys(objectAt(databases)).map((name) => [name] as const),
      )
    case 'hosts':
      return ofChosen('hosts').flatMap((hosts) =>
        [hosts].flat().flatMap((host) => (typeof host === 'string' ? [[host] as const] : [])),
      )
    case 'services':
      return servicesOf(settings, place).map((name) => [name])
    case 'releases':
      return releasesOf(settings, place).map(({ id, version, environment }) => [id, `${version}, ${environment}`])
    case 'versions':
      return [...new Set(releasesOf(settings, place).map(({ version }) => version))].map((version) => [version])
  }
}

/** @returns those of the live release, or those that the Compose files name */
function servicesOf(settings: Record<string, unknown>, place: Place): string[] {
  const live = attempt(() => findLive(fileOf(settings, place), releasesOf(settings, place)))
  if (live) return Object.keys(live.model.services)
  const named = [settings['compose'] ?? []].flat().map((file) => join(place.directory, String(file)))
  const files =
    named.length > 0 ? named : [DEFAULT_FILES.map((file) => join(place.directory, file)).find(isFile) ?? []].flat()
  return files.flatMap((file) => Object.keys(objectAt(objectAt(readYaml(file))['services'])))
}

/** @returns the last releases, newest first; none of an environment on a host */
function releasesOf(settings: Record<string, unknown>, place: Place): readonly Release[] {
  const { environment } = place
  const state = openState(fileOf(settings, place), { clock: () => 0 })
  return (
    attempt(() =>
      state.listReleases({ limit: MOST_RELEASES, ...(environment === undefined ? {} : { environment }) }),
    ) ?? []
  )
}

function fileOf(settings: Record<string, unknown>, { directory, stateOverride, environment = '' }: Place): string {
  const { root } = objectAt(objectAt(settings['environments'])[environment])
  const { name } = objectAt(settings['project'])
  if (stateOverride === undefined && typeof root === 'string' && typeof name === 'string')
    return stateFileIn(join(resolve(directory, root), name, environment))
  return stateFile(directory, stateOverride)
}

function readYaml(file: string): unknown {
  return attempt(() =>
    isFile(file) ? parse(readFileSync(file, 'utf8'), { merge: true, logLevel: 'silent' }) : undefined,
  )
}

/** A pipe would be waited for. */
function isFile(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false })
  return found?.isFile() === true && found.size <= MOST_BYTES
}

function objectAt(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
