import type { Need } from '../compose/topology.ts'

/** Services that can start together, and those of them that must be ready before the next wave starts. */
export interface Wave<T> {
  readonly members: readonly T[]
  readonly awaited: readonly string[]
}

/**
 * Splits services into waves: each service starts after those it needs. A wave waits for `service_healthy` and
 * `service_completed_successfully`, not for `service_started`.
 */
export function toWaves<T extends { readonly service: string }>(
  members: readonly T[],
  needs: Readonly<Record<string, readonly Need[]>>,
): Wave<T>[] {
  const waves: Wave<T>[] = []
  let rest = [...members]
  while (rest.length > 0) {
    const open = new Set(rest.map(({ service }) => service))
    const ready = rest.filter(({ service }) => !(needs[service] ?? []).some((need) => open.has(need.service)))
    const wave = ready.length > 0 ? ready : rest // Compose refuses cycles; this never loops on one
    rest = rest.filter((member) => !wave.includes(member))
    const later = rest.flatMap(({ service }) => needs[service] ?? [])
    const awaited = new Set(
      later.flatMap(({ condition, service }) => (condition === 'service_started' ? [] : [service])),
    )
    waves.push({ members: wave, awaited: wave.flatMap(({ service }) => (awaited.has(service) ? [service] : [])) })
  }
  return waves
}
