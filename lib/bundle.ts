import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { writeFileAtomic } from './atomic-write.ts'
import { bundleProblem } from './bundle-check.ts'
import { type ComposeModel, modelText, unescapeDollars } from './compose.ts'
import type { ServiceConfig } from './config.ts'
import type { EnginePlace } from './engine-place.ts'
import { errnoOf, StagecraftError } from './errors.ts'
import { jsonLine } from './format.ts'
import type { ReleasedImage } from './images.ts'
import type { Journal } from './journal.ts'
import type { Plan } from './plan.ts'
import { modelProblem, type Problem, textProblem } from './released-model.ts'
import type { ContentFile } from './render.ts'
import type { Route, Slots } from './routes.ts'
import type { SecretPlace } from './secret-places.ts'
import type { Topology } from './services.ts'
import type { PhaseName, Release } from './state.ts'
import { systemError } from './system-error.ts'

/**
 * What is known of a release beyond its record in releases.json: `releases/<id>/release.json` beside that file.
 * Times are ISO 8601 in UTC, durations milliseconds.
 */
export interface Bundle {
  readonly v: 1
  readonly id: string
  readonly environment: string
  readonly version: string
  readonly commit_sha: string
  /** the Compose project's name */
  readonly project: string
  readonly phases: Partial<Record<PhaseName, PhaseRecord>>
  readonly images: Readonly<Record<string, ReleasedImage>>
  /** the tags that its build and push gave, with the ids that they had then */
  readonly tags?: readonly { readonly tag: string; readonly id: string }[]
  /** on which of several hosts; absent: this machine, or (of older bundles) the first */
  readonly host?: string
  /** a release on several hosts: `host` of each, that of this bundle first. Of the others it has parts */
  readonly hosts?: readonly string[]
  readonly topology: Topology
  readonly content: readonly ContentFile[]
  /** Compose's hash in the label of each service's containers, once they run */
  readonly config_hashes: Readonly<Record<string, string>>
  /** the commit point: from then on this release serves, until another one has one */
  readonly switched_at?: string
  /** services of the release before whose containers are still to be removed; the next deploy removes those left */
  readonly retiring?: readonly string[]
  /** a rollout that has something left to undo or to finish */
  readonly journal?: Journal | undefined
  readonly error?: { readonly message: string; readonly hint?: string; readonly detail?: string }
  /** on which engine, where the environment names no hosts */
  readonly engine?: EnginePlace
  /** who made the release, and from where */
  readonly actor?: Actor
  /** what stagecraft.yml said of the services when it was made */
  readonly services?: Readonly<Record<string, ServiceConfig>>
  /** what was done to each service, and why */
  readonly plan?: Plan
  /** the release that served when this one was made */
  readonly served_before?: string
  /** a rollback: the release that it put back */
  readonly rollback_to?: string
  /** what the proxy does for it, and which slots are live once it serves */
  readonly routes?: readonly Route[]
  readonly slots?: Slots
  /** milliseconds that services which were recreated took, from their stop until they were ready */
  readonly gaps?: Readonly<Record<string, number>>
  /** where in its model secrets stand that the model does not show as such: values of env files in a command (spec/core/secrets.md) */
  readonly secret_at?: readonly SecretPlace[]
  /** names of the migrations that it ran */
  readonly migrations?: readonly string[]
}

export interface Actor {
  readonly user: string
  readonly machine: string
  readonly directory: string
}

export interface PhaseRecord {
  readonly started_at: string
  readonly duration_ms: number
  readonly note?: string
}

/** A release that served, with everything needed to put it back. */
export interface ServingRelease {
  readonly bundle: Bundle
  readonly model: ComposeModel
  /** the file that holds the model, for Compose */
  readonly modelFile: string
}

export function bundleFolder(stateFile: string, id: string): string {
  return join(dirname(stateFile), 'releases', id)
}

/** Read-only files of all releases, by hash. */
export function contentFolder(stateFile: string): string {
  return join(dirname(stateFile), 'content')
}

/** The release's own Compose model. */
export function modelFile(stateFile: string, id: string): string {
  return join(bundleFolder(stateFile, id), 'compose.json')
}

/** Models are told apart below the folder of the releases: of a host's, each command has a copy in a folder of its own. */
export function isSameModel(file: string, other: string | undefined): boolean {
  const below = (path: string) => path.slice(Math.max(0, path.lastIndexOf('/releases/')))
  return other !== undefined && below(file) === below(other)
}

/** @throws state (9) */
export function writeBundle(stateFile: string, bundle: Bundle): void {
  written(bundle.id, stateFile, () => {
    const file = join(bundleFolder(stateFile, bundle.id), 'release.json')
    writeFileAtomic(file, `${JSON.stringify(bundle, null, 2)}\n`, MODES)
  })
}

/** The model holds env values in clear text (as Compose prints them): 0600 in a 0700 folder. @throws state (9) */
export function writeModel(stateFile: string, id: string, model: ComposeModel): void {
  written(id, stateFile, () => void writeFileAtomic(modelFile(stateFile, id), modelText(model), MODES))
}

