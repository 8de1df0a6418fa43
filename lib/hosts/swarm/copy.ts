import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { placeholder } from '../../compose/content-store.ts'
import { lockFiles, parseJson } from '../../lock/files.ts'
import { contentFolder } from '../../record/bundle.ts'
import { stateFileIn } from '../../record/releases.ts'
import { removeTree } from '../../system/remove-tree.ts'
import { look } from '../state/copy.ts'
import type { Known } from '../state/known.ts'

/** Makes an empty copy. */
export function emptyCopy(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
}

interface Hold {
  readonly environment: string
  /** its description; empty: nobody holds it */
  readonly text: string
}

/** Replaces a copy by a state of the Swarm. @param files bytes by path, checked */
export function fillCopy(folder: string, files: ReadonlyMap<string, Uint8Array>, { environment, text }: Hold): void {
  for (const name of fs.readdirSync(folder)) removeTree(join(folder, name))
  for (const [path, bytes] of files) put(join(folder, path), bytes)
  // One that cannot be understood still counts as a hold.
  if (text !== '') put(holdFile(folder, environment), `${JSON.stringify(parseJson(text) ?? {}, null, 2)}\n`)
  const models = [...files].filter(([path]) => path.endsWith('.json'))
  const names = models.flatMap(([, bytes]) => [...Buffer.from(bytes).toString('utf8').matchAll(IN_CONTENT)])
  const content = contentFolder(stateFileIn(folder))
  for (const name of new Set(names.map(([, hash = '']) => hash))) placeholder(content, name)
}

/** The Swarm itself has the content: a config or secret of the stack with that hash in its name. */
const IN_CONTENT = /\/content\/([0-9a-f]{32})"/g

function put(path: string, bytes: string | Uint8Array): void {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  fs.writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' })
}

/** @param known files that need not be read again @returns the files of a copy that belong to the state */
export function lookAtCopy(folder: string, known: Known['files']): Known['files'] {
  return look(folder, known).files
}

function holdFile(folder: string, environment: string): string {
  return lockFiles(stateFileIn(folder), environment).hold
}

/** @returns the description of a hold in the copy; empty: nobody holds it */
export function readHoldText(folder: string, environment: string): string {
  const file = holdFile(folder, environment)
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
}
