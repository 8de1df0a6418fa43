import { childError, type Docker } from './docker.ts'

/**
 * @param format of one of them, on one line
 * @returns one line for each that is still there: others may remove things at any time, also while they are being listed
 */
export async function inspectEachImage(docker: Docker, format: string, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return []
  const result = await docker.try(['image', 'inspect', '--format', format, ...ids], { asks: true })
  const errors = result.stderr.split('\n').filter((line) => line.trim() !== '')
  if (result.code !== 0 && !errors.every((line) => /no such image|: not found$/i.test(line)))
    throw childError('inspect images', result)
  return result.stdout.split('\n').filter(Boolean)
}
