import { buildImages, pushImages } from '../../docker/build.ts'
import { enginePlatform } from '../../docker/engine/facts.ts'
import { inspectImages } from '../../docker/image-store.ts'
import { buildTargets } from '../../docker/images.ts'
import type * as contract from '../../output/contract/results.ts'
import { outputTo } from '../../output/events.ts'
import { openBuilder } from '../../project/built-here.ts'
import { StagecraftError } from '../../util/errors.ts'
import { table } from '../../util/format.ts'
import { namesHint } from '../../util/nearest.ts'
import type { Of } from '../../util/schema.ts'
import { command } from '../command.ts'
import { openRelease, openSession, releaseArgs } from './release-arguments.ts'

export default command({
  name: 'build',
  description: 'Build the images of a version and tag them. Makes no release, and changes no container.',
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
    [8, 'a host, the engine or a registry cannot be reached'],
    [9, 'the state of a host cannot be read'],
  ],
  async run(args, context) {
    const { project, version } = await openRelease(args, context)
    const session = openSession(context, project)
    const targets = chosen(buildTargets(project.model, version.name), args.services)
    const docker = await openBuilder(project, targets, session)
    const registry = project.config.project.registry
    if (args.push && registry === undefined)
      throw new StagecraftError('usage', 'Cannot push: no registry is configured', {
        hint: 'Add `project: {registry: …}` to stagecraft.yml, or leave --push out.',
      })
    await enginePlatform(docker)
    const input = { project, targets, docker, onOutput: outputTo(session.emit) }
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
    context.report.result('built', { version: version.name, images: built }, () => formatBuilt(built))
    return 0
  },
})

/** What was built for one service, as `--json` gives it. */
type BuiltImage = Of<typeof contract.builtImage>

export function formatBuilt(built: readonly BuiltImage[]): string[] {
  if (built.length === 0) return ['Nothing to build: no service has a build section.']
  return table(built.map(({ service, image, id }) => [service, image, id.slice(0, 19)]))
}

/** @param asked `--services`: names separated by commas @throws not-found (4) for a service without a build section */
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
          hint: namesHint(
            'Services that are built',
            name,
            targets.map(({ service }) => service),
          ),
        },
      )
  return targets.filter(({ service }) => names.includes(service))
}
