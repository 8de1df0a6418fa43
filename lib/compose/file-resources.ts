import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { StagecraftError } from '../util/errors.ts'
import type { Problems } from '../util/problems.ts'
import { displayPath } from './bind-mounts.ts'
import { isInside, type Owner, storePath, storeText } from './content-store.ts'
import type { ComposeModel, FileMount, FileResource, Service } from './model.ts'
import type { ContentFile, OwnedFile, RenderOptions } from './rendering.ts'

/** The configs, or the secrets, of a model in a release. */
interface Files {
  readonly resources: Readonly<Record<string, FileResource>>
  readonly content: readonly ContentFile[]
  /** files with an owner, for the engine to create */
  readonly owned: readonly OwnedFile[]
  /** @returns a service's mount with the new name of its file */
  rename(file: FileMount): FileMount
}

interface Kind {
  readonly kind: 'config' | 'secret'
  /** the folder of a mount without a target */
  readonly folder: string
}

const KINDS = {
  configs: { kind: 'config', folder: '/' },
  secrets: { kind: 'secret', folder: '/run/secrets/' },
} as const satisfies Record<string, Kind>

/**
 * Compose does not recreate a service when the content of its config or secret changes, so the name contains the hash. A file
 * made from text has the owner and mode that a service asks for; services that ask for different ones get separate files.
 * @param problems collects an error for every file that cannot be mounted
 */
export function renderFiles(
  model: ComposeModel,
  which: keyof typeof KINDS,
  options: RenderOptions,
  problems: Problems,
): Files {
  const { kind, folder } = KINDS[which]
  const files = model[which] ?? {}
  const uses = usesOf(model, which)
  const names = new Map<string, string>()
  const resources: Record<string, FileResource> = {}
  const content: ContentFile[] = []
  const owned: OwnedFile[] = []
  for (const [key, file] of Object.entries(files)) {
    if (file.external) resources[key] = file
    const own = uses.filter(({ source }) => source === key)
    if (file.external || (own.length === 0 && isMissing(file))) continue // no service mounts it, so Compose does not look for it
    for (const use of isText(file) ? own : own.slice(0, 1)) if (own.length > 0) add(file, key, use)
    if (own.length === 0) add(file, key, { source: key })
  }
  return { resources, content, owned, rename }

  function add(file: FileResource, key: string, use: FileMount): void {
    const what = `${kind} ${key}`
    const hasOwner = isText(file) && !options.ownedWhenMounted
    const owner = hasOwner ? problems.try(() => ownerAsked(what, use)) : undefined
    const stored = problems.try(() => storeFile(what, file, owner, options))
    if (stored === undefined) return
    const name = `${key}-${stored.hash.slice(0, 12)}`
    names.set(useKey(use, file), name)
    if (resources[name] !== undefined) return
    resources[name] = { name: `${file.name ?? key}-${stored.hash.slice(0, 12)}`, file: stored.path }
    const earlier = content.filter((one) => one.name === what || one.name.startsWith(`${what} (`)).length
    const from = fileIn(options.directory, file)
    const named = earlier === 0 ? what : `${what} (${earlier + 1})`
    content.push({ name: named, hash: stored.hash, ...(from === undefined ? {} : { from }) })
    if (owner) owned.push({ hash: stored.hash, text: textOf(file, options), ...owner })
  }

  function rename(file: FileMount): FileMount {
    const resource = files[file.source]
    const source = resource && names.get(useKey(file, resource))
    // The target keeps the name that people wrote: without one it is made of the source, which has a new name now.
    return source === undefined ? file : { ...file, source, target: file.target ?? folder + file.source }
  }
}

function usesOf(model: ComposeModel, which: keyof typeof KINDS): FileMount[] {
  return Object.values(model.services).flatMap((service: Service) => service[which] ?? [])
}

/** Equal requests get the same file. */
function useKey(use: FileMount, file: FileResource): string {
  const { source, uid, gid, mode } = use
  return isText(file) ? JSON.stringify([source, uid, gid, modeOf(mode)]) : source
}

function isText({ content, environment }: FileResource): boolean {
  return content !== undefined || environment !== undefined
}

function isMissing(file: FileResource): boolean {
  return !isText(file) && (file.file === undefined || !existsSync(file.file))
}

function textOf(file: FileResource, { variables }: RenderOptions): string {
  return file.content ?? variables[file.environment ?? ''] ?? ''
}

/** @returns the owner and mode of a file made from text; undefined: no owner, readable by all. @throws config (3) */
function ownerAsked(what: string, { uid, gid, mode }: FileMount): Owner | undefined {
  if (uid === undefined && gid === undefined && mode === undefined) return undefined
  return {
    uid: idOf(what, 'uid', uid),
    gid: idOf(what, 'gid', gid),
    mode: modeOf(mode) ?? 0o444,
    isAsked: uid !== undefined || gid !== undefined,
  }
}

/** The engine does not know user names: Compose accepts only numbers. */
function idOf(what: string, key: 'uid' | 'gid', value: unknown): number {
  const text = String(value ?? '0')
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new StagecraftError('config', `Cannot give ${what} the ${key} ${JSON.stringify(text)}: it is not a number`, {
    hint: `Use its number in the image: docker run --rm --entrypoint id IMAGE ${text}`,
  })
}

/** Compose 2.26 prints a mode as a number, 2.40 as a text. */
function modeOf(mode: number | string | undefined): number | undefined {
  return typeof mode === 'string' ? Number.parseInt(mode, 8) : mode
}

function storeFile(what: string, file: FileResource, owner: Owner | undefined, options: RenderOptions) {
  if (isText(file)) return storeText(options.store, textOf(file, options), owner?.mode ?? 0o444, owner)
  if (file.file === undefined || isMissing(file))
    throw new StagecraftError('config', `Cannot read ${what}: its file ${file.file ?? ''} does not exist`, {
      hint: 'Create the file, or correct its path in the Compose file.',
    })
  const stored = storePath(options.store, file.file)
  if ('unfit' in stored) throw new StagecraftError('config', `Cannot keep ${what}: ${stored.unfit}`)
  return stored
}

/** @returns the source file of a config or secret, as people write it */
function fileIn(directory: string, { file }: FileResource): string | undefined {
  if (file === undefined || !isAbsolute(file)) return undefined
  return isInside(directory, file) ? displayPath(directory, file) : file
}
