import { createHash } from 'node:crypto'
import type { Docker, Image } from './docker.ts'
import type { BuildTarget } from './images.ts'
import { ownerHere } from './ownership.ts'
import type { Settings } from './project.ts'
import { listTags, type PrunePlan } from './prune.ts'

// This machine's engine builds for environments on hosts, of which it knows nothing: a tag of each says who needs an image.

/** @returns what the tags of an environment end with on an engine that only builds for it */
export function buildMark(settings: Pick<Settings, 'host' | 'stateFile' | 'environment'>): string {
  const { host, root } = ownerHere(settings)
  return createHash('sha256').update(`${host}\n${root}`).digest('hex').slice(0, 8)
}

/** Marks what was built as needed by an environment. @param sites with the images that were built, by name */
export async function markBuilt(
  builder: Docker,
  mark: string,
  targets: readonly BuildTarget[],
  sites: readonly { readonly images: ReadonlyMap<string, Image> }[],
): Promise<void> {
  for (const { versionTag } of targets) {
    const image = sites.map(({ images }) => images.get(versionTag)).find((found) => found !== undefined)
    if (image === undefined) continue
    const tag = markTag(versionTag, image.id, mark)
    if (!image.tags.includes(tag)) await builder.run(`tag the image of ${versionTag}`, ['tag', image.id, tag])
  }
}

function markTag(tag: string, id: string, mark: string): string {
  return `${tag.replace(/:[^:/]*$/, '')}:sc-${shortId(id)}-${mark}`
}

function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12)
}

/** A content tag (lib/images.ts), or one that an environment on hosts has here. */
const NEEDED = /:sc-[0-9a-f]{12}(?:-([0-9a-f]{8}))?$/

/**
 * Removes what no release of an environment needs any more from the engine that only built it: tags that it gave, and then its
 * marks. What another environment has marked, or runs, stays, and so does what was built before there were marks.
 */
export async function pruneBuilt(builder: Docker, plan: PrunePlan, mark: string): Promise<void> {
  if (plan.tags.length === 0) return
  const present = await listTags(builder)
  const marks = (id: string | undefined) =>
    [...present].flatMap(([tag, its]) =>
      its === id ? (NEEDED.exec(tag)?.[1] ?? (NEEDED.test(tag) ? ['runs'] : [])) : [],
    )
  const loose = plan.tags.filter(({ tag }) => {
    const all = marks(present.get(tag))
    return !NEEDED.test(tag) && all.length > 0 && all.every((one) => one === mark)
  })
  const kept = new Set([...plan.named].flatMap((tag) => present.get(tag) ?? []))
  const isKept = (id: string, tag: string) => kept.has(id) || plan.named.has(tag.slice(0, -mark.length - 1))
  const own = [...present].filter(([tag, id]) => NEEDED.exec(tag)?.[1] === mark && !isKept(id, tag))
  for (const tag of [...loose.map((each) => each.tag), ...own.map(([each]) => each)]) await builder.try(['rmi', tag])
}
