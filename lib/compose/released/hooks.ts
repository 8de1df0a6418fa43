import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { ComposeModel, Service } from '../model.ts'

/**
 * What Compose runs before or after a container starts, or before it stops (Compose spec, `services`). It does so in `up`,
 * `start` and `stop` alone: a container that is started by its id skips them.
 */
export const HOOKS = ['pre_start', 'post_start', 'pre_stop'] as const
export type Hook = (typeof HOOKS)[number]

/** @returns the hooks that a service has */
export function hooksOf(service: Service | undefined): Hook[] {
  return HOOKS.filter((hook) => service !== undefined && hook in service)
}

/** @returns the hook that a service would miss if its container were started by its id */
export function startHookOf(service: Service | undefined): Hook | undefined {
  return hooksOf(service).find((hook) => hook !== 'pre_stop')
}

/** @returns each entry of a service's hooks */
export function hookEntries(service: Service): Readonly<Record<string, unknown>>[] {
  const entries: unknown[] = hooksOf(service).flatMap((hook) => {
    const list = service[hook]
    return Array.isArray(list) ? list : []
  })
  return entries.filter((entry) => typeof entry === 'object' && entry !== null).map((entry) => ({ ...entry }))
}

/** What to do instead of a `pre_start` that migrates a database. */
export const PRE_START_REMEDY =
  'if it migrates a database, take it out of the Compose file and let the release run it: ' +
  'databases: {main: {migrations: {engine: command, service: …, command: …}}} (spec/core/migrations.md)'

/** The first version of Docker Compose that runs a hook: major and minor. Some earlier ones read it, and do nothing. */
const SINCE: Readonly<Record<Hook, readonly [number, number]>> = {
  pre_start: [5, 3],
  post_start: [2, 30],
  pre_stop: [2, 30],
}

export const NEEDS_NEWER = `pre_start needs Docker Compose ${SINCE.pre_start.join('.')} or later: update it. Or, ${PRE_START_REMEDY}.`

/**
 * A Compose that reads a hook and does not run it (2.26 of Debian does so with `post_start`) would start the service without
 * a word. Asks for its version if a service has hooks.
 * @param warn called for a `post_start` or `pre_stop` that is not run
 * @throws config (3) for a `pre_start` that is not run: the service may need what it does
 */
export async function refuseOldCompose(
  exec: Exec,
  { services }: Pick<ComposeModel, 'services'>,
  warn: (message: string) => void = () => {},
): Promise<void> {
  const names = Object.keys(services).toSorted()
  const used = names.flatMap((name) => hooksOf(services[name]).map((hook) => ({ name, hook })))
  if (used.length === 0) return
  const { stdout } = await exec(['docker', 'compose', 'version', '--short'], { timeout: 60_000 })
  const [version = '', major, minor] = /^(\d+)\.(\d+)\S*/.exec(stdout.trim().replace(/^v/, '')) ?? []
  if (major === undefined) return
  for (const { name, hook } of used) {
    const [first, second] = SINCE[hook]
    if (Number(major) > first || (Number(major) === first && Number(minor) >= second)) continue
    const what = `${hook} of ${name}`
    if (hook !== 'pre_start')
      warn(`Docker Compose ${version} does not run ${what}: ${first}.${second} is the first that does`)
    else
      throw new StagecraftError('config', `Cannot use ${what}: Docker Compose ${version} does not run it`, {
        hint: NEEDS_NEWER,
      })
  }
}
