import { createHash } from 'node:crypto'
import { PROXY_FOLDER } from '../../lib/caddy-config.ts'
import type { Exec } from '../../lib/exec.ts'
import {
  APPLY,
  ASK,
  CHECK,
  DRAINED,
  FORGET,
  IN_FLIGHT,
  MAINTENANCE_OFF,
  MAINTENANCE_ON,
  PROBE,
  READ,
  START,
  SWITCH,
} from '../../lib/proxy-scripts.ts'
import { PROXY, PROXY_NETWORK, type ProjectRoutes, routeNetwork } from '../../lib/routes.ts'
import { askCaddy, type CaddyAnswer, type CaddyConfig, upstreamsIn } from './fake-caddy.ts'
import type { FakeContainer, FakeEngine } from './fake-engine.ts'
import { lookUp, type Plugged, parseFlags, subnetOf } from './fake-networks.ts'

/** A container that was made with `docker create`: the proxy, or the one that is to replace it. */
interface ProxyBox extends Plugged {
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** what its first start writes where there is nothing yet */
  readonly first: CaddyConfig
  state: 'created' | 'running' | 'exited'
}

/** What lasts of the proxy on a host. Plain values. */
export interface ProxyHost {
  boxes: ProxyBox[]
  /** its volume; undefined: none was started yet */
  volume: ProxyVolume | undefined
  /** the configuration that Caddy has loaded */
  loaded: CaddyConfig | undefined
}

interface ProxyVolume {
  generation: number
  routes: ProjectRoutes
  caddy: CaddyConfig
  /** by project: `<service>.<slot>` */
  live: Record<string, string[]>
  /** pages by project */
  maintenance: Record<string, string>
}

interface Said {
  readonly code?: number
  readonly stdout?: string
  readonly stderr?: string
}

const OK: Said = {}
const SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  read: [READ],
  apply: [APPLY],
  switch: [SWITCH, FORGET],
  'in-flight': [IN_FLIGHT],
  drained: [DRAINED],
  probe: [PROBE],
  ask: [ASK],
  'maintenance-on': [MAINTENANCE_ON],
  'maintenance-off': [MAINTENANCE_OFF],
}

/** The proxy of an engine in memory: what `docker` does to its container, and what its scripts do inside. */
export class FakeProxy {
  /** what Caddy says against a configuration; undefined: it takes it */
  refuses: (config: CaddyConfig) => string | undefined = () => undefined
  /** how many requests are on their way to an upstream, asked each time */
  inFlight: (address: string) => number = () => 0
  /** what a container answers: a status, or undefined where nothing listens */
  responds: (container: FakeContainer, port: number, path: string) => number | undefined = () => 200
  /** the exit code of a drain command */
  hook: (container: FakeContainer, command: readonly string[]) => number = () => 0
  /** another program of the host has port 80 */
  portTaken = false

  constructor(private readonly engine: FakeEngine) {}

  private get host(): ProxyHost {
    return this.engine.state.proxy
  }

  /** @returns undefined for a command that is none of the proxy's */
  respond(args: readonly string[], input: string | undefined, half: boolean): Said | undefined {
    const [verb = '', ...rest] = args
    if (verb === 'exec') return this.#exec(rest, input, half)
    if (verb === 'create') return this.#create(rest)
    if (verb === 'run') return this.#check(rest)
    if (verb === 'rename') return this.#rename(rest)
    if (!args.some(isProxyName)) return undefined
    if (verb === 'container') return this.#inspect(rest)
    const box = this.box(args.find(isProxyName) ?? '')
    if (box === undefined) return refuse(`No such container: ${args.find(isProxyName)}`)
    if (verb === 'start') return this.#start(box)
    if (verb === 'stop') return this.#stop(box)
    if (verb === 'rm') return this.#remove(box)
    return verb === 'logs' ? { stdout: 'what Caddy logged\n' } : undefined
  }

  box(name: string): ProxyBox | undefined {
    return this.host.boxes.find((box) => box.name === name || box.id === name)
  }

  // Its container

