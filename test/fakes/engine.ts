import { hostname } from 'node:os'
import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import type { Clock } from '../../lib/system/clock.ts'
import { type Exec, type ExecOptions, exec, type Result } from '../../lib/system/exec.ts'
import type { Answer } from './answer.ts'
import { answerCompose } from './compose.ts'
import { type Status, statusOf } from './container-status.ts'
import { actOnEach, answerLogs, answerPs, answerStats, inspectContainers, portsOf } from './containers.ts'
import { type Behaviour, ENGINE_AHEAD, type EngineState, type FakeContainer } from './engine-state.ts'
import { addImage, inspectImages, listImages, pullImage, pushImage, tagImage, untag } from './images.ts'
import { answerNetwork, type Plugged } from './networks.ts'
import { FakeProxy } from './proxy.ts'
import { FakeSwarm } from './swarm.ts'
import { answerNamedVolume, answerVolumes } from './volumes.ts'

/** How a command that a test lets fail leaves the engine: as it was, halfway, or as if it had succeeded. */
export type Damage = 'none' | 'half' | 'all'

interface Failure {
  readonly damage: Damage
  readonly result?: Partial<Result>
}

/**
 * A Docker engine and its CLI in memory, as an `Exec`: what Stagecraft says to `docker`, and nothing else. A command or
 * flag that it does not know is an error of the test, not of docker.
 */
export class FakeEngine {
  state: EngineState = {
    ...{
      containers: [],
      images: {},
      tags: {},
      networks: {},
      owners: {},
      volumes: [],
      filled: {},
      compared: {},
      count: 0,
      now: Date.UTC(2026, 10, 22, 8),
    },
    proxy: { boxes: [], volume: undefined, loaded: undefined },
  }
  readonly proxy = new FakeProxy(this)
  readonly swarm = new FakeSwarm(() => this.state.now)
  /** what `docker compose config` makes of the project's files; undefined: they are not valid */
  model: ComposeModel | undefined
  /** values for `${…}` */
  variables: Record<string, string> = {}
  /** what a registry has: content by name */
  registry: Record<string, string> = {}
  /** what building a service gives: its content. A build of a service that is not here fails. */
  sources: Record<string, string> = {}
  /** contents of images that declare a volume */
  withVolume = new Set<string>()
  /** changes what is in an image besides its content: a label of its builder */
  buildLabels: Record<string, string> = {}
  composeVersion = '5.3.0'
  /** the services whose `pre_start` Compose has run, in order */
  preStarted: string[] = []
  behave: (container: { service: string; content: string; definition: Service }) => Behaviour | undefined = () =>
    undefined
  /** what its machine is called, and how docker gets there */
  machine = hostname()
  endpoint = 'unix:///var/run/docker.sock'
  /** asked before every command, with its number from 1; may let it fail, hang, or just watch */
  intercept: (argv: readonly string[], count: number) => Failure | 'hang' | undefined = () => undefined
  /** called before every command, whatever becomes of it: to look at what holds then */
  watch: () => void = () => {}
  calls: string[][] = []

  readonly clock: Clock = {
    now: () => this.state.now,
    sleep: async (ms) => {
      this.state.now += ms
    },
  }

  readonly exec: Exec = async (argv, options = {}) => {
    this.calls.push([...argv])
    this.watch()
    const planned = this.intercept(argv, this.calls.length)
    if (planned === 'hang') return this.#hang(argv, options)
    if (options.signal?.aborted) return ended(argv, { code: 143 })
    if (argv[0] === '/bin/sh' && !planned) return exec(argv, options) // a hook of the release
    const damage = planned?.damage
    const answer = damage === 'none' ? {} : this.#answer(argv, options, damage === 'half')
    if (planned) return ended(argv, { code: 1, stderr: 'Error response from daemon: injected', ...planned.result })
    for (const line of answer.lines ?? []) options.onLine?.(line, 'stdout')
    const merged = { stdout: `${answer.stdout ?? ''}${answer.stderr ?? ''}`, stderr: '' }
    return ended(argv, options.merge ? { ...answer, ...merged } : answer)
  }

