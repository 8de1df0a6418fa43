import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { type ComposeModel, modelText, type Resource, type Service, unescapeDollars } from '../../lib/compose.ts'
import type { Exec, ExecOptions, Result } from '../../lib/exec.ts'
import type { Clock } from '../../lib/gate.ts'
import { answerNetwork, type FakeNetwork, type Plugged } from './fake-networks.ts'
import { addressOf, FakeProxy, type ProxyHost } from './fake-proxy.ts'

/** Milliseconds that the engine's clock is ahead of ours: nothing may hang on it. */
export const ENGINE_AHEAD = 2 * 3_600_000

/** What a container does once it is started. Times are milliseconds. */
export interface Behaviour {
  /** ends by itself with this code, `after` so long */
  readonly exit?: number
  /** until it ends, or until its healthcheck has an opinion */
  readonly after?: number
  /** is started again each time it ends */
  readonly restarts?: boolean
  /** milliseconds from an end to the next start of what recovers; default: a second */
  readonly pause?: number
  /** so often, a `pause` after each end; then it stays, and its healthcheck has the opinion `after` that */
  readonly recovers?: number
  /** what its healthcheck says, if the service has one; `never` makes up its mind */
  readonly health?: 'healthy' | 'unhealthy' | 'never'
  readonly logs?: string
  readonly oom?: boolean
  /** what the engine says instead of starting it */
  readonly refuses?: string
}

export interface FakeContainer extends Plugged {
  readonly service: string
  readonly project: string
  readonly image: string
  readonly definition: Service
  readonly hash: string
  /** the file of the model that it was made from */
  readonly file: string
  /** what Compose was told is the project folder */
  readonly folder: string
  readonly behaviour: Behaviour
  /** the container whose network it shares */
  readonly joined: string | undefined
  /** what it writes outside of named volumes; Compose hands it on when it replaces a container */
  readonly anonymous: string
  state: 'created' | 'started' | 'stopped'
  startedAt: number
}

interface FakeImage {
  readonly id: string
  readonly content: string
  readonly labels: Readonly<Record<string, string>>
  readonly volumes: boolean
  /** default: linux/amd64 */
  readonly platform?: string
}

/** Everything that lasts on an engine. Plain values, so that a test can keep a copy and come back to it. */
export interface EngineState {
  containers: FakeContainer[]
  /** by id */
  images: Record<string, FakeImage>
  /** id by reference */
  tags: Record<string, string>
  networks: Record<string, FakeNetwork>
  /** labels of volumes that say whose a project is, by name */
  owners: Record<string, Record<string, string>>
  /** names of volumes that hold data */
  volumes: string[]
  proxy: ProxyHost
  count: number
  now: number
}

/** How a command that a test lets fail leaves the engine: as it was, halfway, or as if it had succeeded. */
export type Damage = 'none' | 'half' | 'all'

export interface Failure {
  readonly damage: Damage
  readonly result?: Partial<Result>
}

interface Status {
  readonly status: string
  readonly code: number
  readonly health: string
  /** how often it was started again */
  readonly count: number
  /** milliseconds from its first start to its last one */
  readonly since?: number
}

/** A model, and the file that it was read from. */
type Source = { readonly model: ComposeModel; readonly file: string; readonly folder: string }

/** What `up` is to bring about for one service. */
type Convergence = { definition: Service; wanted: number; anew: boolean; half: boolean; noStart: boolean }