  #create(args: readonly string[]): Said {
    const { flags, words } = parseFlags(args)
    const [reference = '', c, start, config = ''] = words
    const [name = ''] = flags.get('--name') ?? []
    if (c !== '-c' || start !== START || flags.get('--entrypoint')?.[0] !== '/bin/sh')
      throw new Error(`unexpected: docker create ${args.join(' ')}`)
    const image = this.engine.state.tags[reference]
    if (image === undefined) return { code: 125, stderr: `Unable to find image '${reference}' locally` }
    const taken = this.box(name)
    if (taken) return refuse(`Conflict. The container name "/${name}" is already in use by container "${taken.id}". …`)
    const labels = Object.fromEntries((flags.get('--label') ?? []).map((label) => label.split('=') as [string, string])) // all have one
    const id = createHash('sha256')
      .update(`proxy ${++this.engine.state.count}`)
      .digest('hex')
    const first = JSON.parse(config) as CaddyConfig // written by the code under test
    const network = flags.get('--network')?.[0] ?? ''
    this.host.boxes.push({
      ...{ id, name, image, labels, first, state: 'created' },
      ...{ networks: [network], aliases: { [network]: [] } },
    })
    return { stdout: `${id}\n` }
  }

  /** Another image, asked whether it understands the configuration. */
  #check(args: readonly string[]): Said {
    const [reference = '', c, script] = parseFlags(args).words
    if (c !== '-c' || script !== CHECK) throw new Error(`unexpected: docker run ${args.join(' ')}`)
    const image = this.engine.state.images[this.engine.state.tags[reference] ?? '']
    return image?.content.startsWith('caddy') ? OK : { code: 127, stderr: '/bin/sh: caddy: not found\n' }
  }

  #start(box: ProxyBox): Said {
    if (box.state === 'running') return OK
    const missing = box.networks.find((name) => this.engine.state.networks[name] === undefined)
    if (missing !== undefined) return refuse(`network ${missing} not found`)
    const other = this.host.boxes.some(({ state }) => state === 'running')
    if (this.portTaken || other || this.engine.publishes('80') || this.engine.publishes('443'))
      return refuse(
        'driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated',
      )
    const isCaddy = this.engine.state.images[box.image]?.content.startsWith('caddy') === true
    box.state = isCaddy ? 'running' : 'exited'
    if (!isCaddy) return OK
    this.host.volume ??= { generation: 1, routes: {}, caddy: box.first, live: {}, maintenance: {} }
    this.host.loaded = this.host.volume.caddy
    return OK
  }

  #stop(box: ProxyBox): Said {
    if (box.state === 'running') this.host.loaded = undefined
    if (box.state === 'running') box.state = 'exited'
    return OK
  }

  #remove(box: ProxyBox): Said {
    this.#stop(box)
    this.host.boxes = this.host.boxes.filter((one) => one !== box)
    return OK
  }

  #rename([from = '', to = '']: readonly string[]): Said {
    const box = this.box(from)
    if (box === undefined) return refuse(`No such container: ${from}`)
    if (this.box(to)) return refuse(`Conflict. The container name "/${to}" is already in use`)
    box.name = to
    return OK
  }

  #inspect(args: readonly string[]): Said {
    const box = this.box(args.at(-1) ?? '')
    if (box === undefined) return { ...refuse(`No such container: ${args.at(-1)}`), stdout: '[]\n' }
    if (args.includes('--format')) return { stdout: `${box.state === 'running'}\n` }
    const networks = box.networks.map((name) => [name, { Aliases: box.aliases[name] ?? [], IPAddress: '' }])
    const { id, name, image, labels, state } = box
    const NetworkSettings = { Networks: Object.fromEntries(networks) }
    return {
      stdout: JSON.stringify([
        {
          Id: id,
          Name: `/${name}`,
          Image: image,
          Config: { Labels: labels },
          State: { Status: state },
          NetworkSettings,
        },
      ]),
    }
  }

  // Inside of it

  #exec(args: readonly string[], input: string | undefined, half: boolean): Said {
    const { flags, words } = parseFlags(args)
    const [name = '', ...command] = words
    if (!isProxyName(name)) return this.#hook(name, command)
    const box = this.box(name)
    if (box === undefined) return refuse(`No such container: ${name}`)
    if (box.state !== 'running') return refuse(`container ${box.id} is not running`)
    const [sh, c, script = '', zero = '', ...rest] = command
    const what = zero.replace('stagecraft-', '')
    if (sh !== 'sh' || c !== '-c' || !SCRIPTS[what]?.includes(script))
      throw new Error(`the fake proxy does not know: ${command.join(' ')}`)
    if (flags.has('--interactive') !== (input !== undefined)) throw new Error(`${what}: input without --interactive`)
    const { volume } = this.host
    if (volume === undefined) throw new Error('a proxy that runs has a volume')
    if (what === 'read') return { stdout: readText(volume) }
    if (what === 'in-flight') return { stdout: JSON.stringify(this.#counts()) }
    if (what === 'drained') return this.#drained(Number(rest[0]), rest.slice(1))
    if (what === 'probe') return this.#probe(box, rest.slice(1))
    if (what === 'ask') return this.#askLive(box, rest.slice(1))
    // Both do all or nothing: with one rename.
    if (half) return OK
    if (what === 'apply') return this.#apply(volume, Number(rest[0]), input ?? '')
    return what === 'switch' ? switchTo(volume, rest) : maintain(volume, rest[0] ?? '', input)
  }

  #drained(seconds: number, addresses: readonly string[]): Said {
    const end = this.engine.state.now + seconds * 1000
    for (let quiet = 0; ; this.engine.state.now += 100) {
      const counts = this.#counts()
      const isOpen = counts.some(({ address, num_requests }) => addresses.includes(address) && num_requests > 0)
      quiet = isOpen ? 0 : quiet + 1
      if (quiet === 2 || this.engine.state.now >= end) return { stdout: JSON.stringify(counts) }
    }
  }

  #counts() {
    const addresses = this.host.loaded ? upstreamsIn(this.host.loaded) : []
    return addresses.map((address) => ({ address, num_requests: this.inFlight(address), fails: 0 }))
  }

  #apply(volume: ProxyVolume, generation: number, input: string): Said {
    const [routes = '', caddy = '', end] = input.split('\n')
    if (end !== '') throw new Error(`not two lines: ${input}`)
    const config = JSON.parse(caddy) as CaddyConfig // written by the code under test
    const said = this.refuses(config)
    if (said !== undefined) return { code: 65, stderr: `${said}\n` }
    if (generation <= volume.generation) return { code: 75 }
    Object.assign(volume, { generation, routes: JSON.parse(routes), caddy: config })
    this.host.loaded = config
    return OK
  }

  #probe(box: ProxyBox, [url = '', host]: readonly string[]): Said {
    const { hostname, port, pathname } = new URL(url)
    if (!host) throw new Error('a probe without a host')
    const container = this.engine.state.containers.find((one) => addressOf(one) === hostname)
    const reaches =
      container && this.engine.isRunning(container) && container.networks.some((one) => box.networks.includes(one))
    const status = reaches ? this.responds(container, Number(port || 80), pathname) : undefined
    if (status === undefined)
      return { code: 1, stderr: `wget: can't connect to remote host (${hostname}): Connection refused\n` }
    if (status < 400) return OK
    return { code: 1, stderr: `Connecting to ${hostname}\nwget: server returned error: HTTP/1.1 ${status} No\n` }
  }

  /** By the alias of a slot: whichever of its containers Docker's DNS gives first. */
  #askLive(box: ProxyBox, words: readonly string[]): Said {
    const lines: string[] = []
    for (let at = 0; at * 3 < words.length; at++) {
      const { hostname, port, pathname } = new URL(words[at * 3] ?? '')
      const found = box.networks.flatMap((network) => lookUp(this.engine, network, hostname))
      const container = this.engine.state.containers.find(({ id }) => id === found[0]?.id)
      if (container === undefined) lines.push(`${at} wget: bad address '${hostname}'\n`)
      else if (this.responds(container, Number(port || 80), pathname) === undefined)
        lines.push(`${at} wget: can't connect to remote host: Connection refused\n`)
    }
    return { stdout: lines.join('') }
  }

  #hook(id: string, command: readonly string[]): Said {
    const container = this.engine.state.containers.find((one) => one.id === id)
    if (container === undefined) return refuse(`No such container: ${id}`)
    if (!this.engine.isRunning(container)) return refuse(`container ${id} is not running`)
    return { code: this.hook(container, command) }
  }

  // For tests

  /**
   * Who would answer a request from outside now, in words, each once: `web two` (the content of a container that runs
   * and is well), `web two (starting)`, `404` (Caddy itself), `nobody`.
   */
  answer(host: string, path = '/'): string[] {
    const ask = (port: number) => this.#ask({ host, path, port, from: '203.0.113.0/24' })
    const secure = ask(443)
    return secure[0] === 'nobody' || secure[0] === '404' ? ask(80) : secure
  }

  /** The same for a request that a container on this network sends to `http://<name>:<port>/`. */
  call(network: string, name: string, port: number): string[] {
    const from = subnetOf(this.engine.state, network)
    const found = lookUp(this.engine, network, name)
    if (found.length === 0) return ['nobody']
    const words = found.flatMap((one) => {
      if (isBox(one)) return this.#ask({ host: name, path: '/', port, from })
      return [this.#describe(one.id)]
    })
    return [...new Set(words)].toSorted()
  }

  #ask(request: { host: string; path: string; port: number; from: string }): string[] {
    const { loaded, volume, boxes } = this.host
    const box = boxes.find(({ state }) => state === 'running')
    const files = new Set(volume ? filesIn(volume) : [])
    const answer: CaddyAnswer | undefined = box && loaded && askCaddy(loaded, request, files)
    if (answer === undefined || box === undefined) return ['nobody']
    if ('status' in answer) return [String(answer.status)]
    const [alias = ''] = answer.dial.split(':')
    const found = box.networks.flatMap((network) => lookUp(this.engine, network, alias))
    if (found.length === 0) return ['nobody']
    return [...new Set(found.map(({ id }) => this.#describe(id)))].toSorted()
  }

  #describe(id: string): string {
    const container = this.engine.state.containers.find((one) => one.id === id)
    if (container === undefined) return 'nobody'
    const { health } = this.engine.statusOf(container)
    const content = this.engine.state.images[container.image]?.content ?? ''
    return health === '' || health === 'healthy' ? content : `${content} (${health})`
  }

  /** The proxy in words: what runs, plugged into what; the routes by service; what is live. */
  view(): string[] {
    const { boxes, volume } = this.host
    const lines = boxes.map(({ name, state, networks, aliases, image }) => {
      const plugged = networks
        .filter((network) => network !== PROXY_NETWORK)
        .map((network) => `${network}${aliases[network]?.length ? ` as ${aliases[network].join('+')}` : ''}`)
      const content = this.engine.state.images[image]?.content
      return `${name} of ${content} ${state}${plugged.length ? ` on ${plugged.toSorted().join(', ')}` : ''}`
    })
    const routes = Object.entries(volume?.routes ?? {}).flatMap(([project, all]) =>
      all.map(({ service, ports }) => `route ${project}/${service} a:${ports.a} b:${ports.b}`),
    )
    const live = Object.entries(volume?.live ?? {}).map(([project, files]) => `live ${project}: ${files.join(' ')}`)
    return [...lines, ...routes, ...live]
  }

  /** The aliases by which the proxy finds a project's containers, with the content behind each. */
  aliases(project: string): string[] {
    const network = routeNetwork(project)
    return this.engine
      .containersOf(project)
      .flatMap((one) => (one.aliases[network] ?? []).map((alias) => `${alias} ${this.#describe(one.id)}`))
      .toSorted()
  }
}

export function isProxyName(word: string): boolean {
  return word === PROXY || word === `${PROXY}-next`
}

function isBox(one: Plugged): boolean {
  return isProxyName(one.name)
}

/** The address of a container while it runs, on every network that it is on. */
export function addressOf({ id }: Pick<FakeContainer, 'id'>): string {
  const bytes = [0, 2, 4].map((at) => Number.parseInt(id.slice(at, at + 2), 16))
  return `172.${bytes.join('.')}`
}

function readText({ generation, routes, live, maintenance }: ProxyVolume): string {
  const files = Object.entries(live).flatMap(([project, all]) => all.map((file) => `${project}/${file}\n`))
  const pages = Object.keys(maintenance).map((project) => `${project}.html\n`)
  return `${generation}\n${JSON.stringify(routes)}\n${files.join('')}${pages.join('')}`
}

/** What Caddy's matchers look for. */
function filesIn({ live, maintenance }: ProxyVolume): string[] {
  return [
    ...Object.entries(live).flatMap(([project, all]) => all.map((file) => `${PROXY_FOLDER}/live/${project}/${file}`)),
    ...Object.keys(maintenance).map((project) => `${PROXY_FOLDER}/maintenance/${project}.html`),
  ]
}

function switchTo({ live }: ProxyVolume, [project = '', ...files]: readonly string[]): Said {
  if (files.length === 0) delete live[project]
  else live[project] = files
  return OK
}

function maintain({ maintenance }: ProxyVolume, project: string, page: string | undefined): Said {
  if (page === undefined) delete maintenance[project]
  else maintenance[project] = page
  return OK
}

function refuse(said: string): Said {
  return { code: 1, stderr: `Error response from daemon: ${said}\n` }
}

/** Says something to the proxy's engine as a person would: `docker rm -f stagecraft-proxy`. */
export async function byHand(exec: Exec, ...args: string[]): Promise<void> {
  const { code, stderr } = await exec(['docker', ...args])
  if (code !== 0) throw new Error(stderr)
}
