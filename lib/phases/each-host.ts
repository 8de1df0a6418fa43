import type { Host } from '../hosts/host.ts'
import { errorText, StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import type { HostRun, HostTools, ReleaseRun } from './host-run.ts'

/**
 * Does something on each host of a release, on ten at a time. If it fails on one, the work on the others is ended.
 * @param ordered hosts whose services wait for jobs on other hosts begin when those are ready
 * @throws the first error; with several hosts it names the host
 */
export async function onEachHost<R>(
  run: ReleaseRun,
  work: (hostRun: HostRun, at: number) => Promise<R>,
  { ordered = false } = {},
): Promise<R[]> {
  const all = [...run.hostRuns.entries()]
  const waits = ([, { request }]: [number, HostRun]) => Object.keys(request.awaits).length > 0
  const groups = ordered ? [all.filter((one) => !waits(one)), all.filter(waits)] : [all]
  const results: R[] = []
  const one = async ([at, hostRun]: [number, HostRun]) => {
    results[at] = await work(hostRun, at).catch((error: unknown) => {
      throw all.length === 1 ? error : located(error, hostRun)
    })
  }
  for (const group of groups) await mapConcurrently(group, one, run.stop)
  return results
}

/** @returns a handler that adds the host to an error before a release, if there are several */
export function namingHost({ name }: Pick<Host, 'name'>, hosts: readonly unknown[]): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof StagecraftError) || hosts.length < 2) throw error
    throw nameHost(error, name)
  }
}

function nameHost(error: StagecraftError, name: string): StagecraftError {
  const { message } = error
  return message.endsWith(` ${name}`) ? error : error.with({ message: `${message} (on ${name})` })
}

/** Adds the host to an error of a release on several hosts. If the host's connection or lock is lost, that is reported as the reason instead. */
export function located(error: unknown, { request, tools }: HostRun): unknown {
  const { name } = request.project.host
  if (!(error instanceof StagecraftError)) return error
  const lost = lossOf(tools)
  if (lost !== undefined) return lost.with({ detail: errorText(error) })
  return nameHost(error, name)
}

/** @returns why nothing more can be done on a host: its connection, or its lock, is lost */
export function lossOf({ checkOwnLock }: Pick<HostTools, 'checkOwnLock'>): StagecraftError | undefined {
  try {
    checkOwnLock()
    return undefined
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}
