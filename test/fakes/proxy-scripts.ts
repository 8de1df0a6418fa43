import { createHash } from 'node:crypto'
import { LINK } from '../../lib/proxy/inside/assets.ts'
import { ASK, CERTIFICATES, DRAINED, IN_FLIGHT, PROBE } from '../../lib/proxy/inside/questions.ts'
import {
  APPLY,
  FORGET,
  KEEP,
  MAINTENANCE_OFF,
  MAINTENANCE_ON,
  READ,
  SWITCH,
  VALIDATE,
} from '../../lib/proxy/inside/scripts.ts'
import { type Answer, OK, refuse } from './answer.ts'
import { type CaddyConfig, upstreamsIn } from './caddy.ts'
import { lookUp, parseFlags } from './networks.ts'
import type { FakeProxy } from './proxy.ts'
import { addressOf, isProxyName, type ProxyBox, type ProxyVolume } from './proxy-state.ts'

const SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  read: [READ],
  apply: [APPLY],
  validate: [VALIDATE],
  switch: [SWITCH, FORGET],
  'in-flight': [IN_FLIGHT],
  drained: [DRAINED],
  probe: [PROBE],
  ask: [ASK],
  keep: [KEEP],
  link: [LINK],
  certificates: [CERTIFICATES],
  'maintenance-on': [MAINTENANCE_ON],
  'maintenance-off': [MAINTENANCE_OFF],
}

