import type { ProxyConfig } from '../config/edge/proxy.ts'
import { childError, type Docker } from '../docker/client.ts'
import { findContainer, isRunning } from '../docker/containers.ts'
import { hasImage, pull } from '../docker/image-store.ts'
import type { ProxyContainer } from '../docker/inspect.ts'
import {
  create,
  ENDED,
  execIn,
  logs,
  NAME_TAKEN,
  PORT_TAKEN,
  removeForced,
  rename,
  runOnce,
  start,
  stop,
  unpause,
} from '../docker/lifecycle.ts'
import { connect, createNetwork, NO_NETWORK } from '../docker/networks.ts'
import type { Host } from '../hosts/host.ts'
import { PROXY, PROXY_IMAGE, PROXY_NETWORK, PROXY_NEXT } from '../plan/routes/table.ts'
import type { Clock } from '../system/clock.ts'
import type { Result } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { mapConcurrently } from '../util/map-concurrently.ts'
import { ownAliases } from './api.ts'
import { caddyConfig } from './caddy/config.ts'
import { IN_FLIGHT } from './inside/questions.ts'
import { CHECK, START } from './inside/scripts.ts'
import { describePorts, type ProxyPorts, parsePortsLabel, portsLabel, publishArguments, wantedPorts } from './ports.ts'

/** Version of the arguments that the proxy is created with: a proxy of another version is recreated. */
const LAYOUT = '1'
const LAYOUT_LABEL = 'stagecraft.proxy'
const [IMAGE_LABEL, PORTS_LABEL] = ['stagecraft.proxy.image', 'stagecraft.proxy.ports'] as const

/** @returns the proxy's container, or undefined if the host has none. @throws unreachable (8) */
export async function findProxy(docker: Docker): Promise<ProxyContainer | undefined> {
  const found = await findContainer(docker, PROXY, 'inspect the proxy')
  if (found === undefined) return undefined
  const { id, image, state, startedAt, networks, labels } = found
  const label = (name: string) => String(labels[name] ?? '')
  const own = { reference: label(IMAGE_LABEL), layout: label(LAYOUT_LABEL), ports: label(PORTS_LABEL) }
  return { id, image, state, startedAt, networks, ...own }
}

/** A host and its proxy. */
export interface HostProxy {
  readonly host: Host
  readonly docker: Docker
  readonly proxy: ProxyContainer
}

/** @returns the hosts that have a proxy: a host that routes nothing has none. @throws not-found (4) if none has one */
export async function requireProxies(
  hosts: readonly Host[],
  dockerOf: (host: Host) => Docker,
): Promise<readonly HostProxy[]> {
  const found = await mapConcurrently(hosts, async (host) => {
    const docker = dockerOf(host)
    const proxy = await findProxy(docker)
    return proxy ? [{ host, docker, proxy }] : []
  })
  if (found.flat().length > 0) return found.flat()
  throw new StagecraftError('not-found', 'Cannot find the proxy: this host has none', {
    hint: 'The first deploy of a service with `expose` in stagecraft.yml starts it.',
  })
}

/** @returns why the proxy must be recreated; undefined if it need not. @param config as stagecraft.yml has it */
export function outdated(proxy: ProxyContainer, config: ProxyConfig | null | undefined): string | undefined {
  const { image } = config ?? {}
  if (image !== undefined && proxy.reference !== image) return `from ${proxy.reference} to ${image}`
  const [is, wanted] = [parsePortsLabel(proxy.ports), wantedPorts(config)]
  if (wanted && portsLabel(wanted) !== portsLabel(is)) return `from ${describePorts(is)} to ${describePorts(wanted)}`
  return proxy.layout === LAYOUT ? undefined : 'to what this version of Stagecraft needs'
}

/** How the proxy is to be. */
export interface ProxyWish {
  /** as stagecraft.yml has it */
  readonly config: ProxyConfig | null | undefined
  /** an existing proxy is kept, however it is */
  readonly keep: boolean
}

