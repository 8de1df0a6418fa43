import { isRenewed } from './path-names.ts'
import type { ContentFile, Data } from './rendering.ts'

/** The most paths that a line names. */
const MOST = 6

/** @returns the paths that a release has copies of, as people write them, without files made from text. */
export function copiedPaths(content: readonly ContentFile[]): string[] {
  const paths = content.flatMap(({ name, from }) => from ?? (/^[./]/.test(name) ? [name] : []))
  return [...new Set(paths)].toSorted()
}

/** @returns `./a, ./b and 3 more` */
export function listPaths(paths: readonly string[]): string {
  const shown = paths.length > MOST ? paths.slice(0, MOST - 1) : paths
  return paths.length > MOST ? `${shown.join(', ')} and ${paths.length - shown.length} more` : shown.join(', ')
}

/** @returns the note of the phase that keeps them, or undefined if there are none */
export function keptText(content: readonly ContentFile[]): string | undefined {
  const paths = copiedPaths(content)
  return paths.length === 0 ? undefined : `kept as they are now: ${listPaths(paths)}`
}

/** @returns a plan's notes on the copies that a release keeps, and on those that something renews. */
export function contentNotes(content: readonly ContentFile[]): string[] {
  const paths = copiedPaths(content)
  if (paths.length === 0) return []
  const renewed = paths.filter(isRenewed)
  const several = paths.length > 1
  const copies = `${listPaths(paths)} ${several ? 'are' : 'is'} kept with the release: containers get ${several ? 'copies' : 'a copy'}, and see later changes only after the next deploy`
  if (renewed.length === 0) return [copies]
  const them = renewed.length > 1 ? 'them' : 'it'
  return [
    copies,
    `if something else renews ${listPaths(renewed)} (certificates), mount ${them} in place: \`data: [${renewed.join(', ')}]\` in stagecraft.yml`,
  ]
}

/** @returns a plan's notes on paths that are mounted in place: one line for each reason. */
export function dataNotes(data: readonly Data[]): string[] {
  const kinds = [
    { some: data.filter(({ creates }) => creates), note: createsNote },
    { some: data.filter(({ creates }) => !creates), note: mountedNote },
  ]
  return kinds.flatMap(({ some, note }) =>
    [...new Set(some.map(({ why }) => why))].map((why) =>
      note(
        some.flatMap((one) => (one.why === why ? [one.path] : [])),
        why,
      ),
    ),
  )
}

function createsNote(paths: readonly string[], why: string): string {
  const [it, folders] = paths.length === 1 ? ['it does', 'an empty folder'] : ['they do', 'empty folders']
  return `creates ${listPaths(paths)}: ${it} not exist; the engine creates ${folders} (owned by root, mode 0755), not part of the release: ${ofAll(why, paths)}`
}

/** Names all paths: their content is in no release, so no rollback restores it. */
function mountedNote(paths: readonly string[], why: string): string {
  const are = paths.length === 1 ? 'is' : 'are'
  return `${paths.join(', ')} ${are} mounted in place and ${are} not part of the release: ${ofAll(why, paths)}`
}

/** @returns a reason for one path, worded for all of them. */
function ofAll(why: string, paths: readonly string[]): string {
  return paths.length === 1 ? why : why.replace(/ it$/, ' them')
}
