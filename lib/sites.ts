import { errorText, StagecraftError } from './errors.ts'
import { onEach } from './on-each.ts'
import type { Run, Site } from './run.ts'

/**
 * Does something on each host of a release, on ten at a time; where it fails on one, what is under way on the others is
 * ended. @param ordered hosts whose services wait for jobs on others begin when those are ready
 * @throws the first error; of several hosts it says on which
 */
export async function onSites<R>(run: Run, work: (site: Site) => Promise<R>, { ordered = false } = {}): Promise<R[]> {
  const all = [...run.sites.entries()]
  const waits = ([, { awaits }]: [number, Site]) => Object.keys(awaits).length > 0
  const groups = ordered ? [all.filter((one) => !waits(one)), all.filter(waits)] : [all]
  const results: R[] = []
  const one = async ([at, site]: [number, Site]) => {
    results[at] = await work(site).catch((error: unknown) => {
      throw all.length === 1 ? error : located(error, site)
    })
  }
  for (const group of groups) await onEach(group, one, run.stop)
  return results
}

/** What a program says of a host whose connection is lost is not the reason. */
function located(error: unknown, site: Site): unknown {
  const name = site.project.host.name ?? ''
  if (!(error instanceof StagecraftError)) return error
  const lost = lossOf(site)
  if (lost !== undefined)
    return new StagecraftError(lost.kind, lost.message, { hint: lost.hint, detail: errorText(error) })
  const { kind, message, hint, detail, cause } = error
  return new StagecraftError(kind, message.endsWith(` ${name}`) ? message : `${message} (on ${name})`, {
    hint,
    detail,
    cause,
  })
}

/** @returns why nothing more can be done on a host: its connection, or its lock, is lost */
export function lossOf(site: Site): StagecraftError | undefined {
  try {
    site.checkOwnLock()
    return undefined
  } catch (error) {
    if (error instanceof StagecraftError) return error
    throw error
  }
}
