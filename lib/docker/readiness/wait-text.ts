import { plainLine } from '../../util/format.ts'
import type { Container } from '../inspect.ts'

/** Milliseconds that a container without a healthcheck must run. */
export const MIN_READY = 5_000

/**
 * @param running milliseconds since it started
 * @returns what a container is at that is not ready yet: `starting, healthcheck 3 of 10 (connection refused)`
 */
export function waitText(
  { state, exitCode, health, failedProbes, mostProbes, healthOutput, restarts }: Container,
  { job, minReady = MIN_READY }: { readonly job: boolean; readonly minReady: number | undefined },
  running: number,
): string {
  if (state !== 'running') return restarts > 0 ? `${state}, exit code ${exitCode}` : state
  if (job) return 'running'
  if (health === 'none') return `running, ${seconds(running)} of ${seconds(minReady)} s`
  const count = failedProbes > 0 ? `, healthcheck ${failedProbes} of ${mostProbes}` : ''
  const said = plainLine(healthOutput.trimEnd().split('\n').at(-1) ?? '')
  return `${health}${count}${said === '' ? '' : ` (${said})`}`
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}
