import { listContainers } from './docker.ts'
import { StagecraftError } from './errors.ts'
import type { Before } from './journal.ts'
import type { Undo } from './put-back.ts'

/** What a container was that runs again once it is started. */
export const RAN: readonly Before['state'][] = ['running', 'restarting']

/**
 * Starts the containers of services that nobody knows how to make, as they are: nothing of theirs is gone, but the namespace
 * that they were in is another one by now.
 * @throws failed (5) where one of them is gone
 */
export async function startAgain({ docker, emit, name, journal }: Undo, services: readonly string[]): Promise<void> {
  if (services.length === 0) return
  const now = await listContainers(docker, name)
  const of = (service: string) => journal.before.filter((container) => container.service === service)
  const gone = services.filter((service) => of(service).some(({ id }) => !now.some((one) => one.id === id)))
  if (gone.length > 0)
    throw new StagecraftError('failed', `Cannot put back ${gone.join(', ')}: it was not deployed by Stagecraft before`)
  for (const service of services) {
    emit({ type: 'service', service, step: 'restore' })
    const ids = of(service).flatMap(({ id, state }) => (RAN.includes(state) ? [id] : []))
    if (ids.length === 0) continue
    await docker.run(`stop ${service}`, ['stop', ...ids])
    await docker.run(`start ${service} again`, ['start', ...ids])
  }
}
