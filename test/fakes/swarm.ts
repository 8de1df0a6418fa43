import { unescapeDollars } from '../../lib/compose/load.ts'
import { type Answer, OK, refuse } from './answer.ts'
import { type Definition, isAt, labelsOf, type Place, taskSpec } from './swarm-definition.ts'
import { inspectNode } from './swarm-nodes.ts'
import { lines, objectAnswer } from './swarm-objects.ts'

/** What a task does: it stays up, completes, or ends with a code. */
export type TaskBehaviour = 'up' | 'completes' | { readonly exit: number }

interface FakeTask {
  readonly id: string
  readonly service: string
  readonly slot: number
  readonly node: string
  readonly spec: object
  readonly iteration: number
  readonly at: string
  desired: string
  state: string
  error: string
}

interface FakeService {
  readonly id: string
  readonly name: string
  readonly stack: string
  spec: Definition
  iteration: number
  update: { State: string; Message: string } | undefined
}

/** A Swarm of three nodes that does at once what it is asked for: it only knows tasks that run and tasks that end. */
export class FakeSwarm {
  isManager = true
  nodes = ['n1', 'n2', 'n3']
  workers = new Set<string>()
  drained = new Set<string>()
  down = new Set<string>()
  labels: Record<string, Readonly<Record<string, string>>> = {}
  engines: Record<string, string> = {}
  services: FakeService[] = []
  tasks: FakeTask[] = []
  networks = new Set<string>()
  objects = { config: new Map<string, string>(), secret: new Map<string, string>() }
  behave: (service: string, definition: Definition) => TaskBehaviour = () => 'up'
  #count = 0

  constructor(private readonly now: () => number) {}

  /** @returns undefined for a command that is not about a Swarm */
  respond(args: readonly string[], input: unknown): Answer | undefined {
    const [noun = '', verb = '', ...rest] = args
    const name = rest.at(-1) ?? ''
    const filter = rest[rest.indexOf('--filter') + 1] ?? ''
    if (noun === 'info' && verb === '--format' && rest[0]?.includes('.Swarm')) return { stdout: this.#info() }
    if (noun === 'stack' && verb === 'deploy') return this.#deploy(name, String(input))
    if (noun === 'stack' && verb === 'rm') return this.#remove(name)
    if (noun === 'stack' && verb === 'ps') return this.#ps(name)
    if (noun === 'inspect' && verb === '--type') return this.#inspectTasks(rest.slice(1))
    if (noun === 'service' && verb === 'ls') return this.#list(rest)
    if (noun === 'service' && verb === 'ps') return this.#psOf(name)
    if (noun === 'service' && verb === 'inspect') return this.#inspect(rest)
    if (noun === 'service' && verb === 'scale') return this.#scale(rest)
    if (noun === 'service' && verb === 'update') return this.#restart(name)
    if (noun === 'service' && verb === 'rm') return this.#removeService(name)
    if (noun === 'service' && verb === 'logs') return { stdout: 'listening\n', lines: ['listening'] }
    if (noun === 'node' && verb === 'ls')
      return lines(this.nodes.map((node) => (rest.includes('{{.ID}}') ? node : `${node}\tReady`)))
    if (noun === 'node' && verb === 'inspect')
      return { stdout: JSON.stringify(rest.map((node) => inspectNode(node, this))) }
    if (noun === 'network' && filter.startsWith('label=com.docker.stack')) return lines([...this.networks])
    if (noun === 'network' && verb === 'rm' && this.networks.delete(name)) return OK
    if (noun === 'config' || noun === 'secret') return objectAnswer(this.objects[noun], verb, rest)
    return undefined
  }

  /** What runs, one line a service: its tasks that are to run, and what they are made of. */
  view(): string[] {
    return this.services.map(({ id, name, spec }) => {
      const live = this.tasks.filter((task) => task.service === id && task.desired === 'running')
      const settings = Object.entries(spec.environment ?? {}).map(([key, value]) => `${key}=${value}`)
      return [name, ...settings, `×${live.length}`].join(' ')
    })
  }

  /** The containers of a stack, as `docker ps` has them. */
  containers(stack: string): string {
    const rows = this.services
      .filter((service) => service.stack === stack)
      .flatMap(({ id, name }) => this.#live(id).map((task) => `${name}.${task.slot}.${task.id}\trunning\n`))
    return rows.join('')
  }

  ids(name: string): string[] {
    const service = this.services.find((one) => one.name === name)
    return this.tasks.filter((task) => task.service === service?.id && task.desired === 'running').map(({ id }) => id)
  }

  /** Tasks of global services begin on nodes that have come. */
  settle(): void {
    for (const { stack, name, spec } of this.services)
      if (spec.deploy.mode === 'global') this.#put(stack, name, spec, 'again')
  }

  #scale(words: readonly string[]): Answer {
    for (const word of words.filter((one) => !one.startsWith('-'))) {
      const [name = '', count] = word.split('=')
      this.scale(name, Number(count))
    }
    return OK
  }

  #restart(name: string): Answer {
    const service = this.services.find((one) => one.name === name)
    if (service === undefined) return refuse(`service ${name} not found`)
    this.#put(service.stack, name, { ...service.spec, forced: Number(service.spec['forced'] ?? 0) + 1 })
    return OK
  }

