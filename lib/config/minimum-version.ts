import { version } from '../../package.json'
import { StagecraftError } from '../util/errors.ts'
import { compareVersions, SEMANTIC_VERSION } from '../util/semantic-version.ts'

/**
 * Refuses a file whose `minimum_version` is newer than this Stagecraft, before anything else in it is checked: it may have
 * keys that only a newer one knows.
 * @param value the parsed file @throws config (3)
 */
export function refuseIfTooOld(value: unknown, current: string = version): void {
  const needed = typeof value === 'object' && value !== null && 'minimum_version' in value && value.minimum_version
  if (typeof needed !== 'string' || !SEMANTIC_VERSION.test(needed)) return // the schema says what is wrong
  if (compareVersions(current, needed) >= 0) return
  throw new StagecraftError(
    'config',
    `Cannot use stagecraft.yml: it needs Stagecraft ${needed} or newer, and this is ${current}`,
    { hint: 'stagecraft upgrade' },
  )
}
