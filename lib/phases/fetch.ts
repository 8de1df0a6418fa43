import { pullImages } from '../builds.ts'
import { type Docker, inspectImages } from '../docker.ts'
import { StagecraftError, withHint } from '../errors.ts'
import { platformOf } from '../host.ts'
import { imageNames, imagesToPull, type Pull } from '../images.ts'
import { isForPlatform, platformsOf } from '../platforms.ts'
import type { Site } from '../run.ts'
import type { Transfer } from '../transfer.ts'

/** This machine's engine, and how its images get to a host. */
export interface Here {
  readonly builder: Docker
  readonly transfer: Transfer
}

/** What was brought to a host that is not built: by name. */
export interface Fetched {
  readonly pulled: readonly string[]
  readonly sent: readonly string[]
}

/**
 * Pulls what an engine lacks. What a host cannot pull and this machine has, somebody built or loaded here: it is sent, as what is
 * built is.
 * @throws failed (5) for an image that is nowhere, unreachable (8)
 */
export async function fetchImages(site: Site, here: Here): Promise<Fetched> {
  const { project, targets, images } = site
  const names = imageNames(project.model, targets)
  const pulls = imagesToPull(project.model, names, images, targets)
  const never = neverPulled(site, names)
  const [pulled, sent]: [string[], string[]] = [[], []]
  for (const pull of pulls) {
    const error = await tryPull(site, pull)
    if (error === undefined) pulled.push(pull.name)
    else if (project.host.name === undefined) throw error
    else {
      await sendOwn(site, here, pull, error)
      sent.push(pull.name)
    }
  }
  for (const pull of project.host.name === undefined ? [] : never) {
    await sendOwn(site, here, pull, absent(site, pull))
    sent.push(pull.name)
  }
  return { pulled, sent }
}

/** Images that are not there and that `pull_policy: never` keeps from being pulled. */
function neverPulled({ project, targets, images }: Site, names: ReadonlyMap<string, string>): Pull[] {
  const { model } = project
  const pulls = new Set(imagesToPull(model, names, images, targets).map(({ name }) => name))
  const built = new Set(targets.map(({ versionTag }) => versionTag))
  const platforms = platformsOf(model, names)
  return [...new Set(names.values())]
    .filter((name) => !images.has(name) && !pulls.has(name) && !built.has(name))
    .map((name) => ({ name, platform: platforms.get(name) }))
}

async function tryPull(site: Site, pull: Pull): Promise<StagecraftError | undefined> {
  try {
    await pullImages(site, [pull])
    return undefined
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}

/** @throws `error`, with what was looked for here, where this machine has no such image for that host */
async function sendOwn(site: Site, { builder, transfer }: Here, pull: Pull, error: StagecraftError): Promise<void> {
  const { project, docker, emit } = site
  const host = project.host.name ?? ''
  const tag = /:[^/]*$/.test(pull.name) ? pull.name : `${pull.name}:latest` // docker saves all tags of a name without one
  const own = tag.includes('@') ? undefined : (await inspectImages(builder, [tag])).get(tag)
  if (own === undefined)
    throw withHint(error, `This machine's engine has no ${pull.name} either: what is built or loaded here is sent.`)
  const platform = pull.platform ?? (await platformOf(project.host, docker))
  if (!isForPlatform(own, platform))
    throw withHint(error, `This machine has ${pull.name} for ${own.platform}: ${host} needs it for ${platform}.`)
  const present = await inspectImages(docker, [tag])
  await transfer.send({ to: docker, emit, host, present }, [tag])
  emit({
    type: 'warning',
    message: `${pull.name} is sent from this machine: ${host} cannot pull it`,
    hint: firstLine(error.detail) ?? 'Its pull_policy is `never`.',
  })
}

function firstLine(text: string | undefined): string | undefined {
  return text?.split('\n').find((line) => line.trim() !== '')
}

function absent({ project }: Site, { name }: Pull): StagecraftError {
  return new StagecraftError('failed', `Cannot run ${name}: ${project.host.name ?? 'the engine'} does not have it`, {
    hint: 'Its pull_policy is `never`.',
  })
}
