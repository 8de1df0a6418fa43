import { pageFile } from '../../plan/routes/table.ts'
import type { Settings } from '../settings.ts'
import { readGiven, wrong } from './read.ts'

/** Bytes of a page: it must have all that it shows, since nothing else answers. */
const MOST = 1_000_000

/**
 * Reads the error pages that services name.
 * @returns them by the name of their file in the proxy
 * @throws config (3), with line and column, for a file that cannot be read, or is no text
 */
export async function readPages(settings: Settings): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const [service, { expose }] of Object.entries(settings.environment.services))
    for (const [status, file] of Object.entries(expose?.error_pages ?? {})) {
      const given = { file, path: ['services', service, 'expose', 'error_pages', status] }
      const text = await readGiven(settings, given)
      if (Buffer.byteLength(text) > MOST) throw wrong(settings, given, 'is larger than 1 MB')
      if (text.includes('\ufffd')) throw wrong(settings, given, 'is not UTF-8')
      found[pageFile(service, status)] = text
    }
  return found
}
