import { listContainers } from '../../docker/containers.ts'
import { isServiceWell } from '../../docker/inspect.ts'
import { confirmAnswers, silentLines } from '../../proxy/ask.ts'
import { errorText, StagecraftError } from '../../util/errors.ts'
import { lossOf } from '../each-host.ts'
import type { HostRun, ReleaseRun } from '../host-run.ts'

/**
 * Checks through the proxy that the live release answers after a rollout could not begin. It has changed nothing, but
 * the reason may be a proxy that somebody removed, which is repaired.
 * @returns the error that the rollout ends with: the same, or not-restored (6) if the live release does not answer
 */
export async function stillLive(run: ReleaseRun, error: unknown): Promise<unknown> {
  if (!(error instanceof StagecraftError) || error.kind !== 'failed') return error
  const silent = await Promise.all(run.hostRuns.map(silentOn)).catch(() => [])
  const lines = silent.flatMap((map, at) => {
    const { isLocal, name } = run.hostRuns[at]?.request.project.host ?? { isLocal: true, name: '' }
    return map.size === 0 ? [] : [`${silentLines(map)}${isLocal ? '' : ` (on ${name})`}`]
  })
  if (lines.length === 0) return error
  return new StagecraftError('not-restored', 'Cannot begin the rollout, and the live release does not answer', {
    detail: [...lines, errorText(error)].join('\n'),
    hint: error.hint ?? "See the proxy's log (stagecraft proxy logs), then deploy again.",
    cause: error,
  })
}

/** @returns by service, why it does not answer; services that were not well are left out. @throws unreachable (8) */
async function silentOn({ request, tools }: HostRun): Promise<ReadonlyMap<string, string>> {
  const { serving, project } = request
  const { undoDocker: docker, clock, emit } = tools
  if (serving === undefined || lossOf(tools) !== undefined) return new Map()
  const { routes = [], slots = {}, services = {}, project: name } = serving.bundle
  if (routes.length === 0) return new Map()
  const containers = await listContainers(docker, name)
  const job = { docker, name, services, clock, emit, proxy: project.environment.proxy }
  return confirmAnswers(job, { routes, slots }, ({ service }) => isServiceWell(service, containers))
}
