import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Docker } from '../docker/client.ts'
import { listTags, removeTag } from '../docker/image-store.ts'
import { contentTag } from '../docker/images.ts'
import type { Host } from '../hosts/host.ts'
import { readOwners } from '../hosts/owners.ts'
import { withContentLock } from '../lock/files.ts'
import type * as contract from '../output/contract/results.ts'
import { bundleFolder } from '../record/bundle/ref.ts'
import { type Bundle, bundleIds, contentFolder, readBundle } from '../record/bundle.ts'
import { bundleOn, contentOf, type Place } from '../record/bundle-parts.ts'
import { isComplete } from '../record/find-release.ts'
import type { State } from '../record/releases.ts'
import type { Release } from '../record/releases-file/format.ts'
import { removeTree } from '../system/remove-tree.ts'
import { deadTemporaries } from '../system/temporaries.ts'
import { compare } from '../util/format.ts'
import type { Of } from '../util/schema.ts'

/** What is removed, and what stays (spec/core/bundle.md). Neither age nor apparent disuse decides. */
export interface PrunePlan {
  /** releases whose bundles are removed, oldest first */
  readonly bundles: readonly string[]
  /** tags that no remaining bundle names, with the id that they must still have */
  readonly tags: readonly { readonly tag: string; readonly id: string }[]
  /** tags that a remaining bundle names */
  readonly named: ReadonlySet<string>
  /** the Compose project's name; undefined: it has no bundle */
  readonly project: string | undefined
}

type Pruned = Of<typeof contract.pruned>

/**
 * @param keep completed releases that stay besides the current one
 * @param serving the live release, if there is one
 * @param place the host whose tags are planned; the bundles are on the first host
 */
export function planPrune(
  state: State,
  {
    environment,
    keep,
    serving,
  }: { readonly environment: string; readonly keep: number; readonly serving: string | undefined },
  place: Place,
): PrunePlan {
  const releases = state.listReleases({ environment })
  const kept = keptReleases(releases, keep, serving)
  const oldest = releases.findLast((release) => kept.has(release.id) && (release.id === serving || !isBusy(release)))
  const there = new Set(bundleIds(state.file)) // a long history has few bundles
  const open = (id: string) => (there.has(id) ? readBundle(state.file, id) : undefined)
  const bundles = new Map(releases.map(({ id }) => [id, open(id)]))
  const others = state.listReleases().filter((release) => release.environment !== environment)
  const staying = [
    ...releases.filter(({ id }) => kept.has(id)).map(({ id }) => bundles.get(id)),
    ...others.map(({ id }) => open(id)),
  ]
  const tagsThere = (bundle: Bundle | undefined) => tagsOf(bundle && bundleOn(state.file, bundle, place))
  const named = new Set(staying.flatMap((bundle) => tagsThere(bundle).map(({ tag }) => tag)))
  const goes = ({ id }: Release) => !kept.has(id) && oldest !== undefined && id < oldest.id
  // A failed release cannot be restored: its images are removed. Its bundle says what went wrong, and stays as long as an older one.
  const loose = releases.filter(({ id }) => !kept.has(id)).flatMap(({ id }) => tagsThere(bundles.get(id)))
  const tags = new Map(loose.filter(({ tag }) => !named.has(tag)).map((entry) => [entry.tag, entry]))
  const gone = releases.filter((release) => goes(release) && bundles.get(release.id)).map(({ id }) => id)
  return {
    bundles: place.key === place.keys[0] ? gone.toReversed() : [],
    tags: [...tags.values()].toSorted((a, b) => compare(a.tag, b.tag)),
    named,
    project: [...bundles.values()].findLast((bundle) => bundle !== undefined)?.project,
  }
}

/** @returns the plan that removes all releases of an environment, also those that are not recorded any more */
export function planRemoval(state: State, environment: string, place: Place): PrunePlan {
  const all = bundleIds(state.file).flatMap((id) => readBundle(state.file, id) ?? [])
  const tagsThere = (bundle: Bundle) => tagsOf(bundleOn(state.file, bundle, place))
  const named = new Set(
    all
      .filter((one) => one.environment !== environment)
      .flatMap((one) => tagsThere(one))
      .map(({ tag }) => tag),
  )
  const own = all.filter((one) => one.environment === environment)
  const tags = new Map(
    own
      .flatMap((one) => tagsThere(one))
      .filter(({ tag }) => !named.has(tag))
      .map((one) => [one.tag, one]),
  )
  const sorted = [...tags.values()].toSorted((a, b) => compare(a.tag, b.tag))
  return { bundles: own.map(({ id }) => id), tags: sorted, named, project: own.at(-1)?.project }
}

