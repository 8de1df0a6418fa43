import { existsSync } from 'node:fs'
import { basename, dirname, extname } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Looks } from './path-names.ts'

/** A mounted path that is not there and cannot be made. */
export interface Missing {
  readonly service: string
  /** as people write it */
  readonly path: string
  /** absolute */
  readonly source: string
  readonly looks: Exclude<Looks, 'folder'>
}

/** @returns the error (3) for a file or socket: an engine would make a folder there, which is never wanted */
export function missingFile({ service, path, source, looks }: Missing): StagecraftError {
  return new StagecraftError('config', `Cannot mount ${path} into ${service}: it does not exist`, {
    hint: looks === 'socket' ? socketHint(source) : fileHint(path, source),
  })
}

/** @returns the error (3) for a folder that Compose is told not to make */
export function missingFolder(service: string, path: string): StagecraftError {
  return new StagecraftError('config', `Cannot mount ${path} into ${service}: it does not exist`, {
    hint: `The Compose file says that nobody makes it (create_host_path). Create it first: mkdir -p ${path}`,
  })
}

function socketHint(source: string): string {
  const name = basename(source)
  return `${name} is a socket: start what listens there, or correct the path. Docker would mount an empty folder.`
}

/** Many projects have an example beside the file that people are to write. */
function fileHint(path: string, source: string): string {
  const example = examples(source).find((candidate) => existsSync(candidate))
  const first =
    example === undefined
      ? 'Put the file there first.'
      : `Make it of the example first: cp ${dirname(path)}/${basename(example)} ${path} .`
  return `${first} Docker would mount an empty folder.`
}

function examples(source: string): string[] {
  const ending = extname(source)
  const stem = source.slice(0, source.length - ending.length)
  const words = ['example', 'sample', 'dist', 'template']
  return words.flatMap((word) => [`${source}.${word}`, `${stem}.${word}${ending}`, `${stem}-${word}${ending}`])
}
