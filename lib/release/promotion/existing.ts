import { type Docker, openDocker } from '../../docker/client.ts'
import type { ReleasedImage } from '../../docker/images.ts'
import type { Host } from '../../hosts/host.ts'
import { execOn, type Session } from '../../project/session.ts'
import type { Settings } from '../../project/settings.ts'
import { type Bundle, findLive, readBundle, withModel } from '../../record/bundle.ts'
import { partOn, placeOf } from '../../record/bundle-parts.ts'
import { releasesOf } from '../../record/releases.ts'
import { createSecrets } from '../../secrets/mask.ts'
import { StagecraftError } from '../../util/errors.ts'

/** Images that a release takes in place of building them. */
export interface Existing {
  /** whose they are, for people */
  readonly text: string
  /** another environment's live release; absent: images of the version that is deployed */
  readonly from?: { readonly environment: string; readonly id: string; readonly version: string }
  /** of an earlier release, by service */
  readonly images: ReadonlyMap<string, ReleasedImage>
  /** engines that may have those */
  readonly engines: readonly Docker[]
}

/** @returns what there is of a version: the images of the newest release that built it, if there is one */
export function existingOf(settings: Settings, version: string, session: Session): Existing {
  const { stateFile, environment } = settings
  const bundles = releasesOf(stateFile, environment.name).flatMap((release) =>
    release.version === version ? (readBundle(stateFile, release.id) ?? []) : [],
  )
  const images = bundles.map((bundle) => builtOf(settings, bundle)).find((built) => built.size > 0)
  return { text: version, images: images ?? new Map(), engines: enginesOf(settings, session) }
}

/** Images of a release that is live in another environment. */
interface Promoted extends Existing {
  readonly from: NonNullable<Existing['from']>
  readonly commit: string
}

/** @throws not-found (4) if no release is live there */
export function existingFrom(settings: Settings, session: Session): Promoted {
  const { stateFile, environment } = settings
  const live = findLive(stateFile, releasesOf(stateFile, environment.name))
  if (live === undefined)
    throw new StagecraftError('not-found', `Cannot deploy from ${environment.name}: no release is live there`, {
      hint: `stagecraft status --env ${environment.name} shows what there is.`,
    })
  const { id, version, commit_sha: commit } = live.bundle
  return {
    text: `${version} of ${environment.name} (${id})`,
    from: { environment: environment.name, id, version },
    commit,
    images: builtOf(settings, live.bundle),
    engines: enginesOf(settings, session),
  }
}

/** @returns the images that a release built, on all its hosts, by service */
function builtOf({ stateFile, hosts }: Settings, bundle: Bundle): Map<string, ReleasedImage> {
  const whole = withModel(stateFile, bundle)
  if (whole === undefined) return new Map()
  const parts = hosts.flatMap((host: Host) => partOn(stateFile, whole, placeOf(host, hosts)) ?? [])
  const all = parts.flatMap((part) => Object.entries(part.bundle.images))
  return new Map(all.filter(([, { built }]) => built))
}

function enginesOf({ hosts }: Settings, session: Session): Docker[] {
  const { mask } = session.secrets ?? createSecrets()
  return hosts.map((host) => openDocker(execOn(host, session), mask, { signal: session.signal }))
}