type Answer = Partial<Result> & { readonly lines?: readonly string[] }

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
      count: 0,
      now: Date.UTC(2026, 10, 22, 8),
    },
    proxy: { boxes: [], volume: undefined, loaded: undefined },
  }
  readonly proxy = new FakeProxy(this)
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
  /** changes what is in an image besides its content: a label of whoever built it */
  buildLabels: Record<string, string> = {}
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
    const damage = planned?.damage
    const answer = damage === 'none' ? {} : this.#answer(argv, options, damage === 'half')
    if (planned) return ended(argv, { code: 1, stderr: 'Error response from daemon: injected', ...planned.result })
    for (const line of answer.lines ?? []) options.onLine?.(line)
    const merged = { stdout: `${answer.stdout ?? ''}${answer.stderr ?? ''}`, stderr: '' }
    return ended(argv, options.merge ? { ...answer, ...merged } : answer)
  }

  /** `docker compose config` and what follows from it for one environment's name. */
  #hang(argv: readonly string[], options: ExecOptions): Promise<Result> {
    const { signal, timeout } = options
    return new Promise((resolve) => {
      if (timeout !== undefined) {
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
    const ofProxy = this.proxy.respond(args, options.input, half)
    if (ofProxy) return ofProxy
    if (first === 'compose') return this.#compose(args.slice(1), options, half)
    if (first === 'version') return { stdout: 'linux/amd64\n' }
    if (first === 'ps') return this.#ps(args)
    if (first === 'container' && second === 'inspect') return this.#inspectContainers(rest)
    if (first === 'image' && second === 'inspect') return this.#inspectImages(rest)
    if (first === 'image' && second === 'ls') return this.#listImages(rest)
    if (first === 'rmi') return this.#untag(second)
    if (first === 'tag') return this.#tag(second, rest[0] ?? '')
    if (first === 'pull')
      return half ? {} : this.#pull(args.at(-1) ?? '', args[1] === '--platform' ? args[2] : undefined)
    if (first === 'push') return this.#push(second)
    if (first === 'info' && args[2]?.includes('{{.Name}}')) return this.#name(args[2])
    if (first === 'context') return { stdout: `${this.endpoint}\n` }
    if (first === 'info') return { stdout: `${new Date(this.state.now + ENGINE_AHEAD).toISOString()}\n` }
    if (first === 'events') return {} // nothing here is on its way
    if (first === 'logs') return this.#logs(args.filter((word) => word !== '--follow'))
    if (first === 'volume') return this.#volume(second, rest)
    if (first === 'network') return answerNetwork(this, second, rest)
    if (first === 'stop' || first === 'start' || first === 'rm') {
      const ids = args.slice(1).filter((word) => !word.startsWith('-'))
      return this.#each(first, half ? ids.slice(0, 1) : ids)
    }
    throw new Error(`the fake engine does not know: ${argv.join(' ')}`)
  }

  #name(format: string): Answer {
    return { stdout: format.includes('.ID') ? `id of ${this.machine}\t${this.machine}\n` : `${this.machine}\n` }
  }

  #volume(what: string, words: readonly string[]): Answer {
    const name = words.at(-1) ?? ''
    if (what === 'inspect')
      return this.state.volumes.includes(name)
        ? { stdout: '[{}]\n' }
        : { code: 1, stderr: `Error response from daemon: get ${name}: no such volume` }
    if (what === 'create') {
      const labels = words.slice(0, -1).filter((word) => word !== '--label')
      this.state.owners[name] ??= Object.fromEntries(labels.map((label) => label.split('=') as [string, string]))
    } else if (what === 'rm') delete this.state.owners[name]
    else {
      const ours = Object.entries(this.state.owners).filter(([, labels]) => 'stagecraft.root' in labels)
      const rows = ours.map(([volume, labels]) =>
        [volume, ...['host', 'root', 'environment'].map((key) => labels[`stagecraft.${key}`])].join('\t'),
      )
      return { stdout: rows.map((row) => `${row}\n`).join('') }
    }
    return { stdout: `${name}\n` }
  }

  // Compose

  #compose(args: readonly string[], options: ExecOptions, half: boolean): Answer {
    const { flags, command, rest } = parseCompose(args)
    const project = flags.get('-p')?.[0]
    const file = flags.get('-f')?.[0]
    const folder = flags.get('--project-directory')?.[0] ?? ''
    if (command === 'config' && rest[0] === '--hash') return hashes(readModel(file, options))
    if (command === 'config') return this.#config(file === '-' ? readModel(file, options) : undefined, project)
    if (command === 'build') return half ? {} : this.#build(readModel(file, options), namesAfterDashes(rest))
    if (command === 'up')
      return this.#up({ model: readModel(file, options), file: file ?? '', folder }, project ?? '', rest, half)
    throw new Error(`the fake engine does not know: docker compose ${args.join(' ')}`)
  }

  #config(given: ComposeModel | undefined, project: string | undefined): Answer {
    if (given) return this.#interpolate(given)
    if (this.model === undefined) return { code: 15, stderr: 'services.web Additional property imge is not allowed' }
    return { stdout: modelText(renameProject(this.model, project ?? this.model.name)) }
  }

  #interpolate(model: ComposeModel): Answer {
    const environment: Record<string, string> = {}
    for (const name of Object.keys(model.services['variables']?.environment ?? {})) {
      const value = this.variables[name]
      if (value === undefined)
        return { code: 15, stderr: `required variable ${name} is missing a value: the variable is not set` }
      environment[name] = value
    }
    return { stdout: modelText({ name: 'x', services: { variables: { environment } } }) }
  }

  #build(model: ComposeModel, services: readonly string[]): Answer {
    const lines: string[] = []
    for (const service of services.filter((word) => word !== '--')) {
      const { image = '', build } = model.services[service] ?? {}
      const content = this.sources[service]
      if (content === undefined) {
        lines.push(`#7 ERROR: failed to build ${service}`)
        return { code: 17, stderr: lines.join('\n'), lines }
      }
      const id = this.addImage(image, content, this.buildLabels)
      for (const tag of build?.tags ?? []) this.state.tags[tag] = id
      lines.push(`#7 naming to ${image}`)
    }
    return { lines }
  }

  #up({ model, file, folder }: Source, project: string, words: readonly string[], half: boolean): Answer {
    const { services, scales, anew, noStart } = parseUp(words)
    if (project !== model.name) throw new Error(`-p ${project}, but the model is of ${model.name}`)
    for (const service of half ? services.slice(0, 1) : services) {
      const definition = model.services[service]
      if (definition === undefined) return { code: 1, stderr: `no such service: ${service}` }
      const wrong = this.#ensureResources(model, definition)
      if (wrong !== undefined) return { code: 1, stderr: wrong }
      const wanted = scales.get(service) ?? definition.scale ?? definition.deploy?.replicas ?? 1
      const error = this.#converge({ model, file, folder }, service, { definition, wanted, anew, half, noStart })
      if (error !== undefined) return { code: 1, stderr: `Error response from daemon: ${error}` }
    }
    return { stderr: ` Container ${project} Started\n` }
  }

  /** @returns what is wrong. As Compose 2.40 does, not 2.26: a network that is not as the model says is refused. */
  #ensureResources(model: ComposeModel, service: Service): string | undefined {
    for (const name of this.#networksOf(model, service)) {
      const [key] = Object.entries(model.networks ?? {}).find(([, network]) => network?.name === name) ?? []
      const network = model.networks?.[key ?? '']
      const definition = JSON.stringify(network ?? {})
      const there = this.state.networks[name]
      if (network?.external && !there) return `network ${name} declared as external, but could not be found`
      if (there && !network?.external && there.definition !== definition)
        return `network ${name} was found but has to be recreated`
      if (!there) this.state.networks[name] = { project: model.name, definition }
    }
    for (const mount of service.volumes ?? []) {
      const volume = model.volumes?.[mount.source ?? '']
      const name = volume?.name ?? `${model.name}_${mount.source}`
      if (mount.type === 'volume' && mount.source && !this.state.volumes.includes(name)) this.state.volumes.push(name)
      if (mount.type === 'bind' && mount.bind?.['create_host_path'] !== true && !existsSync(mount.source ?? ''))
        return `bind source path does not exist: ${mount.source}`
    }
    for (const kind of ['configs', 'secrets'] as const)
      for (const { source } of service[kind] ?? []) {
        const file = model[kind]?.[source]
        if (file === undefined || !existsSync(file.file ?? '')) return `${kind}: ${source} has no file`
      }
    return undefined
  }

  #networksOf(model: ComposeModel, service: Service): string[] {
    return Object.keys(service.networks ?? {}).map((key) => model.networks?.[key]?.name ?? `${model.name}_${key}`)
  }

  #converge(
    { model, file, folder }: Source,
    service: string,
    { definition, wanted, anew, half, noStart }: Convergence,
  ): string | undefined {
    const there = this.containersOf(model.name).filter((container) => container.service === service)
    const surplus = there.slice(wanted)
    this.#each(
      'rm',
      surplus.map(({ id }) => id),
    )
    for (const old of there.slice(0, wanted)) {
      if (!anew) {
        if (!noStart) this.#start(old)
        continue
      }
      const made = this.#create({ model, file, folder }, service, definition, old)
      if (typeof made === 'string') return made
      this.#each('rm', [old.id])
      if (half) return 'stopped halfway'
      const error = this.#start(made)
      if (error !== undefined) return error
    }
    for (let number = there.length; number < wanted; number++) {
      const made = this.#create({ model, file, folder }, service, definition, undefined)
      if (typeof made === 'string') return made
      if (half) return 'stopped halfway'
      const error = noStart ? undefined : this.#start(made)
      if (error !== undefined) return error
    }
    return undefined
  }

  #create(
    { model, file, folder }: Source,
    service: string,
    definition: Service,
    old: FakeContainer | undefined,
  ): FakeContainer | string {
    const image = this.state.tags[definition.image ?? ''] ?? definition.image ?? ''
    const found = this.state.images[image]
    if (found === undefined) return `No such image: ${definition.image}`
    const owner = /^service:(.+)$/.exec(definition.network_mode ?? '')?.[1]
    const joined = owner && this.containersOf(model.name).find((container) => container.service === owner)?.id
    if (owner && !joined) return `cannot join network of a non running container`
    const id = createHash('sha256')
      .update(`container ${++this.state.count}`)
      .digest('hex')
    const taken = new Set(this.containersOf(model.name).map(({ name }) => name))
    let number = 1
    while (taken.has(`${model.name}-${service}-${number}`)) number++
    const container: FakeContainer = {
      id,
      name: definition.container_name ?? old?.name ?? `${model.name}-${service}-${number}`,
      service,
      project: model.name,
      image,
      definition,
      ...{ file, folder },
      // Compose hashes the id of the container that `service:x` comes to.
      hash: configHash(joined ? { ...definition, network_mode: `container:${joined}` } : definition),
      behaviour: this.behave({ service, content: found.content, definition }) ?? commandOf(definition),
      ...{ networks: this.#networksOf(model, definition), aliases: {} },
      joined: joined || undefined,
      anonymous: old?.anonymous ?? `volume of ${id.slice(0, 6)}`,
      state: 'created',
      startedAt: 0,
    }
    for (const [at, network] of container.networks.entries())
      container.aliases[network] = [container.name, service, ...aliasesOf(Object.values(definition.networks ?? {})[at])]
    this.state.containers.push(container)
    return container
  }

  #start(container: FakeContainer): string | undefined {
    if (this.statusOf(container).status === 'running') return undefined
    if (container.behaviour.refuses !== undefined) return container.behaviour.refuses
    const gone = container.networks.find((name) => this.state.networks[name] === undefined)
    if (gone !== undefined) return `network ${gone} not found`
    const owner = this.state.containers.find(({ id }) => id === container.joined)
    if (owner && this.statusOf(owner).status !== 'running') return 'cannot join network of a non running container'
    const taken = this.#takenPort(container)
    if (taken !== undefined) return `Bind for 0.0.0.0:${taken} failed: port is already allocated`
    container.state = 'started'
    container.startedAt = this.state.now
    return undefined
  }

  #takenPort(container: FakeContainer): string | undefined {
    const proxied = this.state.proxy.boxes.some(({ state }) => state === 'running') ? ['80', '443'] : []
    return portsOf(container).find((port) => proxied.includes(port) || this.publishes(port))
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

  // Containers

  containersOf(project: string): FakeContainer[] {
    return this.state.containers.filter((container) => container.project === project)
  }

  /** What `docker inspect` would say now of a container's state. */
  statusOf({ state, behaviour, startedAt, definition }: FakeContainer): Status {
    const { exit, after = 0, restarts, health = 'healthy' } = behaviour
    const elapsed = this.state.now - startedAt
    const check = definition.healthcheck?.test !== undefined
    if (state !== 'started')
      return { status: state === 'stopped' ? 'exited' : 'created', code: 0, health: '', count: 0 }
    if (behaviour.recovers !== undefined) return recovering(behaviour, behaviour.recovers, elapsed, check)
    if (exit === undefined || elapsed < after) {
      const opinion = health === 'never' || elapsed < after ? 'starting' : health
      return { status: 'running', code: 0, health: check ? opinion : '', count: 0 }
    }
    if (restarts) return { status: 'restarting', code: exit, health: check ? 'starting' : '', count: 3 }
    return { status: 'exited', code: exit, health: check ? 'unhealthy' : '', count: 0 }
  }

  /** Each container: its name, Compose project and service, and what it publishes. */
  #everybody(): string {
    const rows = this.state.containers.map((one) => {
      const ports = this.isRunning(one) ? portsOf(one).map((port) => `0.0.0.0:${port}->80/tcp`) : []
      return [one.name, one.project, one.service, ports.join(', ')]
    })
    const proxies = this.state.proxy.boxes.map((box) => {
      return [box.name, '', '', box.state === 'running' ? '0.0.0.0:80->80/tcp, 0.0.0.0:443->443/tcp' : '']
    })
    return [...rows, ...proxies].map((row) => `${row.join('\t')}\n`).join('')
  }

  #ps(args: readonly string[]): Answer {
    const network = args.find((word) => word.startsWith('network='))?.slice('network='.length)
    if (network !== undefined) {
      const on = this.plugged().filter(({ networks }) => networks.includes(network))
      const rows = on.map((one) => `${one.id}\t${one.name}\t${'project' in one ? one.project : ''}\n`)
      return { stdout: rows.join('') }
    }
    if (args[1] === '-a') return { stdout: this.#everybody() }
    const project = args.find((word) => word.startsWith('label='))?.replace('label=com.docker.compose.project=', '')
    const ids = this.containersOf(project ?? '').map(({ id }) => `${id}\n`)
    return { stdout: ids.join('') }
  }

  #inspectContainers(ids: readonly string[]): Answer {
    const known = ids.flatMap((id) => this.state.containers.find((container) => container.id === id) ?? [])
    const missing = ids.filter((id) => !known.some((container) => container.id === id))
    const stdout = JSON.stringify(known.map((container) => this.#inspected(container)))
    if (missing.length === 0) return { stdout }
    return {
      code: 1,
      stdout,
      stderr: missing.map((id) => `Error response from daemon: No such container: ${id}`).join('\n'),
    }
  }

  #inspected(container: FakeContainer) {
    const { id, name, image, service, project, hash, behaviour, definition, networks } = container
    const { status, code, health, count, since = 0 } = this.statusOf(container)
    return {
      Id: id,
      Name: `/${name}`,
      Image: image,
      RestartCount: count,
      Mounts: anonymousMounts(container, this.state.images[image]?.volumes === true),
      Config: {
        Labels: {
          'com.docker.compose.project': project,
          'com.docker.compose.service': service,
          'com.docker.compose.config-hash': hash,
          'com.docker.compose.project.config_files': container.file,
          'com.docker.compose.project.working_dir': container.folder,
          'com.docker.compose.oneoff': 'False',
        },
        ...(definition.healthcheck ? { Healthcheck: { Test: definition.healthcheck.test } } : {}),
      },
      NetworkSettings: {
        Networks: Object.fromEntries(
          networks.map((name) => [
            name,
            { Aliases: container.aliases[name], IPAddress: status === 'running' ? addressOf(container) : '' },
          ]),
        ),
      },
      HostConfig: { NetworkMode: container.joined ? `container:${container.joined}` : 'default', IpcMode: 'private' },
      State: {
        Status: status,
        ExitCode: code,
        OOMKilled: behaviour.oom === true && code !== 0,
        Error: behaviour.refuses ?? '',
        StartedAt: new Date(container.startedAt + since + ENGINE_AHEAD).toISOString(),
        ...(health ? { Health: { Status: health, Log: [{ Output: `the probe says ${health}\n` }] } } : {}),
      },
    }
  }

  #logs(args: readonly string[]): Answer {
    const container = this.state.containers.find(({ id }) => id === args.at(-1))
    if (container === undefined) return { code: 1, stderr: 'Error response from daemon: No such container' }
    const lines = (container.behaviour.logs ?? '').split('\n').filter(Boolean)
    const last = lines.slice(-Number(args[args.indexOf('--tail') + 1]))
    return { stdout: last.map((line) => `${line}\n`).join('') }
  }

  /** As the CLI does: what goes wrong with one does not keep it from the others. */
  #each(verb: 'stop' | 'start' | 'rm', ids: readonly string[]): Answer {
    const wrong = ids.flatMap((id) => this.#act(verb, id) ?? [])
    const stderr = wrong.map((said) => `Error response from daemon: ${said}\n`).join('')
    return { code: wrong.length > 0 ? 1 : 0, stdout: ids.map((id) => `${id}\n`).join(''), stderr }
  }

  #act(verb: 'stop' | 'start' | 'rm', id: string): string | undefined {
    const container = this.state.containers.find((candidate) => candidate.id === id)
    if (container === undefined) return `No such container: ${id}`
    if (verb === 'start') return this.#start(container)
    if (verb === 'stop' && container.state === 'started') container.state = 'stopped'
    if (verb === 'rm') this.state.containers = this.state.containers.filter((candidate) => candidate !== container)
    return undefined
  }

  // Images

  /** An image of this content, under this name. @returns its id, which follows from content and labels */
  addImage(name: string, content: string, labels: Readonly<Record<string, string>> = {}, platform?: string): string {
    const id = `sha256:${createHash('sha256')
      .update(JSON.stringify([content, labels, ...(platform ? [platform] : [])]))
      .digest('hex')}`
    const volumes = this.withVolume.has(content)
    this.state.images[id] = { id, content, labels, volumes, ...(platform ? { platform } : {}) }
    this.state.tags[name] = id
    return id
  }

  #inspectImages(names: readonly string[]): Answer {
    const found = names.map((name) => this.state.images[this.state.tags[name] ?? name])
    const inspected = found.flatMap((image) => (image ? [this.#inspectedImage(image)] : []))
    const missing = names.filter((_, at) => found[at] === undefined)
    if (missing.length === 0) return { stdout: JSON.stringify(inspected) }
    const lines = missing.map((name) => `Error response from daemon: No such image: ${name}`)
    return { code: 1, stdout: JSON.stringify(inspected), stderr: lines.join('\n') }
  }

  #inspectedImage({ id, content, labels, volumes, platform = 'linux/amd64' }: FakeImage) {
    const names = Object.keys(this.state.tags).filter((name) => this.state.tags[name] === id)
    return {
      Id: id,
      RepoTags: names.filter((name) => !name.includes('@')),
      RepoDigests: names.filter((name) => name.includes('@')),
      Os: platform.split('/')[0],
      Architecture: platform.split('/')[1],
      RootFS: { Layers: [`layer of ${content}`] },
      Config: { Cmd: [content], Labels: labels, ...(volumes ? { Volumes: { '/data': {} } } : {}) },
    }
  }

  #listImages(flags: readonly string[]): Answer {
    const format = '{{.Repository}}:{{.Tag}} {{.ID}}'
    if (flags.join(' ') !== `--no-trunc --format ${format}`) throw new Error(`unexpected: image ls ${flags.join(' ')}`)
    const lines = Object.entries(this.state.tags).map(([name, id]) => {
      return name.includes('@') ? `${name.replace(/@.*/, '')}:<none> ${id}\n` : `${name} ${id}\n`
    })
    return { stdout: lines.join('') }
  }

  /** A repository's digests go with the last tag in it, the image with its last name. */
  #untag(tag: string): Answer {
    const { tags, images, containers } = this.state
    const id = tags[tag]
    if (id === undefined) return { code: 1, stderr: `Error response from daemon: No such image: ${tag}` }
    const names = Object.keys(tags).filter((name) => tags[name] === id && name !== tag)
    const used = containers.some(({ image }) => image === id)
    if (used && !names.some((name) => !name.includes('@')))
      return { code: 1, stderr: `Error response from daemon: conflict: unable to remove repository reference "${tag}"` }
    delete tags[tag]
    const repository = (name: string) => name.replace(/@.*|:[^/:]*$/, '')
    const inUse = new Set(names.filter((name) => !name.includes('@')).map(repository))
    const loose = names.filter((name) => name.includes('@') && !inUse.has(repository(name)))
    for (const name of loose) delete tags[name]
    if (names.length === loose.length) delete images[id]
    return { stdout: `Untagged: ${tag}\n` }
  }

  #tag(from: string, to: string): Answer {
    const id = this.state.tags[from] ?? from
    if (this.state.images[id] === undefined)
      return { code: 1, stderr: `Error response from daemon: No such image: ${from}` }
    this.state.tags[to] = id
    return {}
  }

  #pull(name: string, platform: string | undefined): Answer {
    const content = this.registry[name]
    if (content === undefined)
      return { code: 1, stderr: `Error response from daemon: manifest for ${name} not found: manifest unknown` }
    const id = this.addImage(name, content, {}, platform)
    this.state.tags[`${name.replace(/:[^/:]*$/, '')}@sha256:${digestOf(content)}`] = id
    return { lines: [`${name}: Pulling`, `Status: Downloaded newer image for ${name}`] }
  }

  #push(name: string): Answer {
    const image = this.state.images[this.state.tags[name] ?? '']
    if (image === undefined) return { code: 1, stderr: `An image does not exist locally with the tag: ${name}` }
    const line = `v1: digest: sha256:${digestOf(image.content)} size: 528`
    return { stdout: `${line}\n`, lines: [line] }
  }

  // For tests

  /** Comes back to a copy of `state`, and forgets what was asked. */
  restore(state: EngineState): void {
    this.state = structuredClone(state)
    this.calls = []
    this.intercept = () => undefined
  }

  /** The containers in words, one line each: what runs, of what, plugged into what. Without ids. */
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
    /^docker (version|info|context inspect|ps|container inspect|image (inspect|ls)|logs|volume (inspect|ls)|network (inspect|ls)|compose.* config|run --rm) /
  return (
    asking.test(`${argv.join(' ')} `) ||
    argv.some((word) => /^stagecraft-(read|in-flight|drained|probe|ask)$/.test(word))
  )
}

