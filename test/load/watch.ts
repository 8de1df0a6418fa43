import type { Engine } from '../support/engine.ts'

/** What the engine did with a container of a project, or what happened to it. */
export interface ContainerEvent {
  /** milliseconds since 1970, by the engine's clock */
  readonly at: number
  readonly action: 'create' | 'start' | 'die' | 'healthy' | 'unhealthy'
  readonly service: string
  readonly id: string
}

/** All that the engine does with a project's containers, as it happens: it keeps only the last few hundred events itself. */
export function watchContainers(
  engine: Engine,
  project: string,
  seconds: number,
): { stop: () => Promise<ContainerEvent[]> } {
  const label = `label=com.docker.compose.project=${project}`
  const filters = [
    'type=container',
    label,
    ...['create', 'start', 'die', 'health_status'].map((event) => `event=${event}`),
  ]
  const format = '{{.TimeNano}} {{.ID}} {{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}'
  const argv = ['docker', 'events', ...filters.flatMap((filter) => ['--filter', filter]), '--format', format]
  const running = engine.start(argv, { timeout: seconds })
  return {
    async stop() {
      await running.signal('TERM')
      const lines = (await running.done).stdout.split('\n').filter(Boolean)
      return lines.map(parseEvent)
    },
  }
}

function parseEvent(line: string): ContainerEvent {
  const [nanoseconds, id = '', service = '', ...words] = line.split(' ')
  const action = words.at(-1) as ContainerEvent['action'] // `start`, or `health_status: healthy`
  return { at: Number(nanoseconds) / 1e6, action, service, id }
}

/** @returns how many containers of each service ran at once, at most. @param before that ran when the watch began */
export function mostAtOnce(
  events: readonly ContainerEvent[],
  before: readonly { readonly service: string; readonly id: string; readonly state: string }[],
): Record<string, number> {
  const runs = new Map<string, Set<string>>()
  const most: Record<string, number> = {}
  const add = (service: string, id: string) => {
    const own = runs.get(service) ?? new Set()
    runs.set(service, own.add(id))
    most[service] = Math.max(most[service] ?? 0, own.size)
  }
  for (const { service, id, state } of before) if (state === 'running') add(service, id)
  for (const { action, service, id } of events)
    if (action === 'start') add(service, id)
    else if (action === 'die') runs.get(service)?.delete(id)
  return most
}
