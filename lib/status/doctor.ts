import { type HostAddress, hostKey } from '../config/host-address.ts'
import { loadConfig } from '../config/parse.ts'
import { openDocker } from '../docker/client.ts'
import { exposedServices } from '../plan/routes/table.ts'
import type { Project, Settings } from '../project/settings.ts'
import type { Exec } from '../system/exec.ts'
import type { Network } from '../system/network/reach.ts'
import type { StagecraftError } from '../util/errors.ts'
import { attempt, failed } from './doctor/attempt.ts'
import type { Check } from './doctor/check.ts'
import { exposedChecks, type Place } from './doctor/exposed.ts'
import { hostChecks } from './doctor/host.ts'
import { programs } from './doctor/programs.ts'
import { swarmChecks } from './doctor/swarm.ts'

/** What doctor looks at. */
interface DoctorWorld {
  readonly exec: Exec
  readonly directory: string
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** stagecraft.yml, and the connection */
  readonly openSettings: (onUnusable: (host: string, error: StagecraftError) => void) => Promise<Settings>
  readonly network: Network
  /** a host's name or address for connections from here; undefined: there is no direct way */
  readonly addressOf: (host: HostAddress | undefined) => Promise<string | undefined>
  /** the Compose file too */
  readonly openProject: (settings: Settings) => Promise<Project>
}

/** Checks everything that a deploy needs. What cannot be checked because of an earlier problem is left out. */
export async function doctor(world: DoctorWorld): Promise<Check[]> {
  const checks: Check[] = [...(await programs(world.exec))]
  const add = (check: Check) => checks.push(check)
  const config = await attempt(
    'stagecraft.yml',
    () => loadConfig(world.directory),
    ({ file, environments }) =>
      file === undefined ? 'none: one environment, local' : Object.keys(environments).join(', '),
  )
  add(config.check)
  if (config.value === undefined) return checks
  const unusable: Check[] = []
  const opened = await attempt(
    'connection',
    () => world.openSettings((host, error) => unusable.push(failed(`${host}: connection`, error))),
    connectionText,
  )
  for (const check of [opened.check, ...unusable]) add(check)
  const settings = opened.value
  if (settings === undefined) return checks
  const project = await attempt(
    'Compose file',
    () => world.openProject(settings),
    ({ model }) => plural(Object.keys(model.services).length, 'service'),
  )
  add(project.check)
  if (settings.environment.engine === 'swarm') {
    const docker = openDocker(settings.host.exec, (line) => line)
    for (const check of await swarmChecks(settings, docker)) add(check)
  }
  const several = settings.hosts.length + unusable.length > 1
  const isExposed = exposedServices(settings.environment.services).length > 0
  const places: Place[] = []
  for (const host of settings.hosts) {
    const label = several ? `${host.name}: ` : ''
    const found = await hostChecks({ ...settings, host }, world.clock, host === settings.host)
    for (const check of found.checks) add({ ...check, what: `${label}${check.what}` })
    if (found.listens === undefined) continue // its engine does not answer
    const written = settings.environment.hosts?.find((one) => hostKey(one) === host.key)
    const address = isExposed ? await world.addressOf(written) : undefined
    places.push({ label, key: host.key, address, listens: found.listens, failures: found.failures })
  }
  const seeing = { network: world.network, now: world.clock() }
  if (isExposed) checks.push(...(await exposedChecks(settings.environment, places, seeing)))
  return checks
}

function connectionText({ hosts, environment }: Settings): string {
  if (environment.engine === 'swarm' && environment.hosts) return 'a manager of the Swarm'
  return hosts.map(({ name, isLocal }) => (isLocal ? 'this machine' : name)).join(', ')
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
