import { scheduledServices } from '../../../config/services/jobs.ts'
import { composeUp } from '../../../docker/compose/up.ts'
import { listContainers } from '../../../docker/containers.ts'
import { connect, ensureDisconnected } from '../../../docker/networks.ts'
import { wantedAsBefore } from '../steps.ts'
import type { UndoRequest } from './request.ts'

/**
 * The containers of scheduled jobs stay as they are, but one that has run remembers its networks by their ids. Those that were
 * removed are created again from the old definition, and it is connected to them.
 */
export async function rejoinNetworks({ docker, name, journal, served, settings }: UndoRequest): Promise<void> {
  const { step, replaced, before } = journal
  if (served === undefined || step === 'prepare' || replaced.length === 0) return
  const scheduled = scheduledServices(settings).map(([service]) => service)
  const isOurs = (id: string) => before.some((one) => one.id === id)
  const all = (await listContainers(docker, name)).filter(
    ({ id, service }) => scheduled.includes(service) && isOurs(id),
  )
  const cut = all.filter(({ networks }) => replaced.some((network) => networks[network]))
  if (cut.length === 0) return
  const services = [...new Set(cut.map(({ service }) => service))]
  const members = services.map((service) => wantedAsBefore(service, before))
  await composeUp(docker, `restore the networks of ${services.join(', ')}`, served, members, 'alongside')
  for (const { id, service, networks } of cut)
    for (const network of replaced.filter((one) => networks[one])) {
      await ensureDisconnected(docker, [network, id], { what: `disconnect ${service}` })
      await connect(docker, [network, id], { alias: service })
    }
}
