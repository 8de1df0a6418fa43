import { buildImages } from '../builds.ts'
import { buildMark, markBuilt } from '../built-here.ts'
import { keptText } from '../content-text.ts'
import { type Image, inspectImages } from '../docker.ts'
import { imageNames } from '../images.ts'
import { withContentLock } from '../lock-files.ts'
import type { Run, Site } from '../run.ts'
import { onSites } from '../sites.ts'

/** Keeps the content files as they are now; builds every service that has `build:` and tags it with the version. */
export async function build(run: Run): Promise<string> {
  const { project, targets, sites } = run
  withContentLock(project.stateFile, () => {
    for (const site of sites) {
      site.save({ content: site.rendering.content }) // before it is kept: a prune removes what no bundle names
      site.rendering = site.keepContent()
    }
  })
  if (targets.length > 0) await buildImages({ ...run, docker: run.builder })
  await onSites(run, async (site) => {
    site.images = await findImages(site, run)
  })
  if (targets.length > 0 && project.host.name !== undefined)
    await markBuilt(run.builder, buildMark(project), targets, sites)
  for (const site of sites) if (targets.length > 0) site.save({ tags: builtTags(site) })
  const names = targets.map(({ service }) => service).join(', ')
  const built = targets.length === 0 ? 'no service has a build section' : `built ${names}`
  const kept = keptText(sites.flatMap(({ rendering }) => rendering.content))
  return kept === undefined ? built : `${built}; ${kept}`
}

/** What is built is looked for where it was built, and noted where a host has it. */
async function findImages(site: Site, { builder }: Run): Promise<ReadonlyMap<string, Image>> {
  const { project, targets, docker } = site
  const names = [...new Set(imageNames(project.model, targets).values())]
  if (project.host.name === undefined) return inspectImages(docker, names)
  const built = targets.map(({ versionTag }) => versionTag)
  const [here, there] = await Promise.all([inspectImages(builder, built), inspectImages(docker, names)])
  site.present = new Map([...there].filter(([name]) => built.includes(name)))
  return new Map([...there, ...here])
}

export function builtTags({ targets, images }: Pick<Site, 'targets' | 'images'>) {
  return targets.map(({ versionTag }) => ({ tag: versionTag, id: images.get(versionTag)?.id ?? '' }))
}

/** A rollback builds nothing, ever: that the bundle's images are there was found out before the release was made. */
export async function checkImages({ sites }: Run): Promise<string> {
  const ids = new Set(sites.flatMap(({ released }) => Object.values(released ?? {}).map(({ id }) => id)))
  return `nothing is built: ${ids.size === 1 ? 'the image is' : `the ${ids.size} images are`} here`
}
