import { dirname } from 'node:path'
import { openDocker } from '../../docker/client.ts'
import { engineVersion } from '../../docker/engine/facts.ts'
import { answersOf } from '../../hosts/scripts/state.ts'
import { exposedServices } from '../../plan/routes/table.ts'
import type { Settings } from '../../project/settings.ts'
import { readProxyIfUp } from '../../proxy/api.ts'
import { readCertificates } from '../../proxy/certificates/state.ts'
import { findProxy } from '../../proxy/container.ts'
import { parsePortsLabel, wantedPorts } from '../../proxy/ports.ts'
import { releasesOf } from '../../record/releases.ts'
import { formatBytes } from '../../util/format.ts'
import { attempt } from './attempt.ts'
import { bad, type Check, ok } from './check.ts'
import { askChecks, portsOf, proxyCheck } from './exposed.ts'
import { schedulerChecks } from './schedules.ts'

/** Bytes below which a deploy may not have room for its images. */
const LEAST_ROOM = 1_000_000_000

/** Milliseconds by which two clocks may differ. */
const MOST_SKEW = 5_000

/** What is known of one host. */
interface HostChecks {
  readonly checks: Check[]
  /** the ports on which its proxy listens; undefined: it is not known, or nothing is exposed */
  readonly listens: readonly number[] | undefined
  /** why Caddy could not get a certificate, by name */
  readonly failures: ReadonlyMap<string, string>
}

/**
 * Checks the engine of a host, its folder, its clock, and what is to run there besides containers.
 * @param clock milliseconds since the epoch @param isFirst whether it is the host with the state
 */
export async function hostChecks(settings: Settings, clock: () => number, isFirst: boolean): Promise<HostChecks> {
  const { host, environment, stateFile } = settings
  const docker = openDocker(host.exec, (line) => line)
  const engine = await attempt(
    'engine',
    () => engineVersion(docker),
    (version) => version,
  )
  const before = clock()
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
  if (!host.isLocal) checks.push(clocks(said, (before + clock()) / 2))
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
  if (Number.isNaN(free) || free >= LEAST_ROOM) return ok('disk', found)
  return bad('disk', found, 'Free some space: stagecraft prune, docker builder prune.')
}

function writable(said: Answers, folder: string): Check {
  if (said('writable').length > 0) return ok('state folder', folder)
  const remedy = `Make it writable for you (on a host: stagecraft bootstrap), or choose another folder (\`root:\`).`
  return bad('state folder', `${folder} cannot be written`, remedy)
}

function clocks(said: Answers, now: number): Check {
  const skew = Math.abs(Number(said('time')[0]) * 1000 + 500 - now)
  if (skew < MOST_SKEW) return ok('clocks', 'the same')
  const remedy = 'Synchronize both clocks (timedatectl set-ntp true): releases are named by the time.'
  return bad('clocks', `they differ by ${Math.round(skew / 1000)} s`, remedy)
}

function lockText({ locked, hold }: ReturnType<Settings['host']['readLock']>): string {
  if (locked) return 'a run is under way'
  return hold ? `held by ${hold.user}: ${hold.message}` : 'free'
}
