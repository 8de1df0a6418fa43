import { constants } from 'node:os'
import { type Mask, maskOf } from '../secrets/mask.ts'
import type { Exec, ExecOptions, Result, Stream } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { engineIsGone, engineTimeout, hungEngine, noEngine, portHint, whileEngineAnswers } from './engine/answers.ts'
import { type Guard, whileLocked } from './guard.ts'
import type { Image } from './inspect.ts'

export type { Image }

/** The docker CLI for one engine. */
export interface Docker {
  /** @throws unreachable (8) if the engine hangs; what the lock throws if it is lost */
  try(args: readonly string[], options?: DockerCommand): Promise<Result>
  /** @throws failed (5) as well: `Cannot <what>: …` if the command fails */
  run(what: string, args: readonly string[], options?: DockerCommand): Promise<Result>
  /** hides secrets in what containers print */
  readonly mask: Mask
  /**
   * on a Swarm: docker for the engine of a node, which alone reaches the containers there
   * @param what is asked of it, for the error @throws unreachable (8) if it cannot be reached from here
   */
  onNode?(node: NodeName, what: string): Promise<Docker>
}

/** A node of a Swarm. */
export interface NodeName {
  readonly id: string
  /** the name of its host */
  readonly name: string
}

/** Set for every docker command: builds without attestations are reproducible, and there are no prompts and hints. */
const ENVIRONMENT = {
  BUILDX_NO_DEFAULT_ATTESTATIONS: '1',
  DOCKER_CLI_HINTS: 'false',
  COMPOSE_MENU: 'false',
  COMPOSE_REMOVE_ORPHANS: 'false',
  COMPOSE_IGNORE_ORPHANS: 'true',
  COMPOSE_ANSI: 'never',
  COMPOSE_STATUS_STDOUT: 'false',
}

/** Milliseconds that a change may run on after Stagecraft's death: half a recreate is worse than a whole one. */
const OUTLIVE = 120_000

export interface DockerCommand extends Omit<ExecOptions, 'signal'> {
  /** it changes nothing: it has the engine's time limit for answers, and no lock */
  readonly readOnly?: boolean
  /** ends it when aborted, as a signal of the user's does */
  readonly until?: AbortSignal
}

/** What a command acts on: a name or id, or a container. */
export type Operand = string | { readonly id: string }

export interface Command extends DockerCommand {
  /** by name, in order: `{ label: ['a=1', 'b=2'], internal: true }` */
  readonly flags?: Readonly<Record<string, string | readonly string[] | boolean | undefined>>
  /** a failure is an error, `Cannot <what>: …`; without it, the caller looks at the result */
  readonly what?: string
  /** docker's words for a failure that is no error */
  readonly unless?: RegExp
}

/**
 * @param always options that every caller would give
 * @returns the function for a docker command: `stop(docker, containers, { what: 'stop web' })`. Without operands it does nothing
 */
export function verb(words: readonly string[], always: Command = {}) {
  return async (docker: Docker, operands: readonly Operand[], options: Command = {}) => {
    const { flags = {}, what, unless, ...how } = { ...always, ...options }
    const named = Object.entries(flags).flatMap(([name, value = []]) =>
      value === true ? [`--${name}`] : [value || []].flat().flatMap((one) => [`--${name}`, one]),
    )
    const args = [...words, ...named, ...operands.map((one) => (typeof one === 'string' ? one : one.id))]
    if (operands.length === 0) return { argv: args, code: 0, stdout: '', stderr: '', timedOut: false }
    const result = await docker.try(args, how)
    if (result.code === 0 || what === undefined || unless?.test(result.stderr)) return result
    throw childError(what, result)
  }
}