  /** A command that never answers: its time limit ends it, or a signal. */
  #hang(argv: readonly string[], options: ExecOptions): Promise<Result> {
    const { signal, timeout } = options
    return new Promise((resolve) => {
      if (timeout !== undefined && timeout < 2 ** 31 - 1) {
        this.state.now += timeout
        resolve(ended(argv, { code: 143, timedOut: true }))
      } else if (signal?.aborted) resolve(ended(argv, { code: 143 }))
      else signal?.addEventListener('abort', () => resolve(ended(argv, { code: 143 })))
    })
  }

  #answer(argv: readonly string[], options: ExecOptions, half: boolean): Answer {
    const [program, ...args] = argv
    if (program === 'sh') return {} // nothing else listens on its machine
    if (program !== 'docker') throw new Error(`not a docker command: ${argv.join(' ')}`)
    const [first = '', second = '', ...rest] = args
    const ofSwarm = this.swarm.respond(args, options.input)
    if (ofSwarm) return ofSwarm
    const ofVolumes = answerVolumes(this, args, options.outputTo)
    if (ofVolumes) return ofVolumes
    const ofProxy = this.proxy.respond(args, options.input, half)
    if (ofProxy) return ofProxy
    if (first === 'compose') return answerCompose(this, args.slice(1), options, half)
    if (first === 'version') return { stdout: 'linux/amd64\n' }
    if (first === 'ps') return answerPs(this, args)
    if (first === 'container' && second === 'inspect') return inspectContainers(this, rest)
    if (first === 'image' && second === 'inspect') return inspectImages(this, rest)
    if (first === 'image' && second === 'ls') return listImages(this, rest)
    if (first === 'stats') return answerStats(this, args.slice(args.indexOf('{{json .}}') + 1))
    if (first === 'rmi') return untag(this, second)
    if (first === 'tag') return tagImage(this, second, rest[0] ?? '')
    if (first === 'pull')
      return half ? {} : pullImage(this, args.at(-1) ?? '', args[1] === '--platform' ? args[2] : undefined)
    if (first === 'push') return pushImage(this, second)
    if (first === 'info' && args[2]?.includes('{{.Name}}')) return this.#name(args[2])
    if (first === 'context') return { stdout: `${this.endpoint}\n` }
    if (first === 'info') return { stdout: `${new Date(this.state.now + ENGINE_AHEAD).toISOString()}\n` }
    if (first === 'events') return {} // nothing here is on its way
    if (first === 'logs')
      return answerLogs(
        this,
        args.filter((word) => word !== '--follow'),
      )
    if (first === 'volume') return answerNamedVolume(this, second, rest)
    if (first === 'network') return answerNetwork(this, second, rest)
    if (first === 'stop' || first === 'start' || first === 'rm') {
      const ids = args.slice(1).filter((word) => !word.startsWith('-'))
      return actOnEach(this, first, half ? ids.slice(0, 1) : ids)
    }
    throw new Error(`the fake engine does not know: ${argv.join(' ')}`)
  }

  #name(format: string): Answer {
    return { stdout: format.includes('.ID') ? `id of ${this.machine}\t${this.machine}\n` : `${this.machine}\n` }
  }

  /** Whether a container of a service that runs has a port of the host. */
  publishes(port: string): boolean {
    return this.state.containers.some((one) => this.isRunning(one) && portsOf(one).includes(port))
  }

  plugged(): Plugged[] {
    return [...this.state.containers, ...this.state.proxy.boxes]
  }

  isRunning(one: Plugged): boolean {
    const container = this.state.containers.find(({ id }) => id === one.id)
    if (container) return this.statusOf(container).status === 'running'
    return this.proxy.box(one.id)?.state === 'running'
  }

  containersOf(project: string): FakeContainer[] {
    return this.state.containers.filter((container) => container.project === project)
  }

  /** What `docker inspect` would say now of a container's state. */
  statusOf(container: FakeContainer): Status {
    return statusOf(this.state.now, container)
  }

  /** An image of this content, under this name. @returns its id, which follows from content and labels */
  addImage(name: string, content: string, labels: Readonly<Record<string, string>> = {}, platform?: string): string {
    return addImage(this, name, content, labels, platform)
  }

  // For tests

  /** Comes back to a copy of `state`, and forgets what was asked. */
  restore(state: EngineState): void {
    this.state = structuredClone(state)
    this.calls = []
    this.intercept = () => undefined
  }

  /** The containers in words, one line each: what runs, of what, connected to what. Without ids. */
  view(project: string): string[] {
    return this.containersOf(project)
      .map((container) => {
        const { service, image, networks, joined, definition } = container
        const owner =
          joined && (this.state.containers.find(({ id }) => id === joined)?.service ?? 'a container that is gone')
        const content = this.state.images[image]?.content
        const settings = Object.entries(definition.environment ?? {}).map(([key, value]) => `${key}=${value}`)
        const missing = networks.filter((name) => this.state.networks[name] === undefined)
        const plugged = networks.map((name) => (missing.includes(name) ? `${name} (gone)` : name)).join('+')
        const words = [service, `of ${content}`, ...settings, this.statusOf(container).status]
        return [...words, ...(plugged ? [`on ${plugged}`] : []), ...(owner ? [`in ${owner}`] : [])].join(' ')
      })
      .toSorted()
  }

  /** The ids of a service's containers, in order of creation. */
  ids(project: string, service: string): string[] {
    return this.containersOf(project).flatMap((container) => (container.service === service ? [container.id] : []))
  }

  /** The commands that change something, without the flags that every one of them has. */
  changes(): string[] {
    return this.calls.filter((argv) => !isQuestion(argv)).map((argv) => argv.map(shortWord).join(' '))
  }
}

/** @returns whether a command changes nothing on the engine. */
export function isQuestion(argv: readonly string[]): boolean {
  const asking =
    /^docker (version|info|stats|context inspect|ps|container inspect|image (inspect|ls)|logs|volume (inspect|ls)|network (inspect|ls)|compose.* config|compose version|events --filter container=\S+|run --rm) /
  return (
    asking.test(`${argv.join(' ')} `) ||
    argv.some((word) => /^stagecraft-(read|in-flight|drained|probe|ask)$/.test(word))
  )
}

/** Scripts and configurations are long. */
function shortWord(word: string): string {
  return word.includes('\n') || word.length > 200 ? '…' : word
}

function ended(argv: readonly string[], { lines: _lines, ...answer }: Answer): Result {
  return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...answer }
}
