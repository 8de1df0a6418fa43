import type { Result } from '../system/exec.ts'

/** What a rollout needs to know about a container of a Compose project, from `docker inspect`. */
export interface Container {
  readonly id: string
  readonly name: string
  readonly service: string
  /** the image's id, `sha256:…` */
  readonly image: string
  /** the label `com.docker.compose.config-hash` */
  readonly configHash: string
  /** the label `com.docker.compose.project.config_files`: the model that Compose made it from */
  readonly configFiles: string
  /** the label `com.docker.compose.project.working_dir`: the project folder, or the releases' folder on the first host */
  readonly workingFolder: string
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead'
  readonly exitCode: number
  readonly oomKilled: boolean
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy'
  /** the most milliseconds that the healthcheck can take to become unhealthy; 0 without one */
  readonly healthTime: number
  /** milliseconds of its start period and retries, when every probe fails at once; 0 without a healthcheck */
  readonly failingTime: number
  /** what the last health probe printed */
  readonly healthOutput: string
  /** probes that failed in a row, and how many make it unhealthy */
  readonly failedProbes: number
  readonly mostProbes: number
  readonly restarts: number
  readonly startedAt: string
  readonly finishedAt: string
  /** the engine's reason why it did not start */
  readonly error: string
  /** ids of the containers whose network, IPC or process namespace it uses */
  readonly shares: readonly string[]
  /** its anonymous volumes, and their paths in it */
  readonly anonymous: readonly { readonly name: string; readonly path: string }[]
  /** its networks, by the engine's name */
  readonly networks: Readonly<Record<string, Endpoint>>
}

/** @returns whether a container runs, or will run again without anybody's doing. */
export function isUp({ state }: Pick<Container, 'state'>): boolean {
  return state === 'running' || state === 'restarting' || state === 'paused'
}

/** @returns whether a container runs, and its healthcheck does not say that it fails. */
export function isWell({ state, health }: Pick<Container, 'state' | 'health'>): boolean {
  return state === 'running' && health !== 'unhealthy'
}

/** @returns whether a service has containers, and all of them are well. */
export function isServiceWell(
  service: string,
  containers: readonly Pick<Container, 'service' | 'state' | 'health'>[],
): boolean {
  const own = containers.filter((container) => container.service === service)
  return own.length > 0 && own.every(isWell)
}

/** A container's connection to a network. */
interface Endpoint {
  readonly aliases: readonly string[]
  /** empty while it does not run */
  readonly address: string
}

/** The proxy of a host (lib/proxy/api.ts), from `docker inspect`. */
export interface ProxyContainer extends Pick<Container, 'id' | 'image' | 'state' | 'startedAt' | 'networks'> {
  /** the image's name as it was requested */
  readonly reference: string
  /** the version of Stagecraft's start command that it was created with */
  readonly layout: string
  /** where it is published, as its label says; empty: 80 and 443 */
  readonly ports: string
}

/** What comparing images needs, from `docker image inspect`. */
export interface Image {
  readonly id: string
  readonly tags: readonly string[]
  readonly digests: readonly string[]
  readonly layers: readonly string[]
  readonly platform: string
  readonly config: Readonly<Record<string, unknown>>
}

/** @returns the entries that `docker inspect` prints. */
export function parseArray(text: string): Json[] {
  const value: unknown = JSON.parse(text.trim() || '[]')
  return Array.isArray(value) ? value.map((entry) => new Json(entry)) : []
}

/** The same for a command that failed, whose output may end anywhere. */
export function parseWhatThereIs(text: string): Json[] {
  try {
    return parseArray(text)
  } catch {
    return []
  }
}

/** @returns what `docker inspect` has found. It fails for one that does not exist, and prints the others all the same. */
export function parseFound({ code, stdout }: Pick<Result, 'code' | 'stdout'>): Json[] {
  return code === 0 ? parseArray(stdout) : parseWhatThereIs(stdout)
}

/** Reads JSON of the engine without trusting its shape. */
export class Json {
  constructor(private readonly value: unknown) {}
  at(...keys: string[]): Json {
    let value = this.value
    for (const key of keys)
      value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined // checked: an object
    return new Json(value)
  }
  /** whether there is a value, other than null */
  is = (): boolean => this.value !== undefined && this.value !== null
  true = (): boolean => this.value === true
  string = (): string => (typeof this.value === 'string' ? this.value : '')
  number = (): number => (typeof this.value === 'number' ? this.value : 0)
  list = (): Json[] => (Array.isArray(this.value) ? this.value.map((entry) => new Json(entry)) : [])
  strings = (): string[] => this.list().map((entry) => entry.string())
  record = (): Record<string, unknown> =>
    typeof this.value === 'object' && this.value !== null ? { ...this.value } : {}
}