  /** As `docker service scale`. */
  scale(name: string, replicas: number): void {
    const service = this.services.find((one) => one.name === name)
    if (service) this.#put(service.stack, name, { ...service.spec, deploy: { ...service.spec.deploy, replicas } })
  }

  #info(): string {
    return [this.isManager, 'n1', this.nodes.length, '', this.isManager ? 'cluster-of-three' : ''].join('\t')
  }

  #of(stack: string | undefined): FakeService[] {
    return this.services.filter((service) => service.stack === stack)
  }

  #list(rest: readonly string[]): Answer {
    const labels = rest.flatMap((word, at) => (rest[at - 1] === '--filter' ? [word.replace(/^label=/, '')] : []))
    const own = this.services.filter(({ stack, spec }) => {
      const has = [
        `com.docker.stack.namespace=${stack}`,
        ...labelsOf(spec).flatMap(([key, value]) => [key, `${key}=${value}`]),
      ]
      return labels.every((label) => has.includes(label))
    })
    return lines(own.map(({ id, name }) => (rest.at(-1) === '{{.Name}}' ? name : id)))
  }

  #psOf(name: string): Answer {
    const service = this.services.find((one) => one.name === name)
    if (service === undefined) return refuse(`no such service: ${name}`)
    const own = this.tasks.filter((task) => task.service === service.id)
    return lines(own.map(({ id, node }) => `${id}\t${node}`))
  }

  #deploy(stack: string, input: string): Answer {
    const file = unescapeDollars(JSON.parse(input), 'keys too') as {
      services: Record<string, Definition>
      networks: Record<string, { name?: string }>
      configs: Record<string, { name: string }>
      secrets: Record<string, { name: string }>
    }
    for (const { name } of Object.values(file.networks)) if (name) this.networks.add(name)
    for (const { name } of Object.values(file.configs)) this.objects.config.set(name, stack)
    for (const { name } of Object.values(file.secrets)) this.objects.secret.set(name, stack)
    for (const [key, spec] of Object.entries(file.services)) this.#put(stack, `${stack}_${key}`, spec)
    return OK
  }

  #put(stack: string, name: string, spec: Definition, again?: 'again'): void {
    const known = this.services.find((one) => one.name === name)
    const isSame = known && JSON.stringify(known.spec) === JSON.stringify(spec)
    if (isSame && !again && !spec.deploy.mode.endsWith('job')) return
    const service = known ?? { id: `s${++this.#count}`, name, stack, spec, iteration: 0, update: undefined }
    if (!known) this.services.push(service)
    service.spec = spec
    service.iteration++
    service.update = undefined
    const places = this.#places(spec)
    for (const place of places) if (!this.#replace(service, place, known)) return
    for (const task of this.#live(service.id)) if (!places.some((place) => isAt(task, place))) task.desired = 'shutdown'
  }

  /** Where its tasks are to run: of a global service one on each node that fits, else one for each replica. */
  #places({ deploy }: Definition): Place[] {
    const { mode, replicas, placement: { constraints = [] } = {} } = deploy
    const labels = constraints.map((one) => one.split(/ *== */))
    const free = this.nodes.filter(
      (node) =>
        !this.drained.has(node) &&
        !this.down.has(node) &&
        labels.every(([key = '', value]) => this.labels[node]?.[key.replace('node.labels.', '')] === value),
    )
    if (mode === 'global') return free.map((node) => ({ slot: 0, node }))
    return Array.from({ length: replicas }, (_, at) => ({ slot: at + 1, node: free[(at + 1) % free.length] ?? '' }))
  }

  #live(service: string): FakeTask[] {
    return this.tasks.filter((task) => task.service === service && task.desired === 'running')
  }

  /** @returns false: the update is paused, because the new task has ended */
  #replace(service: FakeService, place: Place, known: FakeService | undefined): boolean {
    const old = this.#live(service.id).filter((task) => isAt(task, place))
    if (old.some(({ spec }) => JSON.stringify(spec) === JSON.stringify(taskSpec(service.spec)))) return true
    const behaviour = this.behave(service.name.split('_').at(-1) ?? '', service.spec)
    const ends = typeof behaviour === 'object'
    this.tasks.push({
      id: `t${++this.#count}`,
      service: service.id,
      ...place,
      spec: taskSpec(service.spec),
      iteration: service.spec.deploy.mode.endsWith('job') ? service.iteration : 0,
      at: new Date(this.now() + this.#count).toISOString(),
      desired: ends ? 'shutdown' : behaviour === 'completes' ? 'complete' : 'running',
      state: ends ? 'failed' : behaviour === 'completes' ? 'complete' : 'running',
      error: ends ? `"task: non-zero exit (${behaviour.exit})"` : '',
    })
    if (ends && known) service.update = { State: 'paused', Message: 'update paused due to failure' }
    if (!ends) for (const task of old) task.desired = 'shutdown'
    return !ends
  }

  #ps(stack: string): Answer {
    const ids = this.#of(stack).map(({ id }) => id)
    const rows = this.tasks.filter(({ service }) => ids.includes(service))
    if (rows.length === 0) return { code: 1, stderr: `nothing found in stack: ${stack}\n` }
    const word = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
    return lines(
      rows.map(({ id, node, desired, state, error }) =>
        [id, node, word(desired), `${word(state)} 5 seconds ago`, error].join('\t'),
      ),
    )
  }

  #inspectTasks(ids: readonly string[]): Answer {
    const found = this.tasks
      .filter(({ id }) => ids.includes(id))
      .map((task) => ({
        ID: task.id,
        ServiceID: task.service,
        Slot: task.slot,
        Spec: task.spec,
        JobIteration: { Index: task.iteration },
        CreatedAt: task.at,
        Status: {
          State: task.state,
          Err: task.error.replaceAll('"', ''),
          Timestamp: task.at,
          ContainerStatus: { ExitCode: Number(/\((\d+)\)/.exec(task.error)?.[1] ?? 0) },
        },
      }))
    return { stdout: JSON.stringify(found) }
  }

  #inspect(ids: readonly string[]): Answer {
    const found = this.services
      .filter(({ id }) => ids.includes(id))
      .map(({ id, name, spec, iteration, update }) => ({
        ID: id,
        Spec: {
          Name: name,
          Labels: {
            file: JSON.stringify({ ...spec, forced: 0, deploy: { ...spec.deploy, replicas: 0 } }),
            ...Object.fromEntries(labelsOf(spec)),
          },
          TaskTemplate: { ...taskSpec(spec), Placement: { Constraints: spec.deploy.placement?.constraints ?? [] } },
          Mode: spec.deploy.mode.endsWith('job')
            ? { ReplicatedJob: { TotalCompletions: spec.deploy.replicas } }
            : spec.deploy.mode === 'global'
              ? { Global: {} }
              : { Replicated: { Replicas: spec.deploy.replicas } },
        },
        ...(spec.deploy.mode.endsWith('job') ? { JobStatus: { JobIteration: { Index: iteration } } } : {}),
        ...(update ? { UpdateStatus: update } : {}),
      }))
    return { stdout: JSON.stringify(found) }
  }

  #removeService(name: string): Answer {
    const service = this.services.find((one) => one.name === name)
    if (service === undefined) return refuse(`service ${name} not found`)
    this.services = this.services.filter((one) => one !== service)
    this.tasks = this.tasks.filter((task) => task.service !== service.id)
    return OK
  }

  #remove(stack: string): Answer {
    for (const { name } of this.#of(stack)) this.#removeService(name)
    this.networks.clear()
    for (const all of Object.values(this.objects))
      for (const [name, owner] of all) if (owner === stack) all.delete(name)
    return OK
  }
}