/** @returns the live and the current release, the last `keep` completed ones before, and those that another run may work on */
function keptReleases(releases: readonly Release[], keep: number, serving: string | undefined): Set<string> {
  const complete = releases.filter(isComplete).map(({ id }) => id)
  const busy = releases.filter(isBusy).map(({ id }) => id)
  const finishing = releases.some((release) => release.id === serving && isBusy(release)) // it becomes the current one
  return new Set([
    ...busy,
    ...(serving === undefined ? [] : [serving]),
    ...complete.slice(0, finishing ? keep : keep + 1),
    ...complete.slice(0, 1),
  ])
}

/** Its run may be under way, or has died: it stays, but keeps no other bundle. */
function isBusy({ phases }: Release): boolean {
  return Object.values(phases).includes('running')
}

/** @returns the tags that a release set on this engine: by content, by version, and with the registry's name */
function tagsOf(bundle: Bundle | undefined): readonly { readonly tag: string; readonly id: string }[] {
  if (bundle === undefined) return []
  const byContent = Object.entries(bundle.images).map(([service, { id }]) => {
    return { tag: contentTag(bundle.project, service, id), id }
  })
  return [...byContent, ...(bundle.tags ?? [])]
}

/** @returns the plan with only the tags that the engine has, with the same ids as before */
export async function presentOnly(docker: Docker, plan: PrunePlan): Promise<PrunePlan> {
  if (plan.tags.length === 0) return plan
  const present = await listTags(docker)
  return { ...plan, tags: plan.tags.filter(({ tag, id }) => present.get(tag) === id) }
}

/**
 * Carries out the plan of one host. An image is removed with its last tag, unless a container uses it.
 * @param host its content is next to its state file
 */
export async function prune(
  docker: Docker,
  state: State,
  plan: PrunePlan,
  host: Pick<Host, 'stateFile' | 'owners'>,
): Promise<Pruned> {
  const tags = await pruneTags(docker, plan, host)
  for (const id of plan.bundles) removeTree(bundleFolder(state.file, id))
  return { bundles: plan.bundles, tags, content: pruneContent(state, contentFolder(host.stateFile)) }
}

/** Removes tags, but for those of another project with the same name: `shop` with a service `web-api`, `shop-web` with `api`. */
export async function pruneTags(docker: Docker, plan: PrunePlan, { owners }: Pick<Host, 'owners'>): Promise<string[]> {
  const tags: string[] = []
  const { tags: present } = await presentOnly(docker, plan)
  const projects = present.length === 0 ? [] : [...((await owners?.()) ?? (await readOwners(docker))).keys()]
  for (const { tag } of present)
    if (!isOfAnother(tag, plan, projects) && (await removeTag(docker, [tag])).code === 0) tags.push(tag)
  return tags
}

/** @param projects all projects of the engine */
function isOfAnother(tag: string, { project }: PrunePlan, projects: readonly string[]): boolean {
  const name = tag.slice(tag.lastIndexOf('/') + 1)
  return projects.some((other) => other !== project && other.startsWith(`${project}-`) && name.startsWith(`${other}-`))
}

/**
 * Removes content that no bundle of any environment of this state names or mounts, and half-copied content of processes that
 * have died.
 */
export function pruneContent(state: State, folder: string): string[] {
  return withContentLock(state.file, () => {
    const ids = bundleIds(state.file)
    if (ids.length === 0) return [] // without bundles it is not known what is unused
    const named = new Set(ids.flatMap((id) => [...contentOf(state.file, id)]))
    const entries = fs.existsSync(folder) ? fs.readdirSync(folder) : []
    const loose = entries.filter((name) => /^[0-9a-f]{32}$/.test(name) && !named.has(name))
    for (const path of [...loose.map((name) => join(folder, name)), ...deadTemporaries(folder)]) removeTree(path)
    return loose.toSorted()
  })
}
