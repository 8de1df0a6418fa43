import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { errorInFile } from '../../config/parse.ts'
import { errnoOf, type StagecraftError } from '../../util/errors.ts'
import { readVariable, type Settings } from '../settings.ts'

/** A text that the environment names: a file, or a variable. */
interface Given {
  readonly file?: string | undefined
  readonly variable?: string | undefined
  /** where the environment names it */
  readonly path: readonly string[]
}

/** @returns the text. @throws config (3), with line and column */
export async function readGiven(settings: Settings, given: Given): Promise<string> {
  const { file, variable } = given
  if (file === undefined) {
    const value = await readVariable(settings, variable ?? '')
    if (value === '') throw wrong(settings, given, 'is not set')
    return value
  }
  try {
    return readFileSync(resolve(settings.directory, file), 'utf8')
  } catch (error) {
    throw wrong(settings, given, errnoOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${errnoOf(error)})`)
  }
}

/** @returns the error (3) for a text that cannot be used, with line and column */
export function wrong(
  { config, environment }: Settings,
  { file, variable, path }: Given,
  why: string,
): StagecraftError {
  return errorInFile(config, environment.name, path, `${file ?? variable} ${why}`)
}
