import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { modelText, unescapeDollars } from '../compose/load.ts'
import type { ComposeModel } from '../compose/model.ts'
import { modelProblem, type Problem, textProblem } from '../compose/released/check.ts'
import type { EnginePlace } from '../docker/engine/facts.ts'
import type * as contract from '../output/contract/release.ts'
import type { LiveFacts } from '../plan/input.ts'
import type { PhaseName } from '../plan/six-phases.ts'
import type { SecretPlace } from '../secrets/places.ts'
import { writeFileAtomic } from '../system/atomic-write.ts'
import { systemError } from '../system/errors.ts'
import { errnoOf, StagecraftError } from '../util/errors.ts'
import { jsonLine } from '../util/format.ts'
import type { Of } from '../util/schema.ts'
import { bundleProblem } from './bundle/check.ts'
import { type BundleRef, bundleFolder, isAdopted, modelFile } from './bundle/ref.ts'
import type { Journal } from './journal.ts'
import type { Release } from './releases-file/format.ts'

/**
 * What is known about a release beyond its record in releases.json: `releases/<id>/release.json` next to that file.
 * Times are ISO 8601 in UTC, durations milliseconds.
 */
export interface Bundle extends LiveFacts {
  readonly v: 1
  readonly environment: string
  readonly commit_sha: string
  readonly phases: Partial<Record<PhaseName, PhaseRecord>>
  /** the tags that its build and push set, with the image ids that they had then */
  readonly tags?: readonly { readonly tag: string; readonly id: string }[]
  /** on which of several hosts; absent: this machine, or (in older bundles) the first host */
  readonly host?: string
  /** a release on several hosts: `host` of each, this bundle's first. The others have parts */
  readonly hosts?: readonly string[]
  /** the commit point: from then on this release is live, until another one reaches its own */
  readonly switched_at?: string
  /** `down` took it away: from then on no release is live, until another one reaches its commit point */
  readonly removed_at?: string
  /** `down --history` removes the history of its environment: this bundle goes last */
  readonly forgetting?: { readonly by: string; readonly at: string }
  /** present while the rollout has something left to undo or to finish */
  readonly journal?: Journal | undefined
  readonly error?: { readonly message: string; readonly hint?: string; readonly detail?: string }
  /** a stack of a Swarm; absent: a Compose project */
  readonly on?: 'swarm'
  /** on which engine, if the environment has no hosts */
  readonly engine?: EnginePlace
  /** who made the release, and from where */
  readonly actor?: Actor
  /** the release that was live when this one was made */
  readonly served_before?: string
  /** it keeps what ran before the first release: the ids of these containers */
  readonly adopted?: readonly string[]
  /** a rollback: the release that it restored */
  readonly rollback_to?: string
  /** the release of another environment whose images it took */
  readonly promoted_from?: { readonly environment: string; readonly id: string; readonly version: string }
  /** services that wait for jobs on other hosts, with these jobs; absent: none */
  readonly awaits?: Readonly<Record<string, readonly string[]>>
  /** names of anonymous volumes whose files came from another image than their containers have now */
  readonly old_volumes?: readonly string[]
  /** secrets in its model that the model does not show as such: values of env files in a command (spec/core/secrets.md) */
  readonly secret_at?: readonly SecretPlace[]
  /** the migrations that it ran, in order */
  readonly migrations?: readonly MigrationRecord[]
  /** a migration that has begun, and of which it is not known that it ended */
  readonly migrating?: { readonly database: string; readonly name: string } | undefined
  /** a hook that has begun, and of which it is not known that it ended */
  readonly hook?: { readonly name: string; readonly command: string } | undefined
}

/** A migration that a release ran: a file, a command, or a job. */
export type MigrationRecord = Of<typeof contract.migrationRecord>

type Actor = Of<typeof contract.actor>

export type PhaseRecord = Of<typeof contract.phaseRecord>

/** A release that is or was live, with everything needed to restore it. */
export interface LiveRelease {
  readonly bundle: Bundle
  readonly model: ComposeModel
  /** the file that holds the model, for Compose */
  readonly modelFile: string
}

/** @returns the folder of the read-only files of all releases, by hash */
export function contentFolder(stateFile: string): string {
  return join(dirname(stateFile), 'content')
}

/** @throws state (9) */
export function writeBundle(stateFile: string, bundle: Bundle): void {
  written(bundle.id, stateFile, () => {
    const file = join(bundleFolder(stateFile, bundle.id), 'release.json')
    writeFileAtomic(file, `${JSON.stringify(bundle, null, 2)}\n`, MODES)
  })
}

/** The model holds env values in clear text (as Compose prints them): 0600 in a 0700 folder. @throws state (9) */
export function writeModel(stateFile: string, ref: BundleRef, model: ComposeModel): void {
  written(ref, stateFile, () => void writeFileAtomic(modelFile(stateFile, ref), modelText(model), MODES))
}