/** Scripts and configurations are long. */
function shortWord(word: string): string {
  return word.includes('\n') || word.length > 200 ? '…' : word
}

/** A volume without a name, as the definition has one or the image declares it. */
function anonymousMounts({ definition, anonymous }: FakeContainer, declared: boolean) {
  const paths = (definition.volumes ?? []).flatMap((one) => (one.type === 'volume' && !one.source ? [one.target] : []))
  const name = createHash('sha256').update(anonymous).digest('hex')
  return [...paths, ...(declared ? ['/data'] : [])].map((Destination) => ({ Type: 'volume', Name: name, Destination }))
}

function portsOf({ definition }: FakeContainer): string[] {
  return (definition.ports ?? []).flatMap(({ published }) => published ?? [])
}

function aliasesOf(settings: unknown): string[] {
  const aliases = typeof settings === 'object' && settings !== null && 'aliases' in settings ? settings.aliases : []
  return Array.isArray(aliases) ? aliases.map(String) : []
}

function ended(argv: readonly string[], { lines: _lines, ...answer }: Answer): Result {
  return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...answer }
}

const COMPOSE_FLAGS = ['--progress', '-p', '--project-directory', '--env-file', '-f']

function parseCompose(args: readonly string[]) {
  const flags = new Map<string, string[]>()
  let at = 0
  while (COMPOSE_FLAGS.includes(args[at] ?? '')) {
    const flag = args[at] ?? ''
    flags.set(flag, [...(flags.get(flag) ?? []), args[at + 1] ?? ''])
    at += 2
  }
  return { flags, command: args[at] ?? '', rest: args.slice(at + 1) }
}

