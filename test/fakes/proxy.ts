import { createHash } from 'node:crypto'
import { STORE } from '../../lib/proxy/inside/assets.ts'
import { CHECK, LIST_MODULES, START } from '../../lib/proxy/inside/scripts.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { type Answer, OK, refuse } from './answer.ts'
import type { CaddyConfig } from './caddy.ts'
import { certificateOf } from './certificates.ts'
import type { FakeEngine } from './engine.ts'
import type { FakeContainer } from './engine-state.ts'
import { parseFlags } from './networks.ts'
import { runInProxy } from './proxy-scripts.ts'
import { isProxyName, type ProxyBox, type ProxyHost } from './proxy-state.ts'
import { aliases, answer, call, view } from './proxy-view.ts'

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
  /** what Caddy has of a name: its certificate, and what it has logged */
  certificate: (host: string) => string = certificateOf
  /** how the copying of the assets in an image of this content ends */
  stores: (content: string) => Answer = () => OK
  /** the modules of every image of Caddy */
  modules: readonly string[] = []
  /** another program of the host has port 80 */
  portTaken = false

  constructor(readonly engine: FakeEngine) {}

  get host(): ProxyHost {
    return this.engine.state.proxy
  }

  /** @returns undefined for a command that is none of the proxy's */
  respond(args: readonly string[], input: string | undefined, half: boolean): Answer | undefined {
    const [verb = '', ...rest] = args
    if (verb === 'exec') return runInProxy(this, rest, input, half)
    if (verb === 'create') return this.#create(rest)
    if (verb === 'run') return rest.includes(STORE) ? this.#store(rest) : this.#check(rest)
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

  #create(args: readonly string[]): Answer {
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

  /** Another image, asked whether it understands the configuration; or which modules it has. */
  #check(args: readonly string[]): Answer {
    const [reference = '', c, script] = parseFlags(args).words
    if (c === '-c' && script === LIST_MODULES) return { stdout: `${this.modules.join('\n')}\n` }
    if (c !== '-c' || script !== CHECK) throw new Error(`unexpected: docker run ${args.join(' ')}`)
    const image = this.engine.state.images[this.engine.state.tags[reference] ?? '']
    return image?.content.startsWith('caddy') ? OK : { code: 127, stderr: '/bin/sh: caddy: not found\n' }
  }

  #store(args: readonly string[]): Answer {
    const { state } = this.engine
    const { flags, words } = parseFlags(args)
    const [image = '', , , , project = '', set = ''] = words
    const from = state.compared[`stagecraft-assets-from-${project}`] ?? ''
    if (!this.host.boxes.some((box) => box.image === image) || flags.get('--network')?.[0] !== 'none')
      throw new Error(`unexpected: docker run ${args.join(' ')}`)
    const content = state.images[from]?.content ?? ''
    const answer = this.stores(content)
    if ([0, 66, 67].includes(answer.code ?? 0) && this.host.volume) {
      const { links = [], sets = {} } = this.host.volume.assets[project] ?? {}
      const kept = (answer.code ?? 0) === 0 ? content : 'nothing'
      this.host.volume.assets[project] = { links, sets: { ...sets, [set]: kept } }
    }
    return answer
  }

  #start(box: ProxyBox): Answer {
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
    this.host.volume ??= {
      generation: 1,
      routes: {},
      caddy: box.first,
      live: {},
      maintenance: {},
      keys: {},
      assets: {},
    }
    this.host.loaded = this.host.volume.caddy
    return OK
  }

  #stop(box: ProxyBox): Answer {
    if (box.state === 'running') this.host.loaded = undefined
    if (box.state === 'running') box.state = 'exited'
    return OK
  }

  #remove(box: ProxyBox): Answer {
    this.#stop(box)
    this.host.boxes = this.host.boxes.filter((one) => one !== box)
    return OK
  }

  #rename([from = '', to = '']: readonly string[]): Answer {
    const box = this.box(from)
    if (box === undefined) return refuse(`No such container: ${from}`)
    const taken = this.box(to)
    if (taken)
      return refuse(
        `Error when allocating new name: Conflict. The container name "/${to}" is already in use by container "${taken.id}". …`,
      )
    box.name = to
    return OK
  }

  #inspect(args: readonly string[]): Answer {
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

  // For tests

  /**
   * Who would answer a request from outside now, in words, each once: `web two` (the content of a container that runs
   * and is well), `web two (starting)`, `404` (Caddy itself), `nobody`.
   */
  answer(host: string, path = '/'): string[] {
    return answer(this, host, path)
  }

  /** The same for a request that a container on this network sends to `http://<name>:<port>/`. */
  call(network: string, name: string, port: number): string[] {
    return call(this, network, name, port)
  }

  /** The proxy in words: what runs, connected to what; the routes by service; what is live. */
  view(): string[] {
    return view(this)
  }

  /** The content of the images whose assets answer for a service, the newest first, and all that are there. */
  assets(project: string, service = 'web'): { answer: string[]; there: string[] } {
    const { links = [], sets = {} } = this.host.volume?.assets[project] ?? {}
    const own = links.filter((link) => link.startsWith(`${service}.`)).toSorted()
    const answer = own.map((link) => sets[link.slice(link.indexOf('=') + 1)] ?? 'missing')
    return { answer, there: Object.values(sets).toSorted() }
  }

  /** The aliases by which the proxy finds a project's containers, with the content behind each. */
  aliases(project: string): string[] {
    return aliases(this, project)
  }
}

/** Says something to the proxy's engine as a person would: `docker rm -f stagecraft-proxy`. */
export async function byHand(exec: Exec, ...args: string[]): Promise<void> {
  const { code, stderr } = await exec(['docker', ...args])
  if (code !== 0) throw new Error(stderr)
}
