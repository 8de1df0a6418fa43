import { join } from 'node:path'
import { StagecraftError } from '../../util/errors.ts'

/** What Windows keeps for devices, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[<>:"/\\|?*\u0000-\u001f\u007f]/
/** What the column of the history takes. */
const MOST_CHARACTERS = 200

/**
 * The name is what the history knows a file by, on every system that the repository is checked out on.
 * @throws config (3) for a name that Windows does not take, and for two that differ only in case or in how accents are encoded
 */
export function checkNames(folder: string, names: readonly string[]): void {
  const folded = new Map<string, string>()
  for (const name of names) {
    const reason = reasonAgainst(name)
    if (reason) throw refuse(join(folder, JSON.stringify(name).slice(1, -1)), reason)
    const same = folded.get(fold(name))
    if (same !== undefined) throw refuse(join(folder, name), `"${same}" differs from it only in case or accents`)
    folded.set(fold(name), name)
  }
}

const fold = (name: string): string => name.normalize('NFC').toLowerCase()

function reasonAgainst(name: string): string | undefined {
  if (!name.endsWith('.sql')) return 'its name does not end in ".sql" as it is'
  if (name.includes('\ufffd')) return 'its name is not UTF-8'
  if (FORBIDDEN.test(name)) return 'its name has a character that Windows does not take'
  if (DEVICE.test(name)) return 'its name is that of a device on Windows'
  if (name.length > MOST_CHARACTERS) return `its name has more than ${MOST_CHARACTERS} characters`
  return undefined
}

const refuse = (path: string, reason: string): StagecraftError =>
  new StagecraftError('config', `Cannot use ${path}: ${reason}`, { hint: 'Rename it before it is applied anywhere.' })