/** @param elapsed milliseconds since its first start */
function recovering(
  { exit = 1, after = 0, health = 'healthy', pause = 1_000 }: Behaviour,
  times: number,
  elapsed: number,
  check: boolean,
): Status {
  const round = Math.min(times, Math.floor(elapsed / (after + pause)))
  const since = round * (after + pause)
  const isUp = round === times || elapsed - since < after
  if (!isUp) return { status: 'restarting', code: exit, health: check ? 'unhealthy' : '', count: round + 1, since }
  const opinion = health === 'never' || elapsed - since < after ? 'starting' : health
  return { status: 'running', code: 0, health: check ? opinion : '', count: round, since }
}

/** Stagecraft's one way to call `up`: whatever else there is would be a mistake. */
function parseUp(words: readonly string[]) {
  const rest = [...words]
  const noStart = rest[0] === '--no-start'
  const expected = [noStart ? '--no-start' : '-d', '--no-deps', '--no-build', '--pull', 'never']
  if (expected.some((word, index) => rest[index] !== word)) throw new Error(`unexpected: up ${words.join(' ')}`)
  const how = rest[expected.length] ?? ''
  if (!['--force-recreate', '--no-recreate'].includes(how)) throw new Error(`unexpected: up ${words.join(' ')}`)
  const scales = new Map<string, number>()
  let at = expected.length + 1
  for (; rest[at] === '--scale'; at += 2) {
    const [service = '', count] = (rest[at + 1] ?? '').split('=')
    scales.set(service, Number(count))
  }
  return { services: namesAfterDashes(rest.slice(at)), scales, anew: how === '--force-recreate', noStart }
}

