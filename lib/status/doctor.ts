import { dirname } from 'node:path'
import { type HostAddress, hostKey } from '../config/host-address.ts'
import { loadConfig } from '../config/parse.ts'
import { openDocker } from '../docker/client.ts'
import { engineVersion } from '../docker/engine/facts.ts'
import { answersOf } from '../hosts/scripts/state.ts'
import { exposedServices } from '../plan/routes/table.ts'
import type { Project, Settings } from '../project/settings.ts'
import { readProxyIfUp } from '../proxy/api.ts'
import { readCertificates } from '../proxy/certificates/state.ts'
import { findProxy } from '../proxy/container.ts'
import { parsePortsLabel, wantedPorts } from '../proxy/ports.ts'
import { releasesOf } from '../record/releases.ts'
import type { Exec } from '../system/exec.ts'
import type { Network } from '../system/network/reach.ts'
import type { StagecraftError } from '../util/errors.ts'
import { formatBytes } from '../util/format.ts'
import type { Check } from './check.ts'
import { attempt, failed } from './doctor/attempt.ts'
import { programs } from './doctor/programs.ts'
import { askChecks, exposedChecks, type Place, portsOf, proxyCheck } from './exposed.ts'
import { schedulerChecks } from './schedules/look.ts'
import { swarmChecks } from './swarm/doctor.ts'

export interface DoctorWorld {
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

/** Bytes below which a deploy may not have room for its images. */
const LEAST_ROOM = 1_000_000_000

/** Milliseconds by which two clocks may differ. */
const MOST_SKEW = 5_000

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
  add(
    (
      await attempt(
        'Compose file',
        () => world.openProject(settings),
        ({ model }) => plural(Object.keys(model.services).length, 'service'),
      )
    ).check,
  )
  if (settings.environment.engine === 'swarm') {
    const docker = openDocker(settings.host.exec, (line) => line)
    for (const check of await swarmChecks(settings, docker)) add(check)
  }
  const several = settings.hosts.length + unusable.length > 1
  const isExposed = exposedServices(settings.environment.services).length > 0
  const places: Place[] = []
  for (const host of settings.hosts) {
    const label = several ? `${host.name}: ` : ''
    const found = await hostChecks({ ...settings, host }, world, host === settings.host)
    for (const check of found.checks) add({ ...check, what: `${label}${check.what}` })
    if (found.listens === undefined) continue // its engine does not answer
    const written = settings.environment.hosts?.find((one) => hostKey(one) === host.key)
    const address = isExposed ? await world.addressOf(written) : undefined
    places.push({ label, key: host.key, address, listens: found.listens, failures: found.failures })
  }
  if (isExposed) checks.push(...(await exposedChecks(settings.environment, places, seen(world))))
  return checks
}

function seen({ network, clock }: DoctorWorld) {
  return { network, now: clock() }
}

/** @param isFirst whether it is the host with the state */
async function hostChecks(settings: Settings, world: DoctorWorld, isFirst: boolean): Promise<HostChecks> {
  const { host, environment, stateFile } = settings
  const docker = openDocker(host.exec, (line) => line)
  const engine = await attempt(
    'engine',
    () => engineVersion(docker),
    (version) => version,
  )
  const before = world.clock()
  const ports = wantedPorts(environment.proxy) ?? parsePortsLabel('')
  const { stdout } = await host.run(FACTS, [
    host.folder ?? dirname(stateFile),
    ...[ports.http, ports.https].map(String),
  ])
  const said = answersOf(stdout)
  const state = await attempt(
    'releases',
    async () => releasesOf(stateFile, environment.name),
    (releases) => `${releases.length} of ${environment.name}`,
  )
  const lock = await attempt(
    'lock',
    async () => host.readLock(environment.name),
    (found) => lockText(found),
  )
  const place = writable(said, host.folder ?? dirname(stateFile))
  const checks = [engine.check, room(said), place, ...(isFirst ? [state.check] : []), lock.check]
  if (!host.isLocal) checks.push(clocks(said, (before + world.clock()) / 2))
  if (engine.check.ok) checks.push(...(await schedulerChecks(settings, docker, isFirst)))
  if (!engine.check.ok || exposedServices(environment.services).length === 0)
    return { checks, listens: undefined, failures: new Map() }
  const proxy = await findProxy(docker)
  const running = proxy?.state === 'running' ? await readProxyIfUp(docker) : undefined
  const certificates = running ? await readCertificates(docker, running.projects) : []
  const failures = new Map(
    certificates.flatMap(({ name, error }) => (error === undefined ? [] : [[name, error] as const])),
  )
  const more = [proxyCheck(proxy, said('taken'), ports), ...askChecks(environment.services, certificates)]
  return { checks: [...checks, ...more], listens: portsOf(running, proxy), failures }
}

interface HostChecks {
  readonly checks: Check[]
  /** the ports on which its proxy listens; undefined: it is not known, or nothing is exposed */
  readonly listens: readonly number[] | undefined
  /** why Caddy could not get a certificate, by name */
  readonly failures: ReadonlyMap<string, string>
}

/** `$1`: the folder of the state, `$2` and `$3`: the ports of the proxy. /proc has them in hexadecimal. */
const FACTS = `
folder=$1
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
[ -w "$folder" ] && echo "writable yes"
echo "free $(df -Pk "$folder" | awk 'NR == 2 { print $4 }')"
echo "time $(date +%s)"
for port in "$2" "$3"; do grep -q ":$(printf %04X "$port") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null && echo "taken $port"; done
true
`

type Answers = ReturnType<typeof answersOf>

function room(said: Answers): Check {
  const free = Number(said('free')[0]) * 1024
  const found = Number.isNaN(free) ? 'unknown' : `${formatBytes(free)} free`
  const ok = Number.isNaN(free) || free >= LEAST_ROOM
  return { what: 'disk', ok, found, remedy: ok ? '' : 'Make room: stagecraft prune, docker system prune.' }
}

function writable(said: Answers, folder: string): Check {
  const ok = said('writable').length > 0
  const remedy = `Make it writable for you (on a host: stagecraft bootstrap), or choose another folder (\`root:\`).`
  return { what: 'state folder', ok, found: ok ? folder : `${folder} cannot be written`, remedy: ok ? '' : remedy }
}

function clocks(said: Answers, now: number): Check {
  const skew = Math.abs(Number(said('time')[0]) * 1000 + 500 - now)
  const ok = skew < MOST_SKEW
  const found = ok ? 'the same' : `they differ by ${Math.round(skew / 1000)} s`
  return {
    what: 'clocks',
    ok,
    found,
    remedy: ok ? '' : 'Synchronize both clocks (timedatectl set-ntp true): releases are named by the time.',
  }
}

function connectionText({ hosts, environment }: Settings): string {
  if (environment.engine === 'swarm' && environment.hosts) return 'a manager of the Swarm'
  return hosts.map(({ name, isLocal }) => (isLocal ? 'this machine' : name)).join(', ')
}

function lockText({ locked, hold }: ReturnType<Settings['host']['readLock']>): string {
  if (locked) return 'a run is at work'
  return hold ? `held by ${hold.user}: ${hold.message}` : 'free'
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