export interface DockerOptions {
  /** ends running commands, and those started after it */
  readonly signal?: AbortSignal | undefined
  /** the environment's: held until a command that changes something has ended; if it is lost, such commands are ended */
  readonly lock?: Guard | undefined
  /** on a Swarm: finds the engine of a node. @throws unreachable (8) */
  readonly execOnNode?: ((node: NodeName, what: string) => Promise<Exec>) | undefined
  /** milliseconds that the engine may take to answer; default: STAGECRAFT_ENGINE_TIMEOUT */
  readonly timeout?: number
}

/**
 * @param hide hides secrets in docker's output
 * @throws usage (2) for an invalid STAGECRAFT_ENGINE_TIMEOUT
 */
export function openDocker(exec: Exec, hide: Mask | ((text: string) => string), settings: DockerOptions = {}): Docker {
  const mask = 'ours' in hide ? hide : maskOf(hide)
  const { signal, lock, timeout = engineTimeout(process.env) } = settings
  const start = async (args: readonly string[], { readOnly, onLine, until, ...options }: DockerCommand) => {
    const all = {
      ...options,
      ...(onLine ? { onLine: (line: string, stream: Stream) => onLine(mask(line), stream) } : {}),
      env: { ...ENVIRONMENT, ...options.env },
    }
    const limit = options.timeout ?? (readOnly ? timeout : undefined)
    if (limit === undefined) {
      if (lock?.persist) await lock.persist() // the undo of a change must be known before the change
      return whileLocked(lock, signal, (held) =>
        whileEngineAnswers({ exec, timeout, signal: held }, (either) =>
          exec(['docker', ...args], { inheritFd: lock?.fd, outlive: OUTLIVE, ...all, signal: either }),
        ),
      )
    }
    const ends = until ? AbortSignal.any([until, ...(signal ? [signal] : [])]) : signal
    const result = await exec(['docker', ...args], { ...all, signal: ends, timeout: limit })
    if (result.timedOut && !signal?.aborted) throw hungEngine(limit)
    return result
  }
  const attempt = async (args: readonly string[], options: DockerCommand = {}) => {
    const result = await start(args, options)
    return result.code === 0 ? result : { ...result, stdout: mask(result.stdout), stderr: mask(result.stderr) }
  }
  const { execOnNode } = settings
  return {
    mask,
    ...(execOnNode
      ? { onNode: async (node, what) => openDocker(await execOnNode(node, what), hide, { signal, timeout }) }
      : {}),
    try: attempt,
    async run(what, args, options) {
      const result = await attempt(args, options)
      if (result.code === 0) return result
      throw childError(what, result)
    },
  }
}

/** @returns the error (5 or 8) for a failed docker command: `Cannot <what>: docker <command> exited with <code>`. */
export function childError(what: string, result: Result): StagecraftError {
  const said = result.stderr.trim() || result.stdout.trim()
  if (engineIsGone(said)) return noEngine(said)
  return new StagecraftError('failed', `Cannot ${what}: docker ${subcommand(result.argv)} ${howItEnded(result.code)}`, {
    ...{ detail: withoutProgress(said), hint: portHint(said) },
  })
}

/** Compose says of each container that it is created and started: that hides the line that says what is wrong. */
function withoutProgress(said: string): string {
  const lines = said.split('\n').filter((line) => !/^\s*(Container|Network|Volume) \S+ +[A-Z][a-z]+\s*$/.test(line))
  return lines.length > 0 ? lines.join('\n') : said
}

/** By the convention of shells and Docker, 128+n is signal n. */
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

/** @returns for each volume, or config, with a label its name, then the values of `labels`. @throws failed (5), unreachable (8) */
export async function listLabels(
  docker: Docker,
  kind: 'volume' | 'config',
  label: string,
  labels: readonly string[],
  options: DockerCommand = { readOnly: true },
): Promise<string[][]> {
  const format = ['{{.Name}}', ...labels.map((each) => `{{.Label "${each}"}}`)].join('\t')
  const args = [kind, 'ls', '--filter', `label=${label}`, '--format', format]
  const { stdout } = await docker.run(`list ${kind}s`, args, options)
  return stdout.split('\n').map((line) => line.split('\t'))
}
