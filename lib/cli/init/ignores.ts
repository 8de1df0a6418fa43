import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { isAbsolute, join, relative } from 'node:path'
import dockerignore from '@balena/dockerignore'
import { buildFolders, escaped, presentIgnoreFile } from '../../compose/build-context.ts'
import type { ComposeModel } from '../../compose/model.ts'
import type * as contract from '../../output/contract/results.ts'
import type { Of } from '../../util/schema.ts'
import { addIgnoreLines } from './ignore-files.ts'

export type IgnoredFile = Of<typeof contract.ignored>

/** A build context that contains the project folder, and whose ignore file does not exclude the state yet. */
export interface ContextAbove {
  readonly services: readonly string[]
  readonly context: string
  /** absolute */
  readonly ignoreFile: string
  readonly lines: readonly string[]
}

/** Keeps state, secrets and the program itself out of git and of images. @throws state (9) */
export function ignoreState(directory: string, model: ComposeModel): IgnoredFile[] {
  const program = relative(directory, programPath())
  const programs = isBelow(program) ? [program] : []
  const add = (file: string, lines: readonly string[]) => ({ file, ...addIgnoreLines(join(directory, file), lines) })
  return [
    add('.gitignore', ['.stagecraft/', ...programs.map((path) => `/${path}`)]),
    ...['.dockerignore', ...dockerfileIgnores(directory, model)].map((file) =>
      add(file, ['.stagecraft/', ...programs]),
    ),
  ]
}

/** The same outside the project folder, for one build context. @throws state (9) */
export function ignoreInContext(directory: string, { ignoreFile, lines }: ContextAbove): IgnoredFile {
  return { file: relative(directory, ignoreFile), ...addIgnoreLines(ignoreFile, lines) }
}

/** @returns the build contexts above the project folder that would include the state, one for each ignore file */
export function contextsAbove(directory: string, model: ComposeModel): ContextAbove[] {
  const found = new Map<string, ContextAbove>()
  const folders = Object.entries(model.services).flatMap(([service, { build }]) =>
    (build ? buildFolders(build) : []).map((folder) => ({ service, ...folder })),
  )
  for (const { service, folder: context, ignoreFiles } of folders) {
    const inside = relative(context, directory)
    if (!isBelow(inside)) continue
    const ignoreFile = presentIgnoreFile(ignoreFiles) ?? join(context, '.dockerignore')
    const lines = missingLines(context, inside, ignoreFile)
    const services = [...(found.get(ignoreFile)?.services ?? []), service]
    if (lines.length > 0) found.set(ignoreFile, { services: [...new Set(services)], context, ignoreFile, lines })
  }
  return [...found.values()]
}

function missingLines(context: string, inside: string, ignoreFile: string): string[] {
  const matcher = dockerignore().add(existsSync(ignoreFile) ? readFileSync(ignoreFile, 'utf8') : '')
  const state = matcher.ignores(join(inside, '.stagecraft/content')) ? [] : [`${escaped(inside)}/.stagecraft/`]
  const program = relative(context, programPath())
  return isBelow(program) && !matcher.ignores(program) ? [...state, escaped(program)] : state
}

/** @returns each `<Dockerfile>.dockerignore` of builds from the project folder, which replaces `.dockerignore`. */
function dockerfileIgnores(directory: string, model: ComposeModel): string[] {
  const files = Object.values(model.services).flatMap(({ build }) =>
    build && sameFolder(build.context, directory) ? [`${build.dockerfile ?? 'Dockerfile'}.dockerignore`] : [],
  )
  return [...new Set(files)]
    .filter((file) => !isAbsolute(file) && isBelow(file) && existsSync(join(directory, file)))
    .toSorted()
}

function programPath(): string {
  return realpathSync(process.execPath)
}

function sameFolder(a: string, b: string): boolean {
  return existsSync(a) && realpathSync(a) === realpathSync(b)
}

function isBelow(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith('../') && !isAbsolute(path)
}

/** @returns what the user has to add, and where */
export function contextText({ services, context, lines, ignoreFile }: ContextAbove): string {
  const are = services.length === 1 ? 'is' : 'are'
  return `${services.join(', ')} ${are} built from ${context}, which holds this folder: add ${lines.join(' and ')} to ${ignoreFile}`
}
