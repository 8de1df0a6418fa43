import type { ComposeModel } from '../../compose/model.ts'
import type { Docker } from '../../docker/client.ts'
import { type Container, isUp } from '../../docker/inspect.ts'
import { stop } from '../../docker/lifecycle.ts'
import { removeVolumes } from '../../docker/volumes/commands.ts'
import { type Compare, openComparing, WITHIN, type WithVolumes } from '../../docker/volumes/untouched.ts'
import type { Emit } from '../../output/events.ts'
import type { ServicePlan } from '../../plan/input.ts'
import { hintOfKept, pathsOf } from '../../plan/services/volumes.ts'
import type { Recorder } from '../../record/journal.ts'
import type { Clock } from '../../system/clock.ts'

/** What decides which services get new anonymous volumes. */
export interface Renewing {
  readonly docker: Docker
  /** never cancelled */
  readonly undoDocker: Docker
  readonly emit: Emit
  readonly clock: Pick<Clock, 'now'>
  readonly model: ComposeModel
  readonly recorder: Pick<Recorder, 'renews' | 'journal'>
  /** the project's containers before the rollout */
  readonly containers: readonly Container[]
  /** ids of the images that are released, by service */
  readonly images: () => Readonly<Record<string, { readonly id: string }>>
  /** names of volumes that were filled by another image than that of the live release */
  readonly oldVolumes: readonly string[]
}

/** What becomes of the anonymous volumes of services that are about to be recreated from another image. */
export interface Renewal {
  /** Stops services to whose anonymous volumes nobody has written. @returns those that may begin with new volumes */
  stop(): Promise<readonly string[]>
  /** Removes the volumes that were replaced. */
  finish(): Promise<void>
}

/**
 * Compares anonymous volumes of running services with their image. A new container gets the old one's volumes, as in
 * Compose, and with them the files of the old image; it gets new ones if nothing is lost by that (spec/core/phases.md).
 * @returns undefined if none of them has any, or none gets another image
 */
export async function lookAtVolumes(renewing: Renewing, members: readonly ServicePlan[]): Promise<Renewal | undefined> {
  const { docker, emit, recorder } = renewing
  const services = members.flatMap(({ service, action }) => (['recreate', 'job'].includes(action) ? [service] : []))
  const all = candidates(renewing, services)
  if (all.length === 0) return undefined
  recorder.renews(servicesOf(all), services)
  const { kept, look } = openLook(renewing, all)
  const untouched = await look()
  return {
    async stop() {
      await stopContainers(docker, untouched)
      const renewed = untouched.length === 0 ? [] : servicesOf(await look()) // a container may write its data when it ends
      recorder.renews(renewed, services)
      tell({ emit, members }, all, kept)
      return renewed
    },
    finish: () => {
      const replaced = all.filter(({ service }) => !kept.has(service))
      return removeVolumesOf(docker, replaced)
    },
  }
}

function servicesOf(containers: readonly WithVolumes[]): string[] {
  return [...new Set(containers.map(({ service }) => service))]
}

/** @returns services that keep their volumes, with the reason, and a repeatable comparison of the others. */
function openLook(renewing: Renewing, all: readonly WithVolumes[]) {
  const { docker, undoDocker, clock, model } = renewing
  const compare = openComparing({ docker, undoDocker, project: model.name })
  const kept = new Map<string, string>()
  const spent = new Map<string, number>()
  const look = async (): Promise<WithVolumes[]> => {
    for (const one of all) {
      if (kept.has(one.service)) continue
      const began = clock.now()
      const why = certain(renewing, one) ?? (await compare(one))
      const time = (spent.get(one.service) ?? 0) + clock.now() - began
      spent.set(one.service, time)
      if (why !== undefined || time > WITHIN) kept.set(one.service, why ?? TOO_SLOW)
    }
    return all.filter(({ service }) => !kept.has(service))
  }
  return { kept, look }
}

