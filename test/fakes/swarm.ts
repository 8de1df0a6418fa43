import { unescapeDollars } from '../../lib/compose/load.ts'
import { type Answer, OK, refuse } from './answer.ts'

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

/** A service in a file for `docker stack deploy`, as far as the fake knows it. */
type Definition = Readonly<Record<string, unknown>> & {
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly deploy: {
    readonly mode: string
    readonly replicas: number
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly environment?: Readonly<Record<string, string>>
}

/** A Swarm of three nodes that does at once what it is asked for: it only knows tasks that run and tasks that end. */
export class FakeSwarm {
  isManager = true
  nodes = ['n1', 'n2', 'n3']
  /** those that Swarm does not hear from */
  down = new Set<string>()
  labels: Readonly<Record<string, Readonly<Record<string, string>>>> = {}
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
    if (noun === 'service' && verb === 'rm') return this.#removeService(name)
    if (noun === 'service' && verb === 'logs') return { stdout: 'listening\n', lines: ['listening'] }
    if (noun === 'node' && verb === 'inspect') return { stdout: JSON.stringify(rest.map((node) => this.#node(node))) }
    if (noun === 'node' && rest.includes('{{.ID}}')) return lines(this.nodes)
    if (noun === 'node' && verb === 'ls') return lines(this.nodes.map((node) => `${node}\tReady`))
    if (noun === 'network' && filter.startsWith('label=com.docker.stack')) return lines([...this.networks])
    if (noun === 'network' && verb === 'rm' && this.networks.delete(name)) return OK
    if (noun === 'config' || noun === 'secret') return this.#object(this.objects[noun], verb, rest)
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

  /** As `docker service scale`. */
  scale(name: string, replicas: number): void {
    const service = this.services.find((one) => one.name === name)
    if (service) this.#put(service.stack, name, { ...service.spec, deploy: { ...service.spec.deploy, replicas } })
  }

  #info(): string {
    return [this.isManager, 'n1', this.nodes.length, '', this.isManager ? 'cluster-of-three' : ''].join('\t')
  }

  #node(name: string): object {
    return {
      ID: name,
      Spec: { Role: name === 'n1' ? 'manager' : 'worker', Availability: 'active', Labels: this.labels[name] ?? {} },
      Description: { Hostname: name, Platform: { OS: 'linux', Architecture: 'x86_64' } },
      Status: { State: this.down.has(name) ? 'down' : 'ready' },
    }
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

  #put(stack: string, name: string, spec: Definition): void {
    const known = this.services.find((one) => one.name === name)
    if (known && JSON.stringify(known.spec) === JSON.stringify(spec) && !spec.deploy.mode.endsWith('job')) return
    const service = known ?? { id: `s${++this.#count}`, name, stack, spec, iteration: 0, update: undefined }
    if (!known) this.services.push(service)
    service.spec = spec
    service.iteration++
    service.update = undefined
    for (let slot = 1; slot <= spec.deploy.replicas; slot++) if (!this.#replace(service, slot, known)) return
    for (const task of this.#live(service.id)) if (task.slot > spec.deploy.replicas) task.desired = 'shutdown'
  }

  #live(service: string): FakeTask[] {
    return this.tasks.filter((task) => task.service === service && task.desired === 'running')
  }

  /** @returns false: the update is paused, because the new task has ended */
  #replace(service: FakeService, slot: number, known: FakeService | undefined): boolean {
    const old = this.#live(service.id).filter((task) => task.slot === slot)
    if (old.some(({ spec }) => JSON.stringify(spec) === JSON.stringify(taskSpec(service.spec)))) return true
    const behaviour = this.behave(service.name.split('_').at(-1) ?? '', service.spec)
    const ends = typeof behaviour === 'object'
    this.tasks.push({
      id: `t${++this.#count}`,
      service: service.id,
      slot,
      node: this.nodes[slot % this.nodes.length] ?? '',
      spec: taskSpec(service.spec),
      iteration: service.iteration,
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
            file: JSON.stringify({ ...spec, deploy: { ...spec.deploy, replicas: 0 } }),
            ...Object.fromEntries(labelsOf(spec)),
          },
          TaskTemplate: taskSpec(spec),
          Mode: spec.deploy.mode.endsWith('job')
            ? { ReplicatedJob: { TotalCompletions: spec.deploy.replicas } }
            : { Replicated: { Replicas: spec.deploy.replicas } },
        },
        JobStatus: { JobIteration: { Index: iteration } },
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

  #object(all: Map<string, string>, verb: string, rest: readonly string[]): Answer {
    const flags = rest.flatMap((word, at) => (rest[at - 1] === '--label' ? [word] : []))
    if (verb === 'create') all.set(rest.at(-2) ?? '', flags.join('\t'))
    if (verb === 'rm') for (const name of rest) all.delete(name)
    const [, label = ''] = /^label=(.*)$/.exec(rest[1] ?? '') ?? []
    const isStack = label.startsWith('com.docker.stack')
    const own = [...all].filter(([, owner]) => (isStack ? label.endsWith(`=${owner}`) : owner.includes(label)))
    if (verb !== 'ls') return OK
    const values = (owner: string) => owner.split('\t').map((each) => each.slice(each.indexOf('=') + 1))
    return lines(own.map(([name, owner]) => (isStack ? name : [name, ...values(owner)].join('\t'))))
  }
}

/** Those of the service, not of its tasks. */
function labelsOf({ deploy }: Definition): [string, string][] {
  return Object.entries(deploy.labels ?? {})
}

function taskSpec({ deploy: _, ...spec }: Definition): object {
  return {
    ContainerSpec: { Image: spec.image, Labels: spec.labels, Env: spec.environment, Rest: JSON.stringify(spec) },
  }
}

function lines(all: readonly string[]): Answer {
  return { stdout: all.map((line) => `${line}\n`).join('') }
}