/**
 * Makes sure that the proxy runs: creates it, starts it, or recreates it from another image.
 * @returns whether there was none
 * @throws failed (5), mostly because another program uses its ports
 */
export async function ensureProxy(docker: Docker, clock: Clock, { config, keep }: ProxyWish): Promise<boolean> {
  await finishUpgrade(docker)
  const proxy = await findProxy(docker)
  if (proxy === undefined) {
    const { image = PROXY_IMAGE } = config ?? {}
    await createProxy(docker, { image, ports: wantedPorts(config) ?? parsePortsLabel('') }, PROXY)
    await startProxy(docker, clock, PROXY)
    return true
  }
  if (!keep && outdated(proxy, config) !== undefined)
    await recreateProxy(docker, clock, config?.image ?? proxy.reference, wantedPorts(config))
  else if (proxy.state !== 'running') await startAgain(docker, clock, proxy)
  return false
}

/** Starts a stopped proxy, or recreates it if a network that was removed in the meantime keeps it from starting. */
async function startAgain(docker: Docker, clock: Clock, proxy: ProxyContainer): Promise<void> {
  if (proxy.state === 'paused') return void (await unpause(docker, [PROXY], { what: 'unpause the proxy' }))
  try {
    await startProxy(docker, clock, PROXY)
  } catch (error) {
    const isStuck = proxy.state === 'dead' || (error instanceof StagecraftError && NO_NETWORK.test(error.detail ?? ''))
    if (!isStuck) throw error
    await pullIfMissing(docker, proxy.reference)
    await removeForced(docker, [PROXY], { what: 'remove a proxy that cannot start' })
    await createProxy(docker, { image: proxy.reference, ports: parsePortsLabel(proxy.ports) }, PROXY)
    await startProxy(docker, clock, PROXY)
  }
}

/**
 * Recreates the proxy, keeping routes, certificates and networks. Two proxies cannot have the same ports, so there is
 * downtime from the stop of the old one to the start of the new one; everything slow is done before.
 * @param wanted undefined: the ports that it has
 * @throws failed (5): the old one runs again then
 */
export async function recreateProxy(docker: Docker, clock: Clock, image: string, wanted?: ProxyPorts): Promise<void> {
  await finishUpgrade(docker)
  const before = await findProxy(docker)
  if (before) await checkImage(docker, image)
  const ports = wanted ?? parsePortsLabel(before?.ports ?? '')
  await createProxy(docker, { image, ports }, before ? PROXY_NEXT : PROXY)
  if (before === undefined) return startProxy(docker, clock, PROXY)
  for (const [network, { aliases }] of Object.entries(before.networks))
    if (network !== PROXY_NETWORK)
      // A stopped container may still name a network that was removed.
      await connect(docker, [network, PROXY_NEXT], { alias: ownAliases(aliases, before.id) }, { mayLack: true })
  try {
    await stop(docker, [PROXY], { flags: { time: '5' }, what: 'stop the old proxy' })
    await startProxy(docker, clock, PROXY_NEXT)
  } catch (error) {
    const now = await findProxy(docker)
    if (now?.state === 'running' && now.id !== before.id) return // another run has finished this
    await removeForced(docker, [PROXY_NEXT])
    await startProxy(docker, clock, PROXY)
    throw error
  }
  await finishUpgrade(docker)
}

/** Refuses an image that cannot load the routes, while the old proxy still runs. */
async function checkImage(docker: Docker, image: string): Promise<void> {
  await pullIfMissing(docker, image)
  const flags = { network: 'none', volume: 'stagecraft-proxy-config:/config', entrypoint: '/bin/sh' }
  const result = await runOnce(docker, [image, '-c', CHECK], { flags, readOnly: true })
  if (result.code === 0) return
  throw new StagecraftError(
    'failed',
    `Cannot recreate the proxy from ${image}: that image cannot load the current routes`,
    {
      detail: withoutInfo(result.stderr),
      hint: `${NEEDED} The old proxy keeps running.`,
    },
  )
}

