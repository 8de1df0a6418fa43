import { dirname } from 'node:path'
import { loadConfig } from './config.ts'
import { openDocker } from './docker.ts'
import { errorText, StagecraftError } from './errors.ts'
import type { Exec } from './exec.ts'
import { formatBytes } from './format.ts'
import type { Project, Settings } from './project.ts'
import { findProxy } from './proxy-life.ts'
import { exposedServices } from './routes.ts'
import { openState } from './state.ts'
import { answersOf } from './state-scripts.ts'

/** One thing that a deploy needs, and whether it is so. */
export interface Check {
  readonly what: string
  readonly ok: boolean
  /** what was found */
  readonly found: string
  /** what to do about it; empty where nothing need be done */
  readonly remedy: string
}

export interface DoctorWorld {
  readonly exec: Exec
  readonly directory: string
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** stagecraft.yml, and the connection */
  readonly openSettings: (onUnusable: (host: string, error: StagecraftError) => void) => Promise<Settings>
  /** the Compose file too */
  readonly openProject: (settings: Settings) => Promise<Project>
}

/** Bytes below which a deploy may not have room for its images. */
const LEAST_ROOM = 1_000_000_000

/** Milliseconds by which two clocks may differ. */
const MOST_SKEW = 5_000

/** Looks at everything that a deploy needs. What cannot be looked at because of an earlier problem is left out. */
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
    ({ hosts }) => hosts.map(({ name }) => name ?? 'this machine').join(', '),
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
  const several = settings.hosts.length + unusable.length > 1
  for (const host of settings.hosts)
    for (const check of await hostChecks({ ...settings, host }, world, host === settings.host))
      add(several ? { ...check, what: `${host.name}: ${check.what}` } : check)
  return checks
}

/** @param isFirst it has the state */
async function hostChecks(settings: Settings, world: DoctorWorld, isFirst: boolean): Promise<Check[]> {
  const { host, environment, stateFile } = settings
  const docker = openDocker(host.exec, (line) => line)
  const format = '{{.Server.Version}} ({{.Server.Os}}/{{.Server.Arch}})'
  const engine = await attempt(
    'engine',
    () => docker.run('ask the engine', ['version', '--format', format], { asks: true }),
    ({ stdout }) => stdout.trim(),
  )
  const before = world.clock()
  const { stdout } = await host.run(FACTS, [host.folder ?? dirname(stateFile)])
  const said = answersOf(stdout)
  const state = await attempt(
    'releases',
    async () => openState(stateFile, { clock: world.clock }).listReleases({ environment: environment.name }),
    (releases) => `${releases.length} of ${environment.name}`,
  )
  const lock = await attempt(
    'lock',
    async () => host.readLock(environment.name),
    (found) => lockText(found),
  )
  const place = writable(said, host.folder ?? dirname(stateFile))
  const checks = [engine.check, room(said), place, ...(isFirst ? [state.check] : []), lock.check]
  if (host.name !== undefined) checks.push(clocks(said, (before + world.clock()) / 2))
  if (engine.check.ok && exposedServices(environment.services).length > 0) checks.push(await proxyCheck(docker, said))
  return checks
}

/** `$1`: the folder of the state. `port` is in hexadecimal, as /proc has it. */
const FACTS = `
folder=$1
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
[ -w "$folder" ] && echo "writable yes"
echo "free $(df -Pk "$folder" | awk 'NR == 2 { print $4 }')"
echo "time $(date +%s)"
for port in 0050 01BB; do grep -q ":$port [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null && echo "$port taken"; done
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
  const remedy = `Let yourself write it (on a host: stagecraft bootstrap), or choose another folder (\`root:\`).`
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
    remedy: ok ? '' : 'Let both set their clocks (timedatectl set-ntp true): releases are named by it.',
  }
}

async function proxyCheck(docker: ReturnType<typeof openDocker>, said: Answers): Promise<Check> {
  const proxy = await findProxy(docker)
  const taken = [...(said('0050').length > 0 ? ['80'] : []), ...(said('01BB').length > 0 ? ['443'] : [])]
  if (proxy?.state === 'running') return { what: 'proxy', ok: true, found: `runs, ${proxy.reference}`, remedy: '' }
  if (taken.length === 0) return { what: 'proxy', ok: true, found: 'the next deploy starts it', remedy: '' }
  const remedy = `Stop what listens there (ss -ltnp), or put it in front of the services itself, without \`expose\`.`
  return { what: 'proxy', ok: false, found: `port ${taken.join(' and ')} is taken by something else`, remedy }
}

async function programs(exec: Exec): Promise<Check[]> {
  const found = await Promise.all(
    PROGRAMS.map(({ what, argv, find, remedy }) =>
      attempt(
        what,
        async () => {
          const { code, stdout, stderr } = await exec(argv, { timeout: 20_000 })
          const version = find.exec(stdout + stderr)?.[1]
          if (code === 0 && version !== undefined) return version
          throw new StagecraftError('unreachable', 'it is not installed, or does not run', {
            detail: `${stdout}${stderr}`.trim().split('\n')[0],
            hint: remedy,
          })
        },
        (version) => version,
      ),
    ),
  )
  return found.map(({ check }) => (check.what === 'git' && !check.ok ? NO_GIT : check))
}

const PLUGIN = 'Install the plugin: docker-compose-plugin and docker-buildx-plugin of Docker, or of the distribution.'

const PROGRAMS = [
  { what: 'docker', argv: ['docker', '--version'], find: /version ([^,\s]+)/, remedy: 'Install the docker command.' },
  { what: 'docker compose', argv: ['docker', 'compose', 'version', '--short'], find: /^v?(\d\S*)/m, remedy: PLUGIN },
  { what: 'docker buildx', argv: ['docker', 'buildx', 'version'], find: /\bv?(\d+\.\d\S*)/, remedy: PLUGIN },
  { what: 'ssh', argv: ['ssh', '-V'], find: /^(\S+?),? /m, remedy: 'Install OpenSSH.' },
  { what: 'git', argv: ['git', '--version'], find: /version (\S+)/, remedy: '' },
] as const

/** Versions are then the time of the deploy, or what --version says. */
const NO_GIT: Check = { what: 'git', ok: true, found: 'not there: versions are called by the time', remedy: '' }

interface Attempted<T> {
  readonly check: Check
  readonly value?: T
}

async function attempt<T>(what: string, act: () => Promise<T>, found: (value: T) => string): Promise<Attempted<T>> {
  try {
    const value = await act()
    return { check: { what, ok: true, found: found(value), remedy: '' }, value }
  } catch (error) {
    if (!(error instanceof StagecraftError) || error.kind === 'bug') throw error
    return { check: failed(what, error) }
  }
}

/** A host that is connected to, whose folder cannot be read, is a matter of the folder. */
function failed(row: string, error: StagecraftError): Check {
  const what = error.kind === 'state' ? row.replace(/connection$/, 'state folder') : row
  return { what, ok: false, found: errorText(error), remedy: error.hint ?? 'Mend that, then run this again.' }
}

function lockText({ locked, hold }: ReturnType<Settings['host']['readLock']>): string {
  if (locked) return 'a run is at work'
  return hold ? `held by ${hold.user}: ${hold.message}` : 'free'
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`
}
