import { constants } from 'node:os'
import { type Image, parseArray, parseContainer, parseImage, parseWhatThereIs } from './docker-json.ts'
import { engineIsGone, engineTimeout, hungEngine, noEngine, portHint, whileEngineAnswers } from './engine.ts'
import { StagecraftError } from './errors.ts'
import type { Exec, ExecOptions, Result } from './exec.ts'
import type { Held } from './lock.ts'
import { whileLocked } from './lock-guard.ts'
import { type Mask, maskOf } from './mask.ts'

export type { Image }

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
  /** the label `com.docker.compose.project.working_dir`: the project folder, or that of the releases on the first host */
  readonly workingFolder: string
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead'
  readonly exitCode: number
  readonly oomKilled: boolean
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy'
  /** milliseconds that the healthcheck itself can take until it says unhealthy; 0 without one */
  readonly healthTime: number
  /** milliseconds of its start period and retries: so long a service may have no success yet; 0 without a healthcheck */
  readonly failingTime: number
  /** what the last health probe printed */
  readonly healthOutput: string
  readonly restarts: number
  readonly startedAt: string
  /** what the engine says about why it did not start */
  readonly error: string
  /** ids of the containers whose network, IPC or process namespace it uses */
  readonly shares: readonly string[]
  /** where volumes without a name are mounted in it */
  readonly anonymous: readonly string[]
  /** by the engine's name of each network that it is on */
  readonly networks: Readonly<Record<string, Endpoint>>
}

/** How a container is plugged into a network. */
export interface Endpoint {
  readonly aliases: readonly string[]
  /** empty while it does not run */
  readonly address: string
}

/** The proxy of a host (lib/proxy.ts), as `docker inspect` has it. */
export interface ProxyContainer extends Pick<Container, 'id' | 'image' | 'state' | 'startedAt' | 'networks'> {
  /** the image by the name that it was asked for */
  readonly reference: string
  /** which version of our own start command it was made with */
  readonly layout: string
}