/** A service may be called like a flag: names stand after `--`. */
function namesAfterDashes([dashes, ...names]: readonly string[]): string[] {
  if (dashes !== '--' || names.length === 0)
    throw new Error(`not -- and names of services: ${dashes} ${names.join(' ')}`)
  return names
}

/** What Compose acts on has nothing left to build, to order or to interpolate; what it only reads may have. */
function readModel(file: string | undefined, options: ExecOptions): ComposeModel {
  const text = file === '-' ? (options.input ?? '') : readFileSync(file ?? '', 'utf8')
  const model = unescapeDollars(JSON.parse(text)) as ComposeModel // our own models, printed by the code under test
  for (const [name, service] of Object.entries(model.services))
    for (const key of ['build', 'depends_on', 'profiles', 'develop', 'pull_policy'])
      if (file !== '-' && key in service) throw new Error(`${name} has ${key} in the model that Compose acts on`)
  return model
}

function hashes(model: ComposeModel): Answer {
  const lines = Object.entries(model.services).map(([name, service]) => `${name} ${configHash(service)}\n`)
  return { stdout: lines.join('') }
}

/** Over what Compose 2.26 hashes: not build, pull_policy and the number of replicas. */
export function configHash(service: Service): string {
  const { build: _build, pull_policy: _policy, scale: _scale, deploy, ...rest } = service
  const { replicas: _replicas, ...deployment } = deploy ?? {}
  return createHash('sha256')
    .update(JSON.stringify({ ...rest, ...(deploy ? { deploy: deployment } : {}) }))
    .digest('hex')
}

