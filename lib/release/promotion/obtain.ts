import { pullImages, registryTag } from '../../docker/build.ts'
import type { Docker } from '../../docker/client.ts'
import { inspectImages, tagImage } from '../../docker/image-store.ts'
import { type BuildTarget, fingerprint, type ReleasedImage, remoteName } from '../../docker/images.ts'
import { openTransfer } from '../../hosts/transfer.ts'
import { type Emit, outputTo } from '../../output/events.ts'
import { openBuilder } from '../../project/built-here.ts'
import type { Session } from '../../project/session.ts'
import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { ReleaseRequest } from '../request.ts'
import type { Existing } from './existing.ts'

/**
 * Gives images that exist the tags of the version that is deployed, on the engine that builds otherwise. They are looked for on
 * that engine, in the registry, and on the hosts of the release that has them.
 * @throws not-found (4) with the services whose image is nowhere, before there is a release; unreachable (8)
 */
export async function obtainImages(request: ReleaseRequest, existing: Existing, session: Session): Promise<void> {
  const { project, targets } = request
  const { emit } = session
  const { registry } = project.config.project
  const places = {
    builder: await openBuilder(project, [], session),
    existing,
    registry,
    emit,
    here: project.host.local,
  }
  const missing: string[] = []
  for (const target of targets) if (!(await obtain(target, places))) missing.push(target.service)
  if (missing.length === 0) return
  const { environment } = project
  const hint = existing.from
    ? `That release has no built image of it, or nobody has that image any more. stagecraft releases show ${existing.from.id} --env ${existing.from.environment}`
    : `Looked on this machine's engine, in the registry, and in the releases of ${environment.name}. Build it first: stagecraft build --version ${request.version.name}`
  throw new StagecraftError(
    'not-found',
    `Cannot deploy ${existing.text} without building: there is no image of ${missing.join(', ')}`,
    { hint },
  )
}

interface Places {
  readonly builder: Docker
  readonly existing: Existing
  readonly registry: string | undefined
  readonly emit: Emit
  /** runs programs on this machine */
  readonly here: Exec
}

/** @returns whether it was found */
async function obtain({ service, versionTag }: BuildTarget, places: Places): Promise<boolean> {
  const { builder, existing, registry } = places
  const image = existing.images.get(service)
  if (existing.from === undefined) {
    if ((await inspectImages(builder, [versionTag])).has(versionTag)) return true
    const remote = registry === undefined ? undefined : registryTag(registry, versionTag)
    if (remote !== undefined && (await pulled(places, remote))) {
      await tagImage(builder, remote, versionTag)
      return true
    }
  }
  const name = image && (await find(image, places))
  if (name === undefined) return false
  await tagImage(builder, name, versionTag)
  return true
}

/** @returns a name of a release's image on the builder's engine, to which it is brought if need be */
async function find(image: ReleasedImage, places: Places): Promise<string | undefined> {
  const { builder } = places
  const same = async (engine: Docker, name: string) => {
    const found = (await inspectImages(engine, [name])).get(name)
    return found !== undefined && (found.id === image.id || fingerprint(found) === image.fingerprint)
  }
  for (const name of [image.id, image.reference]) if (await same(builder, name)) return name
  const remote = remoteName(image)
  if (remote !== undefined && (await pulled(places, remote))) return remote
  for (const engine of places.existing.engines)
    if (await same(engine, image.reference)) {
      await copyFrom(engine, image.reference, places)
      return image.reference
    }
  return undefined
}

async function pulled({ builder, emit }: Places, name: string): Promise<boolean> {
  try {
    await pullImages({ docker: builder, onOutput: outputTo(emit) }, [{ name, platform: undefined }])
    return true
  } catch (error) {
    if (error instanceof StagecraftError && error.kind === 'failed') return false
    throw error
  }
}

/** Copies an image from an engine of the release that has it. @throws failed (5), unreachable (8) */
async function copyFrom(engine: Docker, name: string, { builder, here, emit }: Places): Promise<void> {
  const transfer = openTransfer({ exec: here, from: engine })
  try {
    await transfer.send({ to: builder, emit, host: 'this machine', present: new Map() }, [name])
  } finally {
    transfer.close()
  }
}
