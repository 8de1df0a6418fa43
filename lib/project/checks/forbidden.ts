import { type Dirent, existsSync, readdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Forbidden, STATE_FOLDER } from '../../compose/build-context.ts'
import { bundleFolder } from '../../record/bundle/ref.ts'
import { contentFolder } from '../../record/bundle.ts'
import { stateFileIn } from '../../record/releases.ts'

/**
 * @returns what no image may contain: states with their secrets, also another environment's, and the program itself
 * @param inProject the state file in the project folder, which may not exist @param state the environment's state file */
export function forbiddenIn(inProject: string, state: string): Forbidden[] {
  const states = [...new Set([state, inProject])].flatMap((file) => {
    const folder = dirname(file)
    if (existsSync(folder)) return [join(realpathSync(folder), basename(file))]
    return file === state ? [file] : []
  })
  return [...states.map(ofState), { path: process.execPath, holds: [process.execPath] }]
}

function ofState(file: string): Forbidden {
  return { path: dirname(file), holds: [file, bundleFolder(file, 'id'), contentFolder(file)] }
}

/** How many levels deep projects of a repository are looked for, and in how many folders, the nearest first. */
const [DEEPEST, MOST] = [6, 4096]

/** Folders without projects. */
const SKIPPED: ReadonlySet<string> = new Set(['node_modules', '.git'])

/**
 * Finds states in a folder and below it: in a repository with several projects, a build context may contain the states of other
 * projects. Links are not followed.
 * @param folder absolute @returns the states that were found within DEEPEST levels and MOST folders
 */
export function statesBelow(folder: string): Forbidden[] {
  const found: Forbidden[] = []
  let level = [folder]
  let left = MOST
  for (let depth = 0; depth <= DEEPEST && level.length > 0; depth++) {
    const looked = level.slice(0, left)
    left -= looked.length
    level = looked.flatMap((path) => {
      const names = foldersIn(path)
      if (names.includes(STATE_FOLDER)) found.push(...stateOf(path))
      return names.filter((name) => name !== STATE_FOLDER && !SKIPPED.has(name)).map((name) => join(path, name))
    })
  }
  return found
}

/** @returns nothing for an empty `.stagecraft` folder, which may be copied */
function stateOf(project: string): Forbidden[] {
  const { path, holds } = ofState(stateFileIn(join(project, STATE_FOLDER)))
  const present = holds.filter((one) => existsSync(one))
  return present.length === 0 ? [] : [{ path, holds: present }]
}

/** @returns the folders in a folder; none if it cannot be read, as then a build cannot copy it either */
function foldersIn(path: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(path, { withFileTypes: true })
  } catch {
    return []
  }
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
}
