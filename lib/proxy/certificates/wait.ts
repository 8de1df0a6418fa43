import type { Docker } from '../../docker/client.ts'
import type { ProjectRoutes } from '../../plan/routes/table.ts'
import type { Clock } from '../../system/clock.ts'
import { type CertificateState, readCertificates } from './state.ts'

/** Milliseconds that a CA has: it usually takes seconds. */
const PATIENCE = 60_000

/**
 * Waits until the proxy has a certificate for each host name, or the CA has refused.
 * @returns names without one that is valid
 */
export async function awaitCertificates(
  docker: Docker,
  clock: Clock,
  projects: ProjectRoutes,
): Promise<readonly CertificateState[]> {
  const end = clock.now() + PATIENCE
  for (;;) {
    const missing = (await readCertificates(docker, projects)).filter(({ until }) => !isValid(until, clock.now()))
    const isOver = missing.every(({ error, requested }) => error !== undefined && !requested)
    if (isOver || clock.now() > end) return missing
    await clock.sleep(500)
  }
}

function isValid(until: string | undefined, now: number): boolean {
  return until !== undefined && Date.parse(until) > now
}
