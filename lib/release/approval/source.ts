import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import dockerignore from '@balena/dockerignore'
import { type BuildFolder, buildFolders, presentIgnoreFile } from '../../compose/build-context.ts'
import { isInside } from '../../compose/content-store.ts'
import type { Build, ComposeModel, FileResource } from '../../compose/model.ts'
import { readSqlFolder } from '../../migrations/sql/files.ts'
import type { Project } from '../../project/settings.ts'
import { StagecraftError, sayingErrno } from '../../util/errors.ts'
import { compare } from '../../util/format.ts'

/**
 * @returns a hash of all that the builds of a Compose application read from this machine: names, modes, contents and link targets
 * @throws config (3) if something cannot be read
 */
export function hashBuilds(model: ComposeModel): string {
  const hash = createHash('sha256')
  const seen = new Set<string>()
  for (const { build } of Object.values(model.services))
    for (const folder of build ? buildFolders(build) : []) {
      const key = JSON.stringify(folder)
      if (!seen.has(key)) addFolder(hash, folder)
      seen.add(key)
      if (build && folder.name === undefined) addDockerfile(hash, folder, build)
    }
  for (const { file } of buildSecrets(model)) if (file !== undefined) addEntry(hash, dirname(file), basename(file))
  return hash.digest('hex')
}

/** @returns the secrets that builds read. */
export function buildSecrets({ services, secrets }: ComposeModel): FileResource[] {
  const named = Object.values(services).flatMap(({ build }) => (build?.secrets ?? []) as { source: string }[])
  const names = [...new Set(named.map(({ source }) => source))].toSorted(compare)
  return names.map((name) => secrets?.[name] ?? {})
}

/**
 * @returns hashes of the other files that a release executes: those of SQL, by database, and those of the project folder that
 * hooks name (`bin/backup --all` names bin/backup)
 * @throws config (3) if one cannot be read
 */
export function hashScripts({ environment, directory }: Pick<Project, 'environment' | 'directory'>): unknown[] {
  const { databases = {}, hooks = {} } = environment
  const sql = Object.entries(databases).flatMap(([database, { migrations }]) =>
    migrations.engine === 'raw' && migrations.strategy !== 'manual'
      ? [[database, readSqlFolder(resolve(directory, migrations.path)).map(({ name, sha256 }) => [name, sha256])]]
      : [],
  )
  const hash = createHash('sha256')
  const words = Object.values(hooks).flatMap(({ command }) => command.flatMap((part) => part.split(/[\s'"`;|&()<>]+/)))
  const paths = words.map((word) => resolve(directory, word)).filter((path) => isInside(directory, path))
  for (const path of new Set(paths)) if (isFile(path)) addEntry(hash, dirname(path), basename(path))
  return [sql, hash.digest('hex')]
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** It is read also if the ignore file excludes it, and through a link. */
function addDockerfile(hash: Hash, { folder }: BuildFolder, { dockerfile, dockerfile_inline: inline }: Build): void {
  if (inline !== undefined) return
  const path = resolve(folder, dockerfile ?? 'Dockerfile')
  addEntry(hash, dirname(path), basename(path))
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    reading(path, () => addContent(hash, realpathSync(path)))
}

/** `.git` is left out: two checkouts of one commit differ there. */
function addFolder(hash: Hash, { folder, ignoreFiles }: BuildFolder): void {
  const ignoreFile = presentIgnoreFile(ignoreFiles)
  const patterns = ignoreFile === undefined ? '' : reading(ignoreFile, () => readFileSync(ignoreFile, 'utf8'))
  const matcher = dockerignore().add(patterns)
  const hasExceptions = /^\s*!/m.test(patterns) // one may include something of a folder that is excluded
  const walk = (below: string) => {
    const here = join(folder, below)
    const entries = reading(here, () => readdirSync(here, { withFileTypes: true }))
    for (const entry of entries.toSorted((a, b) => compare(a.name, b.name))) {
      if (entry.name === '.git') continue
      const path = join(below, entry.name)
      if (matcher.ignores(path) && !(hasExceptions && entry.isDirectory())) continue
      if (entry.isDirectory()) walk(path)
      else addEntry(hash, folder, path)
    }
  }
  walk('')
}

function addEntry(hash: Hash, folder: string, path: string): void {
  const whole = join(folder, path)
  reading(whole, () => {
    const stat = lstatSync(whole, { throwIfNoEntry: false })
    if (stat === undefined) return
    const [kind, size] = stat.isSymbolicLink() ? ['link', 0] : stat.isFile() ? ['file', stat.size] : ['other', 0]
    hash.update(`${JSON.stringify([path, kind, stat.mode & 0o111 ? 'x' : '-', size])}\n`)
    if (kind === 'link') hash.update(readlinkSync(whole))
    if (kind === 'file') addContent(hash, whole)
  })
}

/** Bytes that are read at once. */
const PIECE = 1024 * 1024

function addContent(hash: Hash, path: string): void {
  const file = openSync(path, 'r')
  const piece = Buffer.allocUnsafe(PIECE)
  try {
    for (let length = readSync(file, piece); length > 0; length = readSync(file, piece))
      hash.update(piece.subarray(0, length))
  } finally {
    closeSync(file)
  }
}

function reading<T>(path: string, read: () => T): T {
  return sayingErrno(
    read,
    (code, cause) =>
      new StagecraftError('config', `Cannot make a token for the plan: ${path} cannot be read (${code})`, {
        hint: 'A build would read it. If it should not, add it to .dockerignore.',
        cause,
      }),
  )
}