const MODES = { mode: 0o600, folderMode: 0o700 }

function written(id: string, stateFile: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    throw systemError(`Cannot write release ${id} in ${dirname(stateFile)}`, error)
  }
}

/** @returns undefined where the release has no bundle. @throws state (9) for one that cannot be read, or that was changed */
export function readBundle(stateFile: string, id: string): Bundle | undefined {
  const file = join(bundleFolder(stateFile, id), 'release.json')
  const read = readJson(file, (value) => value['v'] === 1)
  const problem = read && bundleProblem(read.value, id)
  if (problem !== undefined) throw changed(file, problem)
  return read && (read.value as unknown as Bundle) // looked at, as far as it is used
}

/** @param releases of one environment, newest first @returns the one that answers now: the newest with a commit point */
export function servingBundle(stateFile: string, releases: readonly Release[]): Bundle | undefined {
  for (const { id } of releases) {
    const bundle = readBundle(stateFile, id)
    if (bundle?.switched_at !== undefined) return bundle
  }
  return undefined
}

/** The same with its model. @throws state (9) where that is missing */
export function findServing(stateFile: string, releases: readonly Release[]): ServingRelease | undefined {
  const bundle = servingBundle(stateFile, releases)
  const whole = bundle && withModel(stateFile, bundle)
  if (bundle === undefined || whole) return whole
  const file = modelFile(stateFile, bundle.id)
  throw new StagecraftError('state', `Cannot read ${file}: it does not exist, and release ${bundle.id} serves by it`, {
    hint: 'Put the file back from a backup, or remove the folder of that release to adopt what runs.',
  })
}

/** @returns the bundle with its model, or undefined where that is missing. */
export function withModel(stateFile: string, bundle: Bundle): ServingRelease | undefined {
  const model = readModel(stateFile, bundle.id)
  return model && { bundle, model, modelFile: modelFile(stateFile, bundle.id) }
}

/**
 * Reads a model for docker compose to act on: whoever has changed it makes Compose read nothing of this machine.
 * @param id of a release, or of another model that it keeps, as `<id>/adopted` @returns undefined where it is missing
 * @throws state (9) for one that cannot be read, or that holds what no release has
 */
export function readModel(stateFile: string, id: string): ComposeModel | undefined {
  const file = modelFile(stateFile, id)
  const read = readJson(file, (value) => typeof value['services'] === 'object')
  if (read === undefined) return undefined
  const refuse = (problem: Problem | undefined) => {
    if (problem) throw changed(file, `${problem.at} ${problem.is}`)
  }
  refuse(textProblem(read.text, read.value))
  const model = unescapeDollars(read.value) as ComposeModel // looked at now
  refuse(modelProblem(model, id.endsWith('/adopted') ? 'any' : 'content'))
  return model
}

/** @returns the releases that have a folder. */
export function bundleIds(stateFile: string): string[] {
  const folder = dirname(bundleFolder(stateFile, 'any'))
  return existsSync(folder) ? readdirSync(folder).toSorted() : []
}

/** Appends what happened, one JSON object a line, with its time. @throws state (9) */
export function appendEvent(stateFile: string, id: string, at: number, event: unknown): void {
  const line = `${jsonLine({ at: new Date(at).toISOString(), event })}\n`
  const file = join(bundleFolder(stateFile, id), 'events.jsonl')
  written(id, stateFile, () => appendFileSync(file, line, { mode: 0o600 }))
}

/** @returns what keeps the last words of a container that goes, among the events of the release that replaced it. */
export function logKeeper(stateFile: string, id: string, clock: { now(): number }) {
  return (container: string, lines: string) =>
    appendEvent(stateFile, id, clock.now(), { type: 'log', container, lines: lines.split('\n') })
}

interface Read {
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
}

/** @param check looks at what tells the file apart from anything else */
function readJson(file: string, check: (value: Read['value']) => boolean): Read | undefined {
  try {
    const text = readFileSync(file, 'utf8')
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && check({ ...value })) return { text, value: { ...value } }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw unreadable(file, errnoOf(error) ?? 'it is not JSON', error)
  }
  throw unreadable(file, 'it is not a file of this version of Stagecraft')
}

function unreadable(file: string, why: string, cause?: unknown): StagecraftError {
  return new StagecraftError('state', `Cannot read ${file}: ${why}`, {
    cause,
    hint: 'Put the file back from a backup, or remove the folder that it is in to adopt what runs.',
  })
}

/** @returns the error for a file that is not as we wrote it: nothing is done by it. */
function changed(file: string, problem: string): StagecraftError {
  return new StagecraftError('state', `Cannot use ${nameOf(file)}: ${problem}`, {
    hint: 'Somebody has changed it, and nothing was done by it. Put the file back from a backup, or remove the folder that it is in to adopt what runs.',
  })
}

/** A command's own copy of what a host keeps is gone when somebody looks for it. */
function nameOf(file: string): string {
  const copied = /^\/tmp\/stagecraft-copy-\d+-\w{6}\/.*?(releases\/.*)$/.exec(file)?.[1]
  return copied === undefined ? file : `${copied} on the host`
}
