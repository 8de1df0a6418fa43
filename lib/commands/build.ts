import { buildImages, pushImages } from '../builds.ts'
import { command } from '../cli.ts'
import { enginePlatform, inspectImages } from '../docker.ts'
import { StagecraftError } from '../errors.ts'
import { table } from '../format.ts'
import { buildTargets } from '../images.ts'
import { openReleaseDocker } from '../world.ts'

import { openRelease, openWorld, releaseArgs } from './release-arguments.ts'

export default command({
  name: 'build',
  description: 'Build the images of a version and tag them. Makes no release, and changes nothing that runs.',
  args: {
    ...releaseArgs,
    push: { type: 'boolean', description: 'push them to project.registry afterwards' },
    services: {
      type: 'string',
      valueHint: 'a,b',
      description: 'only these services (default: all with a build section)',
    },
  },
  examples: [
    ['stagecraft build --version v1.4.2', 'build every service that has a build section'],
    ['stagecraft build --services web,worker --push', 'build two, and push them to the registry'],
  ],
  exits: [
    [3, 'stagecraft.yml, the Compose file or an env file is invalid'],
    [4, 'no such environment or service'],
    [5, 'a build or push failed'],
    [8, 'the engine or the registry cannot be reached'],
  ],
  async run(args, context) {
    const { project, version } = await openRelease(args, context)
    const world = openWorld(context, project)
    const docker = openReleaseDocker(project, { ...world, exec: project.host.local }) // also what a host is to run
    const targets = chosen(buildTargets(project.model, version.version), args.services)
    const registry = project.config.project.registry
    if (args.push && registry === undefined)
      throw new StagecraftError('usage', 'Cannot push: no registry is configured', {
        hint: 'Add `project: {registry: …}` to stagecraft.yml, or leave --push out.',
      })
    await enginePlatform(docker)
    const input = { project, targets, docker, tell: world.tell }
    if (targets.length > 0) await buildImages(input)
    const digests = args.push && registry !== undefined ? await pushImages(input, registry) : {}
    const images = await inspectImages(
      docker,
      targets.map(({ versionTag }) => versionTag),
    )
    const built = targets.map(({ service, versionTag }) => ({
      service,
      image: versionTag,
      id: images.get(versionTag)?.id ?? '',
      ...(digests[service] === undefined ? {} : { digest: digests[service] }),
    }))
    context.report.result('built', { version: version.version, images: built }, () => formatBuilt(built))
    return 0
  },
})

/** What was built for one service, as `--json` gives it. */
export interface BuiltImage {
  readonly service: string
  readonly image: string
  readonly id: string
  readonly digest?: string
}

export function formatBuilt(built: readonly BuiltImage[]): string[] {
  if (built.length === 0) return ['Nothing to build: no service has a build section.']
  return table(built.map(({ service, image, id }) => [service, image, id.slice(0, 19)]))
}

/** @param asked `--services`: names between commas @throws not-found (4) for one that is not built */
export function chosen<T extends { readonly service: string }>(
  targets: readonly T[],
  asked: string | undefined,
): readonly T[] {
  if (asked === undefined) return targets
  const names = asked.split(',').map((name) => name.trim())
  for (const name of names)
    if (!targets.some(({ service }) => service === name))
      throw new StagecraftError(
        'not-found',
        `Cannot build ${JSON.stringify(name)}: no such service has a build section`,
        {
          hint: `Services that are built: ${targets.map(({ service }) => service).join(', ') || 'none'}.`,
        },
      )
  return targets.filter(({ service }) => names.includes(service))
}
