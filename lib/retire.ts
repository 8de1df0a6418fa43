import type { Bundle } from './bundle.ts'
import type { Docker } from './docker.ts'
import type { Emit } from './events.ts'
import { isMissing, removeContainers } from './rollout-steps.ts'

/**
 * Removes what the release that serves has no use for: the containers, by id, of services that are gone, and networks. As
 * the journal of its rollout says; nothing, where it has none.
 */
export async function retire(
  { docker, emit }: { readonly docker: Docker; readonly emit: Emit },
  { journal, retiring = [] }: Pick<Bundle, 'journal' | 'retiring'>,
): Promise<void> {
  if (journal === undefined) return
  for (const service of retiring) {
    emit({ type: 'service', service, step: 'remove' })
    await removeContainers(
      docker,
      journal.before.filter((container) => container.service === service),
    )
  }
  for (const network of journal.unused) {
    const result = await docker.try(['network', 'rm', network])
    if (result.code !== 0 && !isMissing(result))
      emit({ type: 'warning', message: `network ${network} is not used any more, but could not be removed` })
  }
}
