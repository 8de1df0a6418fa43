import { keptText } from '../compose/copied-paths.ts'
import { buildImages } from '../docker/build.ts'
import type { Docker, Image } from '../docker/client.ts'
import { inspectImages } from '../docker/image-store.ts'
import type { BuildTarget, ModelImages } from '../docker/images.ts'
import { buildsElsewhere } from '../hosts/host.ts'
import { withContentLock } from '../lock/files.ts'
import { outputTo } from '../output/events.ts'
import { buildMark, markBuilt } from '../project/built-here.ts'
import { onEachHost } from './each-host.ts'
import type { HostRequest, HostRun, ReleaseRun } from './host-run.ts'
import type { Phase } from './loop.ts'

export const NOTHING_BUILT = 'no service has a build section'

export const BUILD: Phase = {
  name: 'build',
  deploy: { describe: willBuild, run: build },
  rollback: { describe: () => 'nothing is built: the images are there', run: checkImages },
}

function willBuild({ images: { targets }, existing }: HostRequest): string {
  if (targets.length === 0) return `nothing: ${NOTHING_BUILT}`
  return existing === undefined ? `build ${namesOf(targets)}` : `nothing: the images of ${existing} are taken`
}

export function namesOf(targets: readonly BuildTarget[]): string {
  return targets.map(({ service }) => service).join(', ')
}

/** Keeps the content files as they are now; builds every service with `build:` and tags it with the version. */
async function build(run: ReleaseRun): Promise<string> {
  const { project, targets, hostRuns, builder } = run
  withContentLock(project.stateFile, () => {
    for (const { request, bundle, found } of hostRuns) {
      bundle.save({ content: found.rendering.content }) // first, because a prune removes content that no bundle names
      found.rendering = request.keepContent()
    }
  })
  const { existing } = hostRuns[0].request
  if (targets.length > 0 && existing === undefined)
    await buildImages({ project, targets, docker: builder, onOutput: outputTo(run.tools.emit) })
  await onEachHost(run, async (hostRun) => {
    hostRun.found.images = await findImages(hostRun, builder)
  })
  if (targets.length > 0 && buildsElsewhere(project.host)) {
    const images = hostRuns.map(({ found }) => found.images)
    await markBuilt(builder, buildMark(project), targets, images)
  }
  for (const { request, bundle, found } of hostRuns)
    if (targets.length > 0) bundle.save({ tags: builtTags(request.images, found.images) })
  const built = whatWasBuilt(targets, existing)
  const kept = keptText(hostRuns.flatMap(({ found }) => found.rendering.content))
  return kept === undefined ? built : `${built}; ${kept}`
}

function whatWasBuilt(targets: readonly BuildTarget[], existing: string | undefined): string {
  if (targets.length === 0) return NOTHING_BUILT
  return existing === undefined ? `built ${namesOf(targets)}` : `not built: ${namesOf(targets)} of ${existing}`
}

/** Finds the images of a host, built ones on the builder's engine. Sets `present` to built ones that the host has. */
async function findImages({ request, tools, found }: HostRun, builder: Docker): Promise<ReadonlyMap<string, Image>> {
  const { built } = request.images
  const names = [...new Set(request.images.names.values())]
  if (!buildsElsewhere(request.project.host)) return inspectImages(tools.docker, names)
  const [here, there] = await Promise.all([inspectImages(builder, [...built]), inspectImages(tools.docker, names)])
  found.present = new Map([...there].filter(([name]) => built.has(name)))
  return new Map([...there, ...here])
}

export function builtTags({ built }: ModelImages, images: ReadonlyMap<string, Image>) {
  return [...built].map((tag) => ({ tag, id: images.get(tag)?.id ?? '' }))
}

/** A rollback builds nothing: the bundle's images were checked before the release was made. */
async function checkImages({ hostRuns }: ReleaseRun): Promise<string> {
  const images = hostRuns.flatMap(({ request }) => Object.values(request.target?.bundle.images ?? {}))
  const ids = new Set(images.map(({ id }) => id))
  return `nothing is built: ${ids.size === 1 ? 'the image is' : `the ${ids.size} images are`} here`
}
