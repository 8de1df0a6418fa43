import { pullImages } from '../docker/build.ts'
import type { Docker, Image } from '../docker/client.ts'
import { inspectImages } from '../docker/image-store.ts'
import { imagesToPull, type Pull } from '../docker/images.ts'
import { isForPlatform } from '../docker/platforms.ts'
import { type Host, platformOf } from '../hosts/host.ts'
import type { Transfer } from '../hosts/transfer.ts'
import { outputTo } from '../output/events.ts'
import { StagecraftError, withHint } from '../util/errors.ts'
import type { HostRequest, HostRun, HostTools } from './host-run.ts'

/** This machine's engine, and how its images get to a host. */
export interface Here {
  readonly builder: Docker
  readonly transfer: Transfer
}

/** Names of images that are not built and were brought to a host. */
interface Fetched {
  readonly pulled: readonly string[]
  readonly sent: readonly string[]
}

/**
 * Pulls images that an engine lacks. An image that a host cannot pull and this machine has is sent, as built images are:
 * it was built or loaded here by hand.
 * @throws failed (5) for an image that is nowhere to be had, unreachable (8)
 */
export async function fetchImages({ request, tools, found }: HostRun, here: Here): Promise<Fetched> {
  const { project, images } = request
  const pulls = imagesToPull(project.model, images, found.images)
  const never = neverPulled(request, pulls, found.images)
  const [pulled, sent]: [string[], string[]] = [[], []]
  for (const pull of pulls) {
    const error = await tryPull(tools, pull)
    if (error === undefined) pulled.push(pull.name)
    else if (project.host.isLocal) throw error
    else {
      await sendOwn(project.host, tools, here, pull, error)
      sent.push(pull.name)
    }
  }
  for (const pull of project.host.isLocal ? [] : never) {
    await sendOwn(project.host, tools, here, pull, absent(project.host, pull))
    sent.push(pull.name)
  }
  return { pulled, sent }
}

/** @returns missing images that are not pulled because of `pull_policy: never`. */
function neverPulled({ images }: HostRequest, pulls: readonly Pull[], present: ReadonlyMap<string, Image>): Pull[] {
  const { names, built, platforms } = images
  return [...new Set(names.values())]
    .filter((name) => !present.has(name) && !built.has(name) && !pulls.some((pull) => pull.name === name))
    .map((name) => ({ name, platform: platforms.get(name) }))
}

async function tryPull({ docker, emit }: HostTools, pull: Pull): Promise<StagecraftError | undefined> {
  try {
    await pullImages({ docker, onOutput: outputTo(emit) }, [pull])
    return undefined
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}

/** Sends an image of this machine. @throws `error`, with a hint, if this machine has no such image for the host */
async function sendOwn(
  host: Host,
  { docker, emit }: HostTools,
  { builder, transfer }: Here,
  pull: Pull,
  error: StagecraftError,
): Promise<void> {
  const { name } = host
  const tag = /:[^/]*$/.test(pull.name) ? pull.name : `${pull.name}:latest` // without a tag docker saves all of them
  const own = tag.includes('@') ? undefined : (await inspectImages(builder, [tag])).get(tag)
  if (own === undefined)
    throw withHint(error, `This machine's engine has no ${pull.name} either: an image built or loaded here is sent.`)
  const platform = pull.platform ?? (await platformOf(host, docker))
  if (!isForPlatform(own, platform))
    throw withHint(error, `This machine has ${pull.name} for ${own.platform}: ${name} needs it for ${platform}.`)
  const present = await inspectImages(docker, [tag])
  await transfer.send({ to: docker, emit, host: name, present }, [tag])
  emit({
    type: 'warning',
    message: `${pull.name} is sent from this machine: ${name} cannot pull it`,
    hint: firstLine(error.detail) ?? 'Its pull_policy is `never`.',
  })
}

function firstLine(text: string | undefined): string | undefined {
  return text?.split('\n').find((line) => line.trim() !== '')
}

function absent(host: Host, { name }: Pull): StagecraftError {
  return new StagecraftError(
    'failed',
    `Cannot run ${name}: ${host.isLocal ? 'the engine' : host.name} does not have it`,
    {
      hint: 'Its pull_policy is `never`.',
    },
  )
}
