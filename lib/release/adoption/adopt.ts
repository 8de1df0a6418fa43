import { keepImages } from '../../docker/images.ts'
import type { Container } from '../../docker/inspect.ts'
import type { Adopted, HostRequest } from '../../phases/host-run.ts'
import { PHASES } from '../../plan/six-phases.ts'
import { type LockedSession, openReleaseDocker, type Session } from '../../project/session.ts'
import type { Project } from '../../project/settings.ts'
import { partRef } from '../../record/bundle/ref.ts'
import { readBundle, writeBundle, writeModel } from '../../record/bundle.ts'
import { isComplete } from '../../record/find-release.ts'
import type { Release } from '../../record/releases-file/format.ts'
import type { PhaseChanges } from '../../record/releases-file/print.ts'
import { secretsOfModel } from '../../secrets/find.ts'
import { createSecrets } from '../../secrets/mask.ts'
import { secretPlaces } from '../../secrets/places.ts'
import { StagecraftError, withHint } from '../../util/errors.ts'
import { mapConcurrently, nonEmpty } from '../../util/map-concurrently.ts'
import { refuseLeftData } from '../data-guard.ts'
import { newBundle } from '../open-host-run.ts'
import type { ReleaseRequest } from '../request.ts'
import { describeRunning, type RunningApp } from './running.ts'

/** What a release is called that keeps what ran before the first one. */
const VERSION = 'adopted'

/** What a plan says of what runs and no release made, on one host. */
interface Noted {
  readonly adopted?: Adopted
  /** what is kept first, and what of it could not be restored */
  readonly notes: readonly string[]
}

/** @returns by host, what the first release would take over */
export async function planAdoption(request: ReleaseRequest, session: Session): Promise<Noted[]> {
  const found = await lookAtAll(request, session)
  if (found === undefined) return request.parts.map(() => ({ notes: [] }))
  const why = whyNot(found)
  const kept = why ?? `what runs is kept as the release ${VERSION} first: \`stagecraft rollback\` goes back there`
  return found.map(({ containers, lost, restorable }) => {
    if (containers.length === 0) return { notes: [] }
    return why === undefined ? { notes: [kept, ...lost.map(sayLost)], adopted: { restorable } } : { notes: [kept] }
  })
}

/**
 * Before the first release of an environment: keeps what runs, which no release made, as a release of its own, so that the first
 * rollback goes back there (spec/core/plan.md, Adoption). Changes nothing that runs.
 * @throws state (9) if it cannot be written; failed (5), unreachable (8)
 */
export async function adopt(request: ReleaseRequest, session: LockedSession): Promise<ReleaseRequest> {
  const found = await lookAtAll(request, session)
  if (found === undefined) return request
  const why = whyNot(found)
  if (why !== undefined) session.emit({ type: 'warning', message: why })
  if (why !== undefined) return request
  for (const message of new Set(found.flatMap(({ lost }) => lost)))
    session.emit({ type: 'warning', message: sayLost(message) })
  const release = known(request, found) ?? (await keep(request, found, session))
  const containers = found.reduce((count, one) => count + one.containers.length, 0)
  session.emit({ type: 'adopted', id: release.id, version: release.version, containers })
  const parts = request.parts.map((part, at) => {
    return { ...part, adopted: { ref: refOn(request.project, part, release), restorable: found[at]?.restorable ?? [] } }
  })
  return { ...request, adopted: release.id, parts: nonEmpty(parts) }
}

function sayLost(what: string): string {
  return `a rollback to what runs now does not restore all of it: ${what}`
}

/** @returns what runs on each host; undefined: a release is live, or nothing runs @throws config (3) for data left behind */
async function lookAtAll(request: ReleaseRequest, session: Session): Promise<RunningApp[] | undefined> {
  const { serving, target, parts } = request
  if (serving !== undefined || target !== undefined) return undefined
  const secrets = session.secrets ?? createSecrets()
  const found = await mapConcurrently(parts, ({ project }) =>
    describeRunning(project, openReleaseDocker(project, { ...session, secrets })),
  )
  for (const { model } of found) secrets.add(secretsOfModel(model))
  await mapConcurrently([...parts.entries()], ([at, part]) =>
    refuseLeftData(request, part, certain(found[at]), session),
  )
  return found.some(({ containers }) => containers.length > 0) ? found : undefined
}

function whyNot(found: readonly RunningApp[]): string | undefined {
  const why = found.find(({ unkept }) => unkept !== undefined)?.unkept
  return why && `what runs cannot be kept for a rollback: ${why}`
}

/**
 * @returns the release that an earlier attempt made: what runs are the containers that it saw, or those that took their
 * place when that attempt was undone
 */
function known({ state, project, parts }: ReleaseRequest, found: readonly RunningApp[]): Release | undefined {
  const releases = state.listReleases({ environment: project.environment.name }).filter(isComplete)
  return releases.find((release) =>
    parts.every((part, at) => {
      const seen = readBundle(project.stateFile, refOn(project, part, release))?.adopted
      const isSame = ({ id, configFiles }: Container) => seen?.includes(id) || RESTORED.test(configFiles)
      return seen !== undefined && certain(found[at]).containers.every(isSame)
    }),
  )
}

/** Compose's label names the model that a failed first release has restored. */
const RESTORED = /\/releases\/rel-[\d-]+(?:\/hosts\/[^/]+)?\/adopted\/compose\.json$/

async function keep(request: ReleaseRequest, found: readonly RunningApp[], session: LockedSession): Promise<Release> {
  const { project, state, parts } = request
  const secrets = session.secrets ?? createSecrets()
  const dockers = parts.map((part) => openReleaseDocker(part.project, { ...session, secrets }))
  await Promise.all(found.map(({ images, model }, at) => keepImages(certain(dockers[at]), model.name, images)))
  try {
    const release = state.createRelease({ environment: project.environment.name, version: VERSION, commit_sha: '' })
    session.held.nameRelease(release)
    // The first host's bundle is the release's: it is written last.
    for (const [at, part] of [...parts.entries()].toReversed()) {
      const { model, images, topology, config_hashes, containers } = certain(found[at])
      const bundle = newBundle(request, part, release, session.user)
      writeModel(project.stateFile, bundle.id, model)
      const kept = { images, topology, config_hashes, services: {}, adopted: containers.map(({ id }) => id) }
      writeBundle(project.stateFile, { ...bundle, ...kept, ...secretPlaces(model, secrets.mask) })
    }
    const done = state.updatePhases(
      release.id,
      Object.fromEntries(PHASES.map((phase) => [phase, 'completed'])) as PhaseChanges,
    )
    await session.held.persist?.()
    return done
  } catch (error) {
    throw error instanceof StagecraftError
      ? withHint(error, 'Nothing has been changed: what runs is kept before that.')
      : error
  }
}

function refOn(project: Project, { project: { host } }: HostRequest, { id }: Release): string {
  return host === project.host ? id : partRef(id, host.key)
}

function certain<T>(value: T | undefined): T {
  if (value === undefined) throw new StagecraftError('bug', 'Cannot continue: a host was not looked at')
  return value
}