/** `command: ['exit', '3']` does that. */
function commandOf({ command }: Service): Behaviour {
  const [word, code] = Array.isArray(command) ? command : []
  return word === 'exit' ? { exit: Number(code ?? 0) } : {}
}

function digestOf(content: string): string {
  return createHash('sha256').update(`digest of ${content}`).digest('hex')
}

/** A model as `docker compose config` prints it: every network and volume named, every service on a network. */
export function composeModel(name: string, parts: Omit<ComposeModel, 'name'>): ComposeModel {
  const named = (resources: ComposeModel['networks']) =>
    Object.fromEntries(
      Object.entries(resources ?? {}).map(([key, resource]) => [key, { name: `${name}_${key}`, ...resource }]),
    )
  const services = Object.entries(parts.services).map(([key, service]): [string, Service] => [
    key,
    { command: null, entrypoint: null, ...(service.network_mode ? {} : { networks: { default: null } }), ...service },
  ])
  return {
    name,
    services: Object.fromEntries(services),
    networks: named({ default: { ipam: {} }, ...parts.networks }),
    ...(parts.volumes ? { volumes: named(parts.volumes) } : {}),
    ...(parts.configs ? { configs: named(parts.configs) } : {}),
    ...(parts.secrets ? { secrets: named(parts.secrets) } : {}),
  }
}

/** The same files under another project name. */
function renameProject(model: ComposeModel, name: string): ComposeModel {
  const renamed = (resources: ComposeModel['networks']) =>
    Object.fromEntries(
      Object.entries(resources ?? {}).map(([key, resource]): [string, Resource] => [
        key,
        resource?.name === `${model.name}_${key}` ? { ...resource, name: `${name}_${key}` } : { ...resource },
      ]),
    )
  const kinds = ['networks', 'volumes', 'configs', 'secrets'] as const
  const present = kinds.filter((kind) => model[kind] !== undefined)
  return { ...model, name, ...Object.fromEntries(present.map((kind) => [kind, renamed(model[kind])])) }
}
