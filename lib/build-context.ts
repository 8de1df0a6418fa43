import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { isAbsolute, join, relative, resolve } from 'node:path'
import dockerignore from '@balena/dockerignore'
import type { Build, ComposeModel } from './compose.ts'
import { isInside } from './content.ts'
import { StagecraftError } from './errors.ts'

/** What must not be copied into an image. Paths are absolute. */
export interface Forbidden {
  /** what is excluded as a whole, if the build context holds it */
  readonly path: string
  /** what is in it, or itself: a pattern may exclude a folder and let some of it in again */
  readonly holds: readonly string[]
}

/** A folder of this machine from which a build can copy files. */
export interface BuildFolder {
  /** what `additional_contexts` calls it; absent: the build context itself */
  readonly name?: string
  /** absolute, without symlinks */
  readonly folder: string
  /** files that BuildKit reads to know what is left out, the first that is there */
  readonly ignoreFiles: readonly [string, ...string[]]
}

/**
 * A named context has only a `.dockerignore` of its own, also where it is the same folder as the build context, and a
 * `<Dockerfile>.dockerignore` counts only for the build context and not with `dockerfile_inline` (tried).
 * @returns the folders of a build; what is a URL, an image or a service is none, and Compose itself reports what is missing
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

/**
 * `COPY . .` would put state and secrets into the image, and change its id at every deploy (tried).
 * @throws config (3) with the line to add, where a folder of a build holds one of them and does not exclude it
 */
export function refuseLeakyContexts(model: ComposeModel, forbidden: readonly Forbidden[]): void {
  for (const [service, { build }] of Object.entries(model.services))
    if (build) for (const folder of buildFolders(build)) refuseLeakyFolder(service, folder, forbidden)
}

function refuseLeakyFolder(
  service: string,
  { name, folder, ignoreFiles }: BuildFolder,
  forbidden: readonly Forbidden[],
) {
  const ignoreFile = presentIgnoreFile(ignoreFiles)
  const matcher = dockerignore().add(ignoreFile === undefined ? '' : readFileSync(ignoreFile, 'utf8'))
  for (const { path, holds } of forbidden) {
    const inside = holds.filter((held) => isInside(folder, held)).map((held) => relative(folder, held))
    const leaked = inside.filter((held) => !matcher.ignores(held))
    if (leaked.length === 0) continue
    const whole = path !== folder && isInside(folder, path)
    const lines = whole ? [relative(folder, path)] : leaked
    throw leak(service, { name, folder }, lines, ignoreFile ?? join(folder, '.dockerignore'))
  }
}

/** @returns the file that BuildKit reads, where there is one */
export function presentIgnoreFile(files: BuildFolder['ignoreFiles']): string | undefined {
  return files.find((path) => existsSync(path))
}

/** A folder's name may hold what a pattern means something by. */
export function escaped(path: string): string {
  return path.replaceAll(/[\\*?[\]]/g, '\\$&').replace(/^[#!]/, '/$&')
}

/** Compose prints a mapping; a list of `name=value` is read too. */
function namedContexts(contexts: Build['additional_contexts']): [string, string][] {
  if (!Array.isArray(contexts)) return Object.entries(contexts ?? {})
  return contexts.map((entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)])
}

/** Compose has made the path of a folder absolute; `service:web`, `docker-image://busybox`, `git@host:repo` are none. */
function folderOf(context: string | undefined): string | undefined {
  if (context === undefined || !isAbsolute(context)) return undefined
  return statSync(context, { throwIfNoEntry: false })?.isDirectory() ? realpathSync(context) : undefined
}

function leak(
  service: string,
  { name, folder }: { readonly name: string | undefined; readonly folder: string },
  paths: readonly string[],
  ignoreFile: string,
): StagecraftError {
  const lines = paths.map((path) => `\`${escaped(path)}\``).join(' and ')
  const what = name === undefined ? 'its build context' : `its additional context ${name}`
  return new StagecraftError('config', `Cannot build ${service}: ${paths.join(', ')} would be copied into its image`, {
    hint: `Add the line ${lines} to ${ignoreFile} (${what} is ${folder}).`,
  })
}
