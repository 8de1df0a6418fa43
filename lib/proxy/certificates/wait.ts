import { isWildcard } from '../../config/edge/expose.ts'
import type { Docker } from '../../docker/client.ts'
import type { ProjectRoutes } from '../../plan/routes/table.ts'
import type { Clock } from '../../system/clock.ts'
import type { CertificateState } from './certificate.ts'
import { readCertificates } from './state.ts'

/** Milliseconds that a CA has: it usually takes seconds. */
const PATIENCE = 60_000

/**
 * Waits until the proxy has a certificate for each host name, or the CA has refused.
 * @returns names without one that is valid, and hosts with a `*` for which nobody allows any
 */
export async function awaitCertificates(
  docker: Docker,
  clock: Clock,
  projects: ProjectRoutes,
): Promise<readonly CertificateState[]> {
  const end = clock.now() + PATIENCE
  for (;;) {
    const all = await readCertificates(docker, projects)
    const missing = all.filter((one) => (one.on_demand ? isUnanswered(one) : !isValid(one.until, clock.now())))
    const isOver = missing.every(({ error, requested }) => error !== undefined && !requested)
    if (isOver || clock.now() > end) return missing
    await clock.sleep(500)
  }
}

function isValid(until: string | undefined, now: number): boolean {
  return until !== undefined && Date.parse(until) > now
}

/** Names that visitors ask for are not waited for, but somebody must allow them. */
function isUnanswered({ name, error }: CertificateState): boolean {
  return isWildcard(name) && error !== undefined
}
