import { lstatSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { writeFileAtomic } from '../../system/atomic-write.ts'
import { errnoOf, StagecraftError } from '../../util/errors.ts'

/** What happened to a `.gitignore` or `.dockerignore`. */
interface IgnoreChange {
  readonly change: 'created' | 'changed' | 'unchanged'
  /** the lines that were added */
  readonly lines: readonly string[]
}

/**
 * Adds lines to an ignore file, or creates it. Lines that already have the same effect stay, and so does every other byte.
 * @throws state (9) if the file cannot be read or written
 */
export function addIgnoreLines(file: string, wanted: readonly string[]): IgnoreChange {
  try {
    const old = readIfThere(file)
    const lines = wanted.filter((line) => !ignores(old ?? '', line))
    if (lines.length === 0) return { change: 'unchanged', lines }
    const mode = old === undefined ? 0o644 : statSync(file).mode & 0o777
    writeFileAtomic(file, withLines(old ?? '', lines), { mode, folderMode: 0o755 })
    return { change: old === undefined ? 'created' : 'changed', lines }
  } catch (cause) {
    const reason = errnoOf(cause) ?? 'it cannot be changed'
    throw new StagecraftError('state', `Cannot change ${basename(file)}: ${reason}`, {
      cause,
      hint: `Add these lines to ${file} yourself: ${wanted.join(', ')}`,
    })
  }
}

/** @returns the text with the lines at its end, with its own line breaks. */
export function withLines(text: string, lines: readonly string[]): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const start = text === '' || text.endsWith('\n') ? text : text + newline
  return start + lines.map((line) => line + newline).join('')
}

/** The last line for a path decides, as in git and docker. Only lines with its exact name count: a line too many does no harm. */
function ignores(text: string, wanted: string): boolean {
  const name = bare(wanted)
  const about = text.split(/\r?\n/).filter((line) => bare(line.replace(/^!/, '')) === name)
  return about.length > 0 && about.at(-1)?.startsWith('!') === false
}

function bare(pattern: string): string {
  return pattern
    .trim()
    .replace(/^(\*\*)?\//, '')
    .replace(/\/(\*\*?)?$/, '')
}

function readIfThere(file: string): string | undefined {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined
  return readFileSync(file, 'utf8')
}
