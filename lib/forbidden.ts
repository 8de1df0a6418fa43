import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Forbidden } from './build-context.ts'
import { bundleFolder, contentFolder } from './bundle.ts'

/**
 * What belongs into no image: states with their secrets, also that of another environment in the project folder, and the program.
 * @param inProject where a state in the project folder is, if there is one @param state that of the environment */
export function forbiddenIn(inProject: string, state: string): Forbidden[] {
  const states = [...new Set([state, inProject])].flatMap((file) => {
    const folder = dirname(file)
    if (existsSync(folder)) return [join(realpathSync(folder), basename(file))]
    return file === state ? [file] : []
  })
  return [
    ...states.map((file) => ({ path: dirname(file), holds: [file, bundleFolder(file, 'id'), contentFolder(file)] })),
    { path: process.execPath, holds: [process.execPath] },
  ]
}
