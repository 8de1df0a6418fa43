import { isRenewed } from './path-names.ts'
import type { ContentFile, Data } from './render.ts'

/** How many paths a line names. */
const MOST = 6

/** @returns the paths that a release has copies of, as people write them: not what is made from text. */
export function copiedPaths(content: readonly ContentFile[]): string[] {
  const paths = content.flatMap(({ name, from }) => from ?? (/^[./]/.test(name) ? [name] : []))
  return [...new Set(paths)].toSorted()
}

/** @returns `./a, ./b and 3 more` */
export function listPaths(paths: readonly string[]): string {
  const shown = paths.length > MOST ? paths.slice(0, MOST - 1) : paths
  return paths.length > MOST ? `${shown.join(', ')} and ${paths.length - shown.length} more` : shown.join(', ')
}

/** @returns what the phase says that keeps them, or nothing */
export function keptText(content: readonly ContentFile[]): string | undefined {
  const paths = copiedPaths(content)
  return paths.length === 0 ? undefined : `kept as they are now: ${listPaths(paths)}`
}

/** @returns what a plan says of the copies that a release keeps, and of those that would grow old. */
export function contentNotes(content: readonly ContentFile[]): string[] {
  const paths = copiedPaths(content)
  if (paths.length === 0) return []
  const renewed = paths.filter(isRenewed)
  const several = paths.length > 1
  const copies = `${listPaths(paths)} ${several ? 'are' : 'is'} kept with the release: containers get ${several ? 'copies' : 'a copy'}, and a later change only with the next deploy`
  if (renewed.length === 0) return [copies]
  const [it, them] = renewed.length > 1 ? ['them', 'they are'] : ['it', 'it is']
  return [
    copies,
    `if something else renews ${listPaths(renewed)} (certificates), mount ${it} from where ${them}: \`data: [${renewed.join(', ')}]\` in stagecraft.yml`,
  ]
}

/** @returns what a plan says of the paths that are mounted from where they are. */
export function dataNotes(data: readonly Data[]): string[] {
  const made = data.filter(({ creates }) => creates)
  const reasons = [...new Set(made.map(({ why }) => why))]
  return [
    ...reasons.map((why) =>
      createsNote(
        made.flatMap((one) => (one.why === why ? [one.path] : [])),
        why,
      ),
    ),
    ...data.flatMap(({ path, why, creates }) =>
      creates ? [] : [`${path} is mounted from where it is, and is not part of the release: ${why}`],
    ),
  ]
}

function createsNote(paths: readonly string[], why: string): string {
  const [are, folders] = paths.length === 1 ? ['it is', 'an empty folder'] : ['they are', 'empty folders']
  return `creates ${listPaths(paths)}: ${are} not there, and the engine makes ${folders} (root's, mode 0755), no part of the release: ${why}`
}
