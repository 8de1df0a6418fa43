import type { ComposeModel, Service } from './compose.ts'

/**
 * Variables that the docker command itself needs of the shell: it cannot be run without them. A release keeps none of these
 * without a value, since Compose would take today's.
 */
const NEEDED = /^(PATH|HOME|SSH_AUTH_SOCK|DOCKER_.*)$/

/** @returns whether Compose can be run without this variable of the shell, so that a service without a value for it has none. */
export function isSettled(name: string): boolean {
  return !NEEDED.test(name)
}

/**
 * A variable without a value (`environment: [DEBUG]`) has none in the shell and the env files when the release is made: else
 * Compose has put it in. It stays so: the engine then takes it away also where the image has one. Compose would ask today's
 * shell each time (tried: 2.26, 2.40), so it is run without these, without its own settings, and without a platform.
 * @returns what to leave out of the environment of a docker compose that acts on a model
 */
export function withoutShell(
  model: Pick<ComposeModel, 'services'>,
  shell: Readonly<Record<string, string | undefined>>,
): Record<string, undefined> {
  const own = Object.keys(shell).filter((name) => name.startsWith('COMPOSE_') && name !== 'COMPOSE_PARALLEL_LIMIT')
  const open = Object.values(model.services).flatMap(openVariables)
  const names = [...own, ...open.filter(isSettled), 'DOCKER_DEFAULT_PLATFORM']
  return Object.fromEntries(names.map((name) => [name, undefined]))
}

function openVariables(service: Service): string[] {
  const { environment, post_start: after, pre_stop: before } = service
  const hooks: unknown[] = [after, before].flatMap((list) => (Array.isArray(list) ? list : []))
  const tables = [environment, ...hooks.map((hook) => (isObject(hook) ? hook['environment'] : undefined))]
  return tables.flatMap((table) =>
    isObject(table) ? Object.entries(table).flatMap(([name, value]) => (value === null ? [name] : [])) : [],
  )
}

/** @returns the service without variables that have no value and that Compose cannot be run without. */
export function settleVariables(service: Service): Service {
  const { environment } = service
  if (!environment) return service
  const entries = Object.entries(environment).filter(([name, value]) => value !== null || isSettled(name))
  return { ...service, environment: Object.fromEntries(entries) }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