/**
 * One-off containers (`run`), and those in which Compose runs a service's `pre_start`, are not the service's own. Nor are those with a
 * name that no service can have: somebody else made them.
 */
function isExtra(label: (name: string) => string): boolean {
  const service = label('service')
  const isName = /^[a-zA-Z0-9._-]+$/.test(service) && !(service in Object.prototype)
  return /^true$/i.test(label('oneoff')) || label('hook') !== '' || !isName
}

export function parseContainer(json: Json): Container {
  const labels = json.at('Config', 'Labels')
  const label = (name: string) => labels.at(`com.docker.compose.${name}`).string()
  const state = json.at('State')
  const probes = state.at('Health', 'Log').list()
  return {
    id: json.at('Id').string(),
    name: json.at('Name').string().replace(/^\//, ''),
    service: isExtra(label) ? '' : label('service'),
    image: json.at('Image').string(),
    configHash: label('config-hash'),
    configFiles: label('project.config_files'),
    workingFolder: label('project.working_dir'),
    state: state.at('Status').string() as Container['state'], // the engine's own list (moby container/state.go)
    exitCode: state.at('ExitCode').number(),
    oomKilled: state.record()['OOMKilled'] === true,
    health: (state.at('Health', 'Status').string() || 'none') as Container['health'], // likewise (container/health.go)
    healthTime: healthTime(json.at('Config', 'Healthcheck')),
    failingTime: failingTime(json.at('Config', 'Healthcheck')),
    healthOutput: probes.at(-1)?.at('Output').string().trimEnd() ?? '',
    failedProbes: state.at('Health', 'FailingStreak').number(),
    mostProbes: retries(json.at('Config', 'Healthcheck')),
    restarts: json.at('RestartCount').number(),
    startedAt: state.at('StartedAt').string(),
    finishedAt: state.at('FinishedAt').string(),
    error: state.at('Error').string(),
    shares: ['NetworkMode', 'IpcMode', 'PidMode'].flatMap(
      (mode) => /^container:(.+)$/.exec(json.at('HostConfig', mode).string())?.[1] ?? [],
    ),
    anonymous: json
      .at('Mounts')
      .list()
      .filter((mount) => mount.at('Type').string() === 'volume' && /^[0-9a-f]{64}$/.test(mount.at('Name').string()))
      .map((mount) => ({ name: mount.at('Name').string(), path: mount.at('Destination').string() })),
    networks: parseNetworks(json),
  }
}

function parseNetworks(json: Json): Record<string, Endpoint> {
  const networks = json.at('NetworkSettings', 'Networks')
  const names = Object.keys(networks.record())
  return Object.fromEntries(
    names.map((name) => {
      const endpoint = networks.at(name)
      return [name, { aliases: endpoint.at('Aliases').strings(), address: endpoint.at('IPAddress').string() }]
    }),
  )
}

/** From nanoseconds. Missing values have the engine's defaults (moby daemon/health.go): 30 s, 30 s, none, 3 times. */
function healthTime(check: Json): number {
  if (!isChecked(check)) return 0
  return failingTime(check) + (retries(check) * (check.at('Timeout').number() || 30e9)) / 1e6
}

/** Failing probes usually fail at once. */
function failingTime(check: Json): number {
  if (!isChecked(check)) return 0
  const interval = check.at('Interval').number() || 30e9
  return (check.at('StartPeriod').number() + retries(check) * interval) / 1e6
}

function retries(check: Json): number {
  return check.at('Retries').number() || 3
}

function isChecked(check: Json): boolean {
  const [kind] = check.at('Test').strings()
  return kind !== undefined && kind !== 'NONE'
}

export function parseImage(json: Json): Image {
  return {
    id: json.at('Id').string(),
    tags: json.at('RepoTags').strings(),
    digests: json.at('RepoDigests').strings(),
    layers: json.at('RootFS', 'Layers').strings(),
    platform: [json.at('Os').string(), json.at('Architecture').string(), json.at('Variant').string()]
      .filter(Boolean)
      .join('/'),
    config: json.at('Config').record(),
  }
}

/** @returns epoch milliseconds; undefined for the year 1, and for any other text. The engine's fractions are nanoseconds. */
export function parseEngineTime(text: string): number | undefined {
  const time = Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(time) || time <= 0 ? undefined : time
}