function readText({ generation, writer, routes, live, maintenance, keys }: ProxyVolume): string {
  const files = Object.entries(live).flatMap(([project, all]) => all.map((file) => `${project}/${file}\n`))
  const pages = Object.keys(maintenance).map((project) => `${project}.html\n`)
  const given = Object.entries(keys).flatMap(([project, all]) =>
    Object.entries(all).flatMap(([name, text]) =>
      /\.(pem|html)$/.test(name) ? [`${sha256(text)}  ${project}/${name}\n`] : [],
    ),
  )
  return `${generation}${writer ? ` ${writer}` : ''}\n${JSON.stringify(routes)}\n${files.join('')}${pages.join('')}${given.join('')}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function switchTo({ live, keys, assets }: ProxyVolume, [project = '', ...files]: readonly string[]): Answer {
  if (files.length === 0) {
    delete live[project]
    delete keys[project]
    delete assets[project]
  }
  if (files.length > 0) live[project] = files
  return OK
}

function keep({ keys }: ProxyVolume, [place = '', name = '', when]: readonly string[], text: string): Answer {
  const [, project = ''] = place.split('/')
  const own = keys[project] ?? {}
  if (when !== 'unless-there' || own[name] === undefined) keys[project] = { ...own, [name]: text }
  return OK
}

function link({ assets }: ProxyVolume, [project = '', ...links]: readonly string[]): Answer {
  const wanted = links.map((one) => one.slice(one.indexOf('=') + 1))
  const sets = Object.entries(assets[project]?.sets ?? {}).filter(([name]) => wanted.includes(name))
  delete assets[project]
  if (links.length > 0) assets[project] = { links, sets: Object.fromEntries(sets) }
  const missing = wanted.filter((name) => !sets.some(([there]) => there === name))
  return { stdout: missing.map((name) => `${name}\n`).join('') }
}

function maintain({ maintenance }: ProxyVolume, project: string, page: string | undefined): Answer {
  if (page === undefined) delete maintenance[project]
  else maintenance[project] = page
  return OK
}

/** `docker exec`: a script of ours in the proxy, or the drain command of another container. */
export function runInProxy(
  proxy: FakeProxy,
  args: readonly string[],
  input: string | undefined,
  half: boolean,
): Answer {
  const { flags, words } = parseFlags(args)
  const [name = '', ...command] = words
  if (!isProxyName(name)) return runHook(proxy, name, command)
  const box = proxy.box(name)
  if (box === undefined) return refuse(`No such container: ${name}`)
  if (box.state !== 'running') return refuse(`container ${box.id} is not running`)
  const [sh, c, script = '', zero = '', ...rest] = command
  const what = zero.replace('stagecraft-', '')
  if (sh !== 'sh' || c !== '-c' || !SCRIPTS[what]?.includes(script))
    throw new Error(`the fake proxy does not know: ${command.join(' ')}`)
  if (flags.has('--interactive') !== (input !== undefined)) throw new Error(`${what}: input without --interactive`)
  const { volume } = proxy.host
  if (volume === undefined) throw new Error('a proxy that runs has a volume')
  if (what === 'read') return { stdout: readText(volume) }
  if (what === 'validate') return OK
  if (what === 'in-flight') return { stdout: JSON.stringify(requestCounts(proxy)) }
  if (what === 'drained') return drained(proxy, Number(rest[0]), rest.slice(1))
  if (what === 'probe') return probe(proxy, box, rest.slice(1))
  if (what === 'ask') return askLive(proxy, box, rest.slice(1))
  if (what === 'certificates') return { stdout: rest.map((host) => proxy.certificate(host)).join('') }
  // All do all or nothing: with one rename.
  if (half) return OK
  if (what === 'link') return link(volume, rest)
  if (what === 'keep') return keep(volume, rest, input ?? '')
  if (what === 'apply') return apply(proxy, volume, rest, input ?? '')
  return what === 'switch' ? switchTo(volume, rest) : maintain(volume, rest[0] ?? '', input)
}

function drained(proxy: FakeProxy, seconds: number, addresses: readonly string[]): Answer {
  const end = proxy.engine.state.now + seconds * 1000
  for (let quiet = 0; ; proxy.engine.state.now += 100) {
    const counts = requestCounts(proxy)
    const isOpen = counts.some(
      ({ address, num_requests }) => addresses.includes(address.replace(/^\d+\./, '')) && num_requests > 0,
    )
    quiet = isOpen ? 0 : quiet + 1
    if (quiet === 2 || proxy.engine.state.now >= end) return { stdout: JSON.stringify(counts) }
  }
}

function requestCounts(proxy: FakeProxy) {
  const addresses = proxy.host.loaded ? upstreamsIn(proxy.host.loaded) : []
  return addresses.map((address) => ({ address, num_requests: proxy.inFlight(address), fails: 0 }))
}

function apply(proxy: FakeProxy, volume: ProxyVolume, [number, writer]: readonly string[], input: string): Answer {
  const generation = Number(number)
  const [routes = '', caddy = '', end] = input.split('\n')
  if (end !== '') throw new Error(`not two lines: ${input}`)
  const config = JSON.parse(caddy) as CaddyConfig // written by the code under test
  const said = proxy.refuses(config)
  if (said !== undefined) return { code: 65, stderr: `${said}\n` }
  if (generation <= volume.generation) return { code: 75 }
  Object.assign(volume, { generation, writer, routes: JSON.parse(routes), caddy: config })
  proxy.host.loaded = config
  return OK
}

function probe(proxy: FakeProxy, box: ProxyBox, [url = '', host]: readonly string[]): Answer {
  const { hostname, port, pathname } = new URL(url)
  if (!host) throw new Error('a probe without a host')
  const container = proxy.engine.state.containers.find((one) => addressOf(one) === hostname)
  const reaches =
    container && proxy.engine.isRunning(container) && container.networks.some((one) => box.networks.includes(one))
  const status = reaches ? proxy.responds(container, Number(port || 80), pathname) : undefined
  if (status === undefined)
    return { code: 1, stderr: `wget: can't connect to remote host (${hostname}): Connection refused\n` }
  if (status < 400) return OK
  return { code: 1, stderr: `Connecting to ${hostname}\nwget: server returned error: HTTP/1.1 ${status} No\n` }
}

/** By the alias of a slot: whichever of its containers Docker's DNS gives first. */
function askLive(proxy: FakeProxy, box: ProxyBox, words: readonly string[]): Answer {
  const lines: string[] = []
  for (let at = 0; at * 3 < words.length; at++) {
    const { hostname, port, pathname } = new URL(words[at * 3] ?? '')
    const found = box.networks.flatMap((network) => lookUp(proxy.engine, network, hostname))
    const container = proxy.engine.state.containers.find(({ id }) => id === found[0]?.id)
    if (container === undefined) lines.push(`${at} wget: bad address '${hostname}'\n`)
    else if (proxy.responds(container, Number(port || 80), pathname) === undefined)
      lines.push(`${at} wget: can't connect to remote host: Connection refused\n`)
  }
  return { stdout: lines.join('') }
}

function runHook(proxy: FakeProxy, id: string, command: readonly string[]): Answer {
  const container = proxy.engine.state.containers.find((one) => one.id === id)
  if (container === undefined) return refuse(`No such container: ${id}`)
  if (!proxy.engine.isRunning(container)) return refuse(`container ${id} is not running`)
  return { code: proxy.hook(container, command) }
}
