import { StagecraftError } from './errors.ts'
import type { Exec, ExecOptions, Result } from './exec.ts'

/** What `docker inspect` says of a container of a Compose project, as far as a rollout needs it. */
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
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead'
  readonly exitCode: number
  readonly oomKilled: boolean
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy'
  /** milliseconds that the healthcheck itself can take until it says unhealthy; 0 without one */
  readonly healthTime: number
  /** what the last health probe printed */
  readonly healthOutput: string
  readonly restarts: number
  readonly startedAt: string
  /** what the engine says about why it did not start */
  readonly error: string
  /** ids of the containers whose network, IPC or process namespace it uses */
  readonly shares: readonly string[]
}

/** What `docker image inspect` says, as far as comparing images needs it. */
export interface Image {
  readonly id: string
  readonly tags: readonly string[]
  readonly digests: readonly string[]
  readonly layers: readonly string[]
  readonly platform: string
  readonly config: Readonly<Record<string, unknown>>
}

/** The docker CLI against one engine. `run` throws for a program that fails, `try` does not. */
export interface Docker {
  try(args: readonly string[], options?: ExecOptions): Promise<Result>
  run(what: string, args: readonly string[], options?: ExecOptions): Promise<Result>
  /** hides env values in what containers print */
  readonly mask: (text: string) => string
}

/** Set for every docker command: builds without attestations are reproducible, and nothing asks or advertises. */
const ENVIRONMENT = {
  BUILDX_NO_DEFAULT_ATTESTATIONS: '1',
  DOCKER_CLI_HINTS: 'false',
  COMPOSE_MENU: 'false',
  COMPOSE_REMOVE_ORPHANS: 'false',
  COMPOSE_IGNORE_ORPHANS: 'true',
  COMPOSE_ANSI: 'never',
  COMPOSE_STATUS_STDOUT: 'false',
}

/** @param mask hides env values in what docker prints */
export function openDocker(exec: Exec, mask: (text: string) => string, signal?: AbortSignal): Docker {
  const attempt = async (args: readonly string[], options: ExecOptions = {}) => {
    const { onLine } = options
    const result = await exec(['docker', ...args], {
      signal,
      ...options,
      ...(onLine ? { onLine: (line: string) => onLine(mask(line)) } : {}),
      env: { ...ENVIRONMENT, ...options.env },
    })
    return result.code === 0 ? result : { ...result, stdout: mask(result.stdout), stderr: mask(result.stderr) }
  }
  return {
    mask,
    try: attempt,
    async run(what, args, options) {
      const result = await attempt(args, options)
      if (result.code === 0) return result
      throw childError(what, result)
    },
  }
}

/** @returns the error for a docker command that failed: `Cannot <what>: docker <command> exited with <code>`. */
export function childError(what: string, result: Result): StagecraftError {
  const said = result.stderr.trim() || result.stdout.trim()
  if (engineIsGone(said)) return noEngine(said)
  const why = result.timedOut ? 'took too long and was ended' : `exited with ${result.code}`
  return new StagecraftError('failed', `Cannot ${what}: docker ${subcommand(result.argv)} ${why}`, { detail: said })
}

/** The CLI has no code of its own for this; both sentences are the client library's (docker/docker client/errors.go). */
function engineIsGone(said: string): boolean {
  return /Cannot connect to the Docker daemon|error during connect|permission denied while trying to connect/.test(said)
}

function noEngine(said: string): StagecraftError {
  const denied = said.includes('permission denied')
  return new StagecraftError('unreachable', 'Cannot reach the Docker engine: it does not answer', {
    detail: [...new Set(said.split('\n'))].join('\n'), // docker says it once for each name it was asked for
    hint: denied
      ? 'Add yourself to the group of the Docker socket (usually docker), log in again, then try again.'
      : 'Start it (sudo systemctl start docker), or point DOCKER_HOST or `docker context use` at one that runs.',
  })
}

/** @returns `compose build` of `docker compose --progress plain -p shop build web`. */
function subcommand(argv: readonly string[]): string {
  let at = 2
  while (argv[at]?.startsWith('-')) at += 2 // every flag before the command has a value
  const verb = argv[1] === 'compose' ? argv[at] : undefined
  return [argv[1], verb].filter(Boolean).join(' ')
}