const MODES = { mode: 0o600, folderMode: 0o700 }

function written(ref: BundleRef, stateFile: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    throw systemError(`Cannot write release ${ref} in ${dirname(stateFile)}`, error)
  }
}

/** @returns undefined if the release has no bundle. @throws state (9) if it cannot be read, or was changed by somebody */
export function readBundle(stateFile: string, ref: BundleRef): Bundle | undefined {
  const file = join(bundleFolder(stateFile, ref), 'release.json')
  const read = readJson(file, (value) => value['v'] === 1)
  const problem = read && bundleProblem(read.value, ref)
  if (problem !== undefined) throw changed(file, problem)
  return read && (read.value as unknown as Bundle) // bundleProblem has checked what is used
}

/** @param releases of one environment, newest first @returns the live one: the newest with a commit point, unless it was taken down */
export function liveBundle(stateFile: string, releases: readonly Release[]): Bundle | undefined {
  const last = lastLive(stateFile, releases)
  return last?.removed_at === undefined ? last : undefined
}

/** @param releases of one environment, newest first @returns the newest with a commit point, also if it was taken down */
export function lastLive(stateFile: string, releases: readonly Release[]): Bundle | undefined {
  for (const { id } of releases) {
    const bundle = readBundle(stateFile, id)
    if (bundle?.switched_at !== undefined) return bundle
  }
  return undefined
}

/** Like liveBundle, with the model. @throws state (9) if that is missing */
export function findLive(stateFile: string, releases: readonly Release[]): LiveRelease | undefined {
  const bundle = liveBundle(stateFile, releases)
  const whole = bundle && withModel(stateFile, bundle)
  if (bundle === undefined || whole) return whole
  const file = modelFile(stateFile, bundle.id)
  throw new StagecraftError(
    'state',
    `Cannot read ${file}: it does not exist, but the live release (${bundle.id}) needs it`,
    {
      hint: 'Restore the file from a backup, or remove the folder of that release to adopt what runs.',
    },
  )
}

/** @returns undefined if the model is missing */
export function withModel(stateFile: string, bundle: Bundle): LiveRelease | undefined {
  const model = readModel(stateFile, bundle.id)
  return model && { bundle, model, modelFile: modelFile(stateFile, bundle.id) }
}

/**
 * Reads a model for docker compose. A changed model cannot make Compose read other files of this machine.
 * @returns undefined if it is missing
 * @throws state (9) if it cannot be read, or contains what no release has
 */
export function readModel(stateFile: string, ref: BundleRef): ComposeModel | undefined {
  const file = modelFile(stateFile, ref)
  const read = readJson(file, (value) => typeof value['services'] === 'object')
  if (read === undefined) return undefined
  const refuse = (problem: Problem | undefined) => {
    if (problem) throw changed(file, `${problem.at} ${problem.is}`)
  }
  refuse(textProblem(read.text, read.value))
  const model = unescapeDollars(read.value) as ComposeModel // checked below
  refuse(modelProblem(model, isAdopted(ref) ? 'any' : 'content'))
  return model
}

/** @returns the ids of the releases that have a folder */
export function bundleIds(stateFile: string): string[] {
  const folder = dirname(bundleFolder(stateFile, 'any'))
  return existsSync(folder) ? readdirSync(folder).toSorted() : []
}

/** Appends an event with its time to events.jsonl, one JSON object a line. @throws state (9) */
export function appendEvent(stateFile: string, id: string, at: number, event: unknown): void {
  const line = `${jsonLine({ at: new Date(at).toISOString(), event })}\n`
  const file = join(bundleFolder(stateFile, id), 'events.jsonl')
  written(id, stateFile, () => appendFileSync(file, line, { mode: 0o600 }))
}

interface Read {
  readonly text: string
  readonly value: Readonly<Record<string, unknown>>
}

/** @param check whether the file is of the wanted kind */
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
    hint: 'Restore the file from a backup, or remove the folder that it is in to adopt what runs.',
  })
}

/** @returns the error for a file that is not as Stagecraft wrote it, and is therefore not used */
function changed(file: string, problem: string): StagecraftError {
  return new StagecraftError('state', `Cannot use ${nameOf(file)}: ${problem}`, {
    hint: 'Somebody has changed it, so it was not used. Restore the file from a backup, or remove the folder that it is in to adopt what runs.',
  })
}

/** A host's file is named as on the host: the command's copy of it is removed at the end. */
function nameOf(file: string): string {
  const copied = /^\/tmp\/stagecraft-copy-\d+-\w{6}\/.*?(releases\/.*)$/.exec(file)?.[1]
  return copied === undefined ? file : `${copied} on the host`
}
