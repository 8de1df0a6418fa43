import type { Event } from './events.ts'

/** @returns the fields of an event that are names, which are no secrets */
export function namesOf(event: Event): object {
  switch (event.type) {
    case 'release': {
      const { type: _, ...names } = event
      return names
    }
    case 'phase':
      return { phase: event.phase, status: event.status }
    case 'service':
      return { service: event.service, step: event.step, ...hostOf(event) }
    case 'plan':
    case 'proxy':
    case 'warning':
      return hostOf(event)
    case 'migration':
      return { database: event.database, step: event.step, ...hostOf(event) }
    case 'sending':
      return { host: event.host }
    case 'hook':
      return { hook: event.hook, step: event.step }
    case 'output':
      return { phase: event.phase, ...hostOf(event) }
    case 'waiting':
      return { environment: event.environment }
    case 'recovery':
      return { release: event.release, version: event.version, outcome: event.outcome }
    default:
      return {}
  }
}

function hostOf({ host }: { readonly host?: string }): object {
  return host === undefined ? {} : { host }
}
