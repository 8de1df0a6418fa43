import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, isAbsolute, join, relative, resolve } from 'node:path'
import dockerignore from '@balena/dockerignore'
import { StagecraftError } from '../util/errors.ts'
import { listed } from '../util/format.ts'
import { isInside } from './content-store.ts'
import type { Build, ComposeModel } from './model.ts'

/** What must not be copied into an image. Paths are absolute. */
export interface Forbidden {
  /** excluded as a whole, if the build context contains it */
  readonly path: string
  /** its parts, or itself: a pattern may exclude a folder and include some of it again */
  readonly holds: readonly string[]
}

/** The default folder of the state, in the project folder. */
export const STATE_FOLDER = '.stagecraft'

/** A folder of this machine from which a build can copy files. */
export interface BuildFolder {
  /** its name in `additional_contexts`; absent: the build context itself */
  readonly name?: string
  /** absolute, without symlinks */
  readonly folder: string
  /** ignore files of which BuildKit reads the first that exists */
  readonly ignoreFiles: readonly [string, ...string[]]
}

/**
 * A named context has only its own `.dockerignore`, even if it is the same folder as the build context. A
 * `<Dockerfile>.dockerignore` counts only for the build context, and not with `dockerfile_inline`.
 * @returns the folders of a build, without URLs, images and services. Compose itself reports missing ones
 */
export function buildFolders(build: Build): BuildFolder[] {
  const { context, dockerfile, dockerfile_inline: inline, additional_contexts: more } = build
  const main = folderOf(context)
  const named = namedContexts(more).flatMap(([name, value]) => {
    const folder = folderOf(value)
    return folder === undefined ? [] : [{ name, folder, ignoreFiles: [join(folder, '.dockerignore')] as const }]
  })
  if (main === undefined) return named
  const own = join(main, '.dockerignore')
  const ignoreFiles = inline
    ? ([own] as const)
    : ([`${resolve(main, dockerfile ?? 'Dockerfile')}.dockerignore`, own] as const)
  return [{ folder: main, ignoreFiles }, ...named]
}

/** What builds would copy from one folder although it must not be in an image. */
interface Leak {
  readonly services: readonly string[]
  readonly source: BuildFolder
  /** what would be copied, relative to the folder */
  readonly paths: readonly string[]
  /** the file that must exclude it */
  readonly ignoreFile: string
}

/**
 * `COPY . .` would put state and secrets into the image, and change its id at every deploy. Looks for these, and for states of
 * other projects in the same folder.
 * @param statesBelow finds the states in a folder
 * @returns an error (config, 3) with the lines to add, for each build folder that contains one of them and does not exclude it
 */
export function findLeaks(
  model: ComposeModel,
  forbidden: readonly Forbidden[],
  statesBelow: (folder: string) => readonly Forbidden[],
): StagecraftError[] {
  const leaks = new Map<string, Leak>()
  const below = new Map<string, readonly Forbidden[]>()
  for (const [service, { build }] of Object.entries(model.services))
    for (const source of build ? buildFolders(build) : []) {
      const others = below.get(source.folder) ?? statesBelow(source.folder)
      below.set(source.folder, others)
      const leak = leakOf(source, [...forbidden, ...others])
      if (leak === undefined) continue
      const key = JSON.stringify([source.name, source.folder, leak.ignoreFile])
      const services = [...(leaks.get(key)?.services ?? []), service]
      leaks.set(key, { services: [...new Set(services)], source, ...leak })
    }
  return [...leaks.values()].map(leakError)
}

function leakOf(
  { folder, ignoreFiles }: BuildFolder,
  forbidden: readonly Forbidden[],
): Pick<Leak, 'paths' | 'ignoreFile'> | undefined {
  const present = presentIgnoreFile(ignoreFiles)
  const matcher = dockerignore().add(present === undefined ? '' : readFileSync(present, 'utf8'))
  const paths = forbidden.flatMap(({ path, holds }) => {
    const inside = holds.filter((held) => isInside(folder, held)).map((held) => relative(folder, held))
    const leaked = inside.filter((held) => !matcher.ignores(held))
    if (leaked.length === 0) return []
    return path !== folder && isInside(folder, path) ? [relative(folder, path)] : leaked
  })
  if (paths.length === 0) return undefined
  return { paths: [...new Set(paths)], ignoreFile: present ?? join(folder, '.dockerignore') }
}

/** @returns the ignore file that BuildKit reads, if there is one */
export function presentIgnoreFile(files: BuildFolder['ignoreFiles']): string | undefined {
  return files.find((path) => existsSync(path))
}

/** @returns a path as a line of an ignore file, with the special characters of patterns escaped. */
export function escaped(path: string): string {
  return path.replaceAll(/[\\*?[\]]/g, '\\$&').replace(/^[#!]/, '/$&')
}

/** Compose prints a mapping; a list of `name=value` is accepted too. */
export function namedContexts(contexts: Build['additional_contexts']): [string, string][] {
  if (!Array.isArray(contexts)) return Object.entries(contexts ?? {})
  return contexts.map((entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)])
}

/** Compose makes a folder's path absolute; `service:web`, `docker-image://busybox`, `git@host:repo` are no folders. */
function folderOf(context: string | undefined): string | undefined {
  if (context === undefined || !isAbsolute(context)) return undefined
  return statSync(context, { throwIfNoEntry: false })?.isDirectory() ? realpathSync(context) : undefined
}

/** The most paths that a message names. */
const MOST = 6

function leakError({ services, source: { name, folder }, paths, ignoreFile }: Leak): StagecraftError {
  const lines = linesFor(paths).map((line) => `\`${line}\``)
  const add = `the line${lines.length > 1 ? 's' : ''} ${listed(lines)}`
  const several = services.length > 1
  const what = `${several ? 'their' : 'its'} ${name === undefined ? 'build context' : `additional context ${name}`}`
  const [shown, more] = [paths.slice(0, MOST), paths.length > MOST ? ` and ${paths.length - MOST} more` : '']
  return new StagecraftError(
    'config',
    `Cannot build ${services.join(', ')}: ${shown.join(', ')}${more} would be copied into ${several ? 'their images' : 'its image'}`,
    { hint: `Add ${add} to ${ignoreFile} (${what} is ${folder}).` },
  )
}

/** One line excludes the states of all projects in a folder. */
function linesFor(paths: readonly string[]): string[] {
  const states = paths.filter((path) => basename(path) === STATE_FOLDER)
  if (states.length < 2) return paths.map(escaped)
  return [`**/${STATE_FOLDER}`, ...paths.filter((path) => !states.includes(path)).map(escaped)]
}