/** The docker CLI against one engine. `run` throws for a program that fails, `try` only where the engine hangs. */
export interface Docker {
  try(args: readonly string[], options?: DockerCommand): Promise<Result>
  run(what: string, args: readonly string[], options?: DockerCommand): Promise<Result>
  /** hides env values in what containers print */
  readonly mask: Mask
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

/** Milliseconds that a change may go on after our death: half a recreate is worse than a whole one. */
const OUTLIVE = 120_000

export interface DockerCommand extends Omit<ExecOptions, 'signal'> {
  /** it only asks: it has the time that an engine may take to answer, and no lock */
  readonly asks?: boolean
}

export interface DockerOptions {
  /** ends what runs, and what is started after it */
  readonly signal?: AbortSignal | undefined
  /** of the environment: it is kept until a command that changes something has ended; once it is lost none goes on */
  readonly lock?: Pick<Held, 'fd' | 'check' | 'persist'> | undefined
  /** milliseconds that the engine may take to answer; default: STAGECRAFT_ENGINE_TIMEOUT */
  readonly timeout?: number
}

/**
 * @param hide hides env values in what docker prints
 * @throws usage (2) for a STAGECRAFT_ENGINE_TIMEOUT that is none
 */
export function openDocker(exec: Exec, hide: Mask | ((text: string) => string), settings: DockerOptions = {}): Docker {
  const mask = 'ours' in hide ? hide : maskOf(hide)
  const { signal, lock, timeout = engineTimeout(process.env) } = settings
  const start = async (args: readonly string[], { asks, onLine, ...options }: DockerCommand) => {
    const all = {
      ...options,
      ...(onLine ? { onLine: (line: string) => onLine(mask(line)) } : {}),
      env: { ...ENVIRONMENT, ...options.env },
    }
    const limit = options.timeout ?? (asks ? timeout : undefined)
    if (limit === undefined) {
      if (lock?.persist) await lock.persist() // what undoes the change must be known before it is made
      return whileLocked(lock, signal, (held) =>
        whileEngineAnswers({ exec, timeout, signal: held }, (either) =>
          exec(['docker', ...args], { keep: lock?.fd, outlive: OUTLIVE, ...all, signal: either }),
        ),
      )
    }
    const result = await exec(['docker', ...args], { ...all, signal, timeout: limit })
    if (result.timedOut && !signal?.aborted) throw hungEngine(limit)
    return result
  }
  const attempt = async (args: readonly string[], options: DockerCommand = {}) => {
    const result = await start(args, options)
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

/** @returns the error for a docker command that failed: `Cannot <what>: docker <command> exited with <code>`, or was ended by a signal. */
export function childError(what: string, result: Result): StagecraftError {
  const said = result.stderr.trim() || result.stdout.trim()
  if (engineIsGone(said)) return noEngine(said)
  return new StagecraftError('failed', `Cannot ${what}: docker ${subcommand(result.argv)} ${howItEnded(result.code)}`, {
    ...{ detail: said, hint: portHint(said) },
  })
}

/** A shell's and Docker's own convention: 128 and the number of a signal. */
function howItEnded(code: number): string {
  const [signal] = Object.entries(constants.signals).find(([, number]) => number === code - 128) ?? []
  return signal ? `was ended by signal ${code - 128} (${signal.slice('SIG'.length)})` : `exited with ${code}`
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
  const result = await docker.try(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'], { asks: true })
  if (result.code === 0) return result.stdout.trim()
  throw noEngine(result.stderr.trim())
}

/** @returns the containers of a Compose project in any state, by service, then name; one-off ones left out. */
export async function listContainers(docker: Docker, project: string): Promise<Container[]> {
  const filters = ['--filter', `label=com.docker.compose.project=${project}`]
  const list = await docker.run('list containers', ['ps', '-aq', '--no-trunc', ...filters], { asks: true })
  const containers = await inspectContainers(docker, list.stdout.split('\n').filter(Boolean))
  return containers.filter((container) => container.service !== '')
}

/** @returns those of `ids` that still exist. */
export async function inspectContainers(docker: Docker, ids: readonly string[]): Promise<Container[]> {
  if (ids.length === 0) return []
  const result = await docker.try(['container', 'inspect', ...ids], { asks: true })
  const found = result.code === 0 ? parseArray(result.stdout) : parseWhatThereIs(result.stdout)
  if (result.code !== 0 && found.length === 0 && !/no such container/i.test(result.stderr))
    throw childError('inspect containers', result)
  return found.map(parseContainer).toSorted((a, b) => compare(a.service, b.service) || compare(a.name, b.name))
}

/**
 * Stops and removes containers by id, with their anonymous volumes; never by scaling down.
 * @param meanwhile is done while they stop, and has ended before they are removed
 */
export async function removeContainers(
  docker: Docker,
  containers: readonly Pick<Container, 'id' | 'name'>[],
  meanwhile: (container: Pick<Container, 'id' | 'name'>) => Promise<void> = async () => {},
): Promise<void> {
  const ids = containers.map(({ id }) => id)
  if (ids.length === 0) return
  const names = containers.map(({ name }) => name).join(', ')
  const gone = (said: string) => /no such container/i.test(said)
  const act = async (args: readonly string[]) => {
    const result = await docker.try(args)
    if (result.code !== 0 && !gone(result.stderr)) await docker.run(`remove ${names}`, args)
  }
  await Promise.all([act(['stop', ...ids]), ...containers.map(meanwhile)])
  await act(['rm', '--force', '--volumes', ...ids])
}

/** @returns the image, or undefined where the engine has none of that name. */
export async function inspectImages(docker: Docker, names: readonly string[]): Promise<Map<string, Image>> {
  const images = new Map<string, Image>()
  if (names.length === 0) return images
  const all = await docker.try(['image', 'inspect', ...names], { asks: true })
  if (all.code === 0) {
    for (const [index, entry] of parseArray(all.stdout).entries()) images.set(names[index] ?? '', parseImage(entry))
    return images
  }
  if (engineIsGone(all.stderr)) throw noEngine(all.stderr.trim())
  if (names.length === 1) return images
  const there = names.filter((name) => !saysMissing(all.stderr, name))
  const found = parseWhatThereIs(all.stdout)
  if (found.length === there.length) return new Map(found.map((entry, at) => [there[at] ?? '', parseImage(entry)]))
  for (const name of names) for (const [key, image] of await inspectImages(docker, [name])) images.set(key, image)
  return images
}

/** The engine's words, and those of older clients. */
function saysMissing(said: string, name: string): boolean {
  return said.split('\n').some((line) => line.endsWith(`No such image: ${name}`) || line.endsWith(`: ${name}:latest`))
}

/**
 * @param follow also what it prints until it has stopped
 * @returns what a container printed last, `lines` lines of both streams; nothing where the engine hangs.
 */
export async function lastLogLines(docker: Docker, id: string, lines = 20, follow = false): Promise<string> {
  const flags = [...(follow ? ['--follow'] : []), '--tail', String(lines)]
  // With a limit of its own it has no lock: it would keep that of a run that was killed until the container stops.
  const wait = follow ? { timeout: 600_000 } : { asks: true }
  const result = await docker.try(['logs', ...flags, id], { limit: 64 * 1024, ...wait }).catch(() => undefined)
  return result ? docker.mask(result.stdout + result.stderr).trimEnd() : ''
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
