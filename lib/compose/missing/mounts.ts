import { basename, dirname } from 'node:path'
import { StagecraftError } from '../../util/errors.ts'
import type { Looks } from '../path-names.ts'
import { exampleOf } from './examples.ts'

/** A mounted path that does not exist and cannot be created. */
interface Missing {
  /** the services that mount it */
  readonly users: readonly string[]
  /** as people write it */
  readonly path: string
  /** absolute */
  readonly source: string
  readonly looks: Exclude<Looks, 'folder'>
}

/** @returns the error (3) for a file or socket: an engine would create a folder there, which is never wanted */
export function missingFile({ users, path, source, looks }: Missing): StagecraftError {
  return new StagecraftError('config', `Cannot mount ${path} into ${users.join(', ')}: it does not exist`, {
    hint: looks === 'socket' ? socketHint(source) : fileHint(path, source),
  })
}

/** @returns the error (3) for a folder that Compose must not create */
export function missingFolder(users: readonly string[], path: string): StagecraftError {
  return new StagecraftError('config', `Cannot mount ${path} into ${users.join(', ')}: it does not exist`, {
    hint: `The Compose file forbids Docker to create it (create_host_path). Create it first: mkdir -p ${path}`,
  })
}

function socketHint(source: string): string {
  const name = basename(source)
  return `${name} is a socket: start the program that listens there, or correct the path. Docker would mount an empty folder.`
}

/** Many projects have an example next to a file that people must write. */
function fileHint(path: string, source: string): string {
  const example = exampleOf(source)
  const first =
    example === undefined
      ? 'Put the file there first.'
      : `Create it from the example first: cp ${dirname(path)}/${basename(example)} ${path} .`
  return `${first} Docker would mount an empty folder.`
}
