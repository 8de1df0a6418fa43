import type { ComposeModel, Service } from '../model.ts'
import { hookEntries } from './hooks.ts'

/**
 * Variables of the shell that the docker command itself needs. A release leaves them out if they have no value, since Compose
 * would take today's.
 */
const NEEDED = /^(PATH|HOME|SSH_AUTH_SOCK|DOCKER_.*)$/

/** @returns whether Compose can run without this variable of the shell, so that it stays without a value in a service. */
export function isSettled(name: string): boolean {
  return !NEEDED.test(name)
}

/**
 * A variable without a value (`environment: [DEBUG]`) had none in the shell and the env files when the release was made, or
 * Compose would have put it in. It stays without: the engine then removes the image's own. Compose reads today's shell each
 * time (measured with 2.26 and 2.40), so it runs without these variables, without its own settings, and without a platform.
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
  const tables = [service.environment, ...hookEntries(service).map((hook) => hook['environment'])]
  return tables.flatMap((table) =>
    isObject(table) ? Object.entries(table).flatMap(([name, value]) => (value === null ? [name] : [])) : [],
  )
}

/** @returns the service without variables that have no value and that the docker command needs. */
export function settleVariables(service: Service): Service {
  const { environment } = service
  if (!environment) return service
  const entries = Object.entries(environment).filter(([name, value]) => value !== null || isSettled(name))
  return { ...service, environment: Object.fromEntries(entries) }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
