import * as fs from 'node:fs'
import { join } from 'node:path'
import { type Bundle, bundleFolder, bundleIds, contentFolder, readBundle } from './bundle.ts'
import { bundleOn, contentOf, type Place } from './bundle-parts.ts'
import type { Docker } from './docker.ts'
import { isComplete } from './find-release.ts'
import type { Host } from './host.ts'
import { contentTag } from './images.ts'
import { withContentLock } from './lock-files.ts'
import { readOwners } from './owner.ts'
import { removeTree } from './remove-tree.ts'
import type { Release, State } from './state.ts'
import { deadTemporaries } from './temporaries.ts'

/** What can go, and what must stay (spec/core/bundle.md). Nothing here is decided by age or by what seems unused. */
export interface PrunePlan {
  /** releases whose bundles go, oldest first */
  readonly bundles: readonly string[]
  /** tags that no bundle that stays names, with the id that they must still have */
  readonly tags: readonly { readonly tag: string; readonly id: string }[]
  /** tags that a bundle which stays names */
  readonly named: ReadonlySet<string>
  /** the Compose project's name; undefined: it has no bundle */
  readonly project: string | undefined
}

export interface Pruned {
  readonly bundles: readonly string[]
  readonly tags: readonly string[]
  /** content entries that no bundle names any more */
  readonly content: readonly string[]
}

/**
 * @param keep completed releases that stay besides the current one
 * @param serving the release that serves, if one does
 * @param place whose tags; the bundles are the first host's
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
  // A failed attempt is no target: its images can go, but its bundle says what went wrong, as long as its neighbours stay.
  const loose = releases.filter(({ id }) => !kept.has(id)).flatMap(({ id }) => tagsThere(bundles.get(id)))
  const tags = new Map(loose.filter(({ tag }) => !named.has(tag)).map((entry) => [entry.tag, entry]))
  const gone = releases.filter((release) => goes(release) && bundles.get(release.id)).map(({ id }) => id)
  return {
    bundles: place.key === place.keys[0] ? gone.toReversed() : [],
    tags: [...tags.values()].toSorted((a, b) => (a.tag < b.tag ? -1 : 1)),
    named,
    project: [...bundles.values()].findLast((bundle) => bundle !== undefined)?.project,
  }
}

/** The serving and the current release, the last `keep` completed ones before, and what another run may be working on. */
function keptReleases(releases: readonly Release[], keep: number, serving: string | undefined): Set<string> {
  const complete = releases.filter(isComplete).map(({ id }) => id)
  const busy = releases.filter(isBusy).map(({ id }) => id)
  const finishing = releases.some((release) => release.id === serving && isBusy(release)) // it will be the current one
  return new Set([
    ...busy,
    ...(serving === undefined ? [] : [serving]),
    ...complete.slice(0, finishing ? keep : keep + 1),
    ...complete.slice(0, 1),
  ])
}

/** Another run may be at it, or died: it stays, but keeps no other one. */
function isBusy({ phases }: Release): boolean {
  return Object.values(phases).includes('running')
}

/** The tags that a release gave on this engine: by content, by version, and in a registry's name. */
function tagsOf(bundle: Bundle | undefined): readonly { readonly tag: string; readonly id: string }[] {
  if (bundle === undefined) return []
  const byContent = Object.entries(bundle.images).map(([service, { id }]) => {
    return { tag: contentTag(bundle.project, service, id), id }
  })
  return [...byContent, ...(bundle.tags ?? [])]
}

/** @returns the plan with just those tags that the engine has, and that are still what they were. */
export async function presentOnly(docker: Docker, plan: PrunePlan): Promise<PrunePlan> {
  if (plan.tags.length === 0) return plan
  const present = await listTags(docker)
  return { ...plan, tags: plan.tags.filter(({ tag, id }) => present.get(tag) === id) }
}

/**
 * Does what the plan of one host says. Images go with their last tag; one that a container uses stays.
 * @param host its content is beside its state file
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

/** Another project there may call an image the same: `shop` has a service `web-api`, and `shop-web` one that is `api`. */
async function pruneTags(docker: Docker, plan: PrunePlan, { owners }: Pick<Host, 'owners'>): Promise<string[]> {
  const tags: string[] = []
  const { tags: present } = await presentOnly(docker, plan)
  const projects = present.length === 0 ? [] : [...((await owners?.()) ?? (await readOwners(docker))).keys()]
  for (const { tag } of present)
    if (!isOfAnother(tag, plan, projects) && (await docker.try(['rmi', tag])).code === 0) tags.push(tag)
  return tags
}

/** @param projects all that the engine runs */
function isOfAnother(tag: string, { project }: PrunePlan, projects: readonly string[]): boolean {
  const name = tag.slice(tag.lastIndexOf('/') + 1)
  return projects.some((other) => other !== project && other.startsWith(`${project}-`) && name.startsWith(`${other}-`))
}

export async function listTags(docker: Docker): Promise<Map<string, string>> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}'
  const list = await docker.run('list images', ['image', 'ls', '--no-trunc', '--format', format], { timeout: 60_000 })
  return new Map(list.stdout.split('\n').map((line) => line.split(' ') as [string, string])) // two words a line
}

/**
 * Content is shared by all environments of this state: it goes when no bundle of any of them names or mounts it. Half of it
 * goes when who copied it is dead.
 */
function pruneContent(state: State, folder: string): string[] {
  return withContentLock(state.file, () => {
    const ids = bundleIds(state.file)
    if (ids.length === 0) return [] // what is not known is not unused
    const named = new Set(ids.flatMap((id) => [...contentOf(state.file, id)]))
    const entries = fs.existsSync(folder) ? fs.readdirSync(folder) : []
    const loose = entries.filter((name) => /^[0-9a-f]{32}$/.test(name) && !named.has(name))
    for (const path of [...loose.map((name) => join(folder, name)), ...deadTemporaries(folder)]) removeTree(path)
    return loose.toSorted()
  })
}