function candidates({ containers, images, model }: Renewing, services: readonly string[]): WithVolumes[] {
  const named = new Set(Object.values(model.volumes ?? {}).map((volume) => volume?.name))
  return containers.flatMap((one) => {
    const anonymous = one.anonymous.filter(({ name }) => !named.has(name))
    const isReplaced = services.includes(one.service) && one.image !== images()[one.service]?.id
    return isReplaced && anonymous.length > 0 ? [{ ...one, anonymous }] : []
  })
}

const TOO_SLOW = `it takes longer than ${WITHIN / 1000} s to compare`

/** @returns why a service keeps its volumes, if that needs no comparison. */
function certain({ model, oldVolumes }: Renewing, { service, anonymous }: WithVolumes): string | undefined {
  const old = anonymous.find(({ name }) => oldVolumes.includes(name))
  if (old) return `what ${old.path} has is of an older image than that of the live release`
  return 'pre_stop' in (model.services[service] ?? {})
    ? 'it has a pre_stop hook, which is for Compose to run'
    : undefined
}

function tell(
  { emit, members }: { readonly emit: Emit; readonly members: readonly ServicePlan[] },
  all: readonly WithVolumes[],
  kept: ReadonlyMap<string, string>,
): void {
  for (const service of servicesOf(all)) {
    const own = all.filter((one) => one.service === service)
    const [paths, why] = [pathsOf(own), kept.get(service)]
    if (why === undefined)
      emit({ type: 'service', service, step: 'renew', note: `nobody has written to ${paths}: the new image's files` })
    else {
      const message = `${service} keeps what it has in ${paths}, also the files of its old image: ${why}`
      const isJob = members.some((member) => member.service === service && member.action === 'job')
      const when = isJob ? 'before the next deploy that changes it' : 'and deploy, or roll back, again'
      emit({ type: 'warning', message, hint: `${hintOfKept(own, when)}.` })
    }
  }
}

async function stopContainers(docker: Docker, containers: readonly WithVolumes[]): Promise<void> {
  const running = containers.filter(isUp)
  await stop(docker, running, { what: `stop ${servicesOf(running).join(', ')}` })
}

/** Removes volumes of replaced containers; the engine refuses if another container uses one. */
async function removeVolumesOf(docker: Docker, containers: readonly WithVolumes[]): Promise<void> {
  const names = containers.flatMap(({ anonymous }) => anonymous.map(({ name }) => name))
  await removeVolumes(docker, names)
}

/**
 * For an undo: a service that got new volumes gets new ones again, filled from the previous release's image, as before.
 * Data that the failed release has written to its volumes stays, and is reported.
 * @param containers those of the failed release that are about to be replaced
 * @returns removes the volumes without data, and reports the others
 */
export async function leaveVolumes(
  docker: Docker,
  project: string,
  containers: readonly Container[],
): Promise<(emit: Emit) => Promise<void>> {
  const own = containers.filter(({ anonymous }) => anonymous.length > 0)
  if (own.length === 0) return async () => {}
  const compare: Compare = openComparing({ docker, undoDocker: docker, project })
  await stopContainers(docker, own)
  const left: [WithVolumes, string | undefined][] = []
  for (const one of own) left.push([one, await compare(one)])
  return async (emit) => {
    await removeVolumesOf(
      docker,
      left.flatMap(([one, why]) => (why === undefined ? [one] : [])),
    )
    for (const [one, why] of left) {
      if (why === undefined) continue
      const names = one.anonymous.map(({ name }) => name).join(' ')
      const message = `what ${one.service} had in ${pathsOf([one])} in the release that failed stays on the engine, in no container: ${why}`
      emit({ type: 'warning', message, hint: `If nobody needs it: docker volume rm ${names}` })
    }
  }
}

/** @returns names of anonymous volumes that containers have taken over from one of another image. */
export function oldVolumesOf(
  now: readonly Container[],
  before: readonly Container[],
  known: readonly string[] = [],
): string[] {
  const names = now.flatMap(({ image, anonymous }) =>
    anonymous.flatMap(({ name }) => {
      const from = before.find((one) => one.anonymous.some((volume) => volume.name === name))
      return known.includes(name) || (from !== undefined && from.image !== image) ? [name] : []
    }),
  )
  return [...new Set(names)].toSorted()
}