/** @throws unreachable (8) when no engine answers. @returns its `os/arch`. */
export async function enginePlatform(docker: Docker): Promise<string> {
  const result = await docker.try(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'], { timeout: 30_000 })
  if (result.code === 0) return result.stdout.trim()
  throw noEngine(result.stderr.trim())
}

/** @returns the containers of a Compose project in any state, by service, then name; one-off ones left out. */
export async function listContainers(docker: Docker, project: string): Promise<Container[]> {
  const filters = ['--filter', `label=com.docker.compose.project=${project}`]
  const list = await docker.run('list containers', ['ps', '-aq', '--no-trunc', ...filters], { timeout: 60_000 })
  const containers = await inspectContainers(docker, list.stdout.split('\n').filter(Boolean))
  return containers.filter((container) => container.service !== '')
}

/** @returns those of `ids` that still exist. */
export async function inspectContainers(docker: Docker, ids: readonly string[]): Promise<Container[]> {
  if (ids.length === 0) return []
  const result = await docker.try(['container', 'inspect', ...ids], { timeout: 60_000 })
  const found = result.code === 0 ? parseArray(result.stdout) : parseWhatThereIs(result.stdout)
  if (result.code !== 0 && found.length === 0 && !/no such container/i.test(result.stderr))
    throw childError('inspect containers', result)
  return found.map(parseContainer).toSorted((a, b) => compare(a.service, b.service) || compare(a.name, b.name))
}

/** @returns the image, or undefined where the engine has none of that name. */
export async function inspectImages(docker: Docker, names: readonly string[]): Promise<Map<string, Image>> {
  const images = new Map<string, Image>()
  if (names.length === 0) return images
  const all = await docker.try(['image', 'inspect', ...names], { timeout: 60_000 })
  if (all.code === 0) {
    for (const [index, entry] of parseArray(all.stdout).entries()) images.set(names[index] ?? '', parseImage(entry))
    return images
  }
  if (engineIsGone(all.stderr)) throw noEngine(all.stderr.trim())
  if (names.length === 1) return images
  for (const name of names) for (const [key, image] of await inspectImages(docker, [name])) images.set(key, image)
  return images
}

/** @returns what a container printed last, `lines` lines of both streams. */
export async function lastLogLines(docker: Docker, id: string, lines = 20): Promise<string> {
  const result = await docker.try(['logs', '--tail', String(lines), id], { timeout: 30_000, limit: 64 * 1024 })
  return docker.mask(result.stdout + result.stderr).trimEnd()
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function parseArray(text: string): Json[] {
  const value: unknown = JSON.parse(text.trim() || '[]')
  return Array.isArray(value) ? value.map((entry) => new Json(entry)) : []
}

/** The answer of a command that failed may end anywhere. */
function parseWhatThereIs(text: string): Json[] {
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

function parseContainer(json: Json): Container {
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
    state: state.at('Status').string() as Container['state'], // the engine's own list (moby container/state.go)
    exitCode: state.at('ExitCode').number(),
    oomKilled: state.record()['OOMKilled'] === true,
    health: (state.at('Health', 'Status').string() || 'none') as Container['health'], // likewise (container/health.go)
    healthTime: healthTime(json.at('Config', 'Healthcheck')),
    healthOutput: probes.at(-1)?.at('Output').string().trimEnd() ?? '',
    restarts: json.at('RestartCount').number(),
    startedAt: state.at('StartedAt').string(),
    error: state.at('Error').string(),
    shares: ['NetworkMode', 'IpcMode', 'PidMode'].flatMap(
      (mode) => /^container:(.+)$/.exec(json.at('HostConfig', mode).string())?.[1] ?? [],
    ),
  }
}

/** Nanoseconds there; what is left out is the engine's default (moby daemon/health.go): 30 s, 30 s, none, 3 times. */
function healthTime(check: Json): number {
  const [kind] = check.at('Test').strings()
  if (kind === undefined || kind === 'NONE') return 0
  const [interval, timeout] = [check.at('Interval').number() || 30e9, check.at('Timeout').number() || 30e9]
  return (check.at('StartPeriod').number() + (check.at('Retries').number() || 3) * (interval + timeout)) / 1e6
}

function parseImage(json: Json): Image {
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