const NEEDED =
  'It must be Caddy 2.7 or later with a shell, as the official image is: `proxy: {image: caddy:2}` in stagecraft.yml.'

function withoutInfo(said: string): string {
  return said
    .split('\n')
    .filter((line) => !line.includes('"level":"info"'))
    .join('\n')
    .trim()
}

async function pullIfMissing(docker: Docker, image: string): Promise<void> {
  if (!(await hasImage(docker, image)))
    await pull(docker, [image], { flags: { quiet: true }, what: `pull ${image} for the proxy` })
}

/** Finishes a recreation that was interrupted, or takes back a proxy that is about to be removed. */
async function finishUpgrade(docker: Docker): Promise<void> {
  const next = await isRunning(docker, PROXY_NEXT)
  if (next === undefined) return
  if (!next) return void (await removeForced(docker, [PROXY_NEXT], { what: 'remove an unused proxy' }))
  const named = await rename(docker, [PROXY_NEXT, PROXY], { what: 'name the new proxy' })
  if (!NAME_TAKEN.test(named.stderr)) return
  await removeForced(docker, [PROXY])
  await rename(docker, [PROXY_NEXT, PROXY], { what: 'name the new proxy' })
}

/** Creates the proxy's own network, unless it exists: the proxy's ports are published on it. */
export async function ensureProxyNetwork(docker: Docker): Promise<void> {
  const what = `create the proxy's network ${PROXY_NETWORK}`
  await createNetwork(docker, [PROXY_NETWORK], { flags: { label: `${LAYOUT_LABEL}=${LAYOUT}` }, what })
}

async function createProxy(
  docker: Docker,
  { image, ports }: { image: string; ports: ProxyPorts },
  name: string,
): Promise<void> {
  await ensureProxyNetwork(docker)
  await pullIfMissing(docker, image)
  const flags = {
    name,
    network: PROXY_NETWORK,
    restart: 'unless-stopped',
    label: [`${LAYOUT_LABEL}=${LAYOUT}`, `${IMAGE_LABEL}=${image}`, `${PORTS_LABEL}=${portsLabel(ports)}`],
    publish: publishArguments(ports),
    volume: ['stagecraft-proxy-data:/data', 'stagecraft-proxy-config:/config'],
    entrypoint: '/bin/sh',
  }
  const argv = [image, '-c', START, JSON.stringify(caddyConfig({}))]
  // Another environment of this host may have created it at the same moment.
  await create(docker, argv, { flags, what: 'create the proxy', unless: NAME_TAKEN })
}

/** Starts it and waits until it answers. */
async function startProxy(docker: Docker, clock: Clock, name: string): Promise<void> {
  const started = await start(docker, [name])
  if (started.code !== 0) throw cannotStart(started)
  const end = clock.now() + 30_000
  for (;;) {
    const answer = await execIn(docker, [name, 'sh', '-c', IN_FLIGHT, 'stagecraft-in-flight'], { readOnly: true })
    if (answer.code === 0) return
    if (clock.now() > end || ENDED.test(answer.stderr)) {
      const last = await logs(docker, [name], { flags: { tail: '10' }, readOnly: true })
      throw new StagecraftError('failed', 'Cannot start the proxy: it does not answer', {
        detail: withoutInfo(`${last.stdout}${last.stderr}`) || answer.stderr,
        hint: `${NEEDED} More: docker logs ${name}`,
      })
    }
    await clock.sleep(100)
  }
}

function cannotStart(result: Result): StagecraftError {
  const error = childError('start the proxy', result)
  if (!PORT_TAKEN.test(result.stderr) || error.kind !== 'failed') return error
  return error.with({
    message: 'Cannot start the proxy: another program uses one of its ports',
    hint: 'Find it (sudo ss -ltnp, docker ps), stop it or remove its published ports, then deploy again.',
  })
}
