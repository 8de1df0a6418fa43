import type { Container, Endpoint, ProxyContainer } from './docker.ts'

/** What `docker image inspect` says, as far as comparing images needs it. */
export interface Image {
  readonly id: string
  readonly tags: readonly string[]
  readonly digests: readonly string[]
  readonly layers: readonly string[]
  readonly platform: string
  readonly config: Readonly<Record<string, unknown>>
}

/** @returns the entries of an answer of `docker inspect`. */
export function parseArray(text: string): Json[] {
  const value: unknown = JSON.parse(text.trim() || '[]')
  return Array.isArray(value) ? value.map((entry) => new Json(entry)) : []
}

/** The answer of a command that failed may end anywhere. */
export function parseWhatThereIs(text: string): Json[] {
  try {
    return parseArray(text)
  } catch {
    return []
  }
}

/** Reads JSON of the engine without trusting its shape. */
class Json {
  constructor(private readonly value: unknown) {}
  at(...keys: string[]): Json {
    let value = this.value
    for (const key of keys)
      value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined // checked: an object
    return new Json(value)
  }
  string = (): string => (typeof this.value === 'string' ? this.value : '')
  number = (): number => (typeof this.value === 'number' ? this.value : 0)
  list = (): Json[] => (Array.isArray(this.value) ? this.value.map((entry) => new Json(entry)) : [])
  strings = (): string[] => this.list().map((entry) => entry.string())
  record = (): Record<string, unknown> =>
    typeof this.value === 'object' && this.value !== null ? { ...this.value } : {}
}

export function parseContainer(json: Json): Container {
  const labels = json.at('Config', 'Labels')
  const label = (name: string) => labels.at(`com.docker.compose.${name}`).string()
  const state = json.at('State')
  const probes = state.at('Health', 'Log').list()
  return {
    id: json.at('Id').string(),
    name: json.at('Name').string().replace(/^\//, ''),
    service: /^true$/i.test(label('oneoff')) ? '' : label('service'),
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
    restarts: json.at('RestartCount').number(),
    startedAt: state.at('StartedAt').string(),
    error: state.at('Error').string(),
    shares: ['NetworkMode', 'IpcMode', 'PidMode'].flatMap(
      (mode) => /^container:(.+)$/.exec(json.at('HostConfig', mode).string())?.[1] ?? [],
    ),
    anonymous: json
      .at('Mounts')
      .list()
      .filter((mount) => mount.at('Type').string() === 'volume' && /^[0-9a-f]{64}$/.test(mount.at('Name').string()))
      .map((mount) => mount.at('Destination').string()),
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

/** @param text the answer of `docker container inspect` */
export function parseProxyContainer(text: string, imageLabel: string, layoutLabel: string): ProxyContainer | undefined {
  const [json] = parseArray(text)
  if (json === undefined) return undefined
  const { id, image, state, startedAt, networks } = parseContainer(json)
  const label = (name: string) => json.at('Config', 'Labels').at(name).string()
  return { id, image, state, startedAt, networks, reference: label(imageLabel), layout: label(layoutLabel) }
}

/** Nanoseconds there; what is left out is the engine's default (moby daemon/health.go): 30 s, 30 s, none, 3 times. */
function healthTime(check: Json): number {
  if (!isChecked(check)) return 0
  return failingTime(check) + ((check.at('Retries').number() || 3) * (check.at('Timeout').number() || 30e9)) / 1e6
}

/** Probes that fail do so at once, as a rule. */
function failingTime(check: Json): number {
  if (!isChecked(check)) return 0
  const interval = check.at('Interval').number() || 30e9
  return (check.at('StartPeriod').number() + (check.at('Retries').number() || 3) * interval) / 1e6
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

/** @returns epoch milliseconds; undefined for the year 1, and for no time. An engine's fractions are nanoseconds. */
export function parseEngineTime(text: string): number | undefined {
  const time = Date.parse(text.replace(/(\.\d{3})\d+/, '$1'))
  return Number.isNaN(time) || time <= 0 ? undefined : time
}
