import { caddyConfig } from './caddy-config.ts'
import { childError, type Docker, type ProxyContainer } from './docker.ts'
import { parseProxyContainer } from './docker-json.ts'
import { StagecraftError } from './errors.ts'
import type { Result } from './exec.ts'
import type { Clock } from './gate.ts'
import type { Host } from './host.ts'
import { onEach } from './on-each.ts'
import { connect, ownAliases } from './proxy.ts'
import { CHECK, IN_FLIGHT, START } from './proxy-scripts.ts'
import { PROXY, PROXY_IMAGE, PROXY_NETWORK } from './routes.ts'

/** Of what we start it with: another one makes it anew. */
const LAYOUT = '1'
const LAYOUT_LABEL = 'stagecraft.proxy'
const IMAGE_LABEL = 'stagecraft.proxy.image'

/** @returns the proxy's container, or undefined where the host has none. @throws unreachable (8) */
export async function findProxy(docker: Docker): Promise<ProxyContainer | undefined> {
  const result = await docker.try(['container', 'inspect', PROXY], { asks: true })
  if (result.code === 0) return parseProxyContainer(result.stdout, IMAGE_LABEL, LAYOUT_LABEL)
  if (/no such container/i.test(result.stderr)) return undefined
  throw childError('look at the proxy', result)
}

/** A host, and its proxy. */
export interface HostProxy {
  readonly host: Host
  readonly docker: Docker
  readonly proxy: ProxyContainer
}

/** @returns those of the hosts that have a proxy: one that routes nothing has none. @throws not-found (4) where none has */
export async function requireProxies(
  hosts: readonly Host[],
  dockerOf: (host: Host) => Docker,
): Promise<readonly HostProxy[]> {
  const found = await onEach(hosts, async (host) => {
    const docker = dockerOf(host)
    const proxy = await findProxy(docker)
    return proxy ? [{ host, docker, proxy }] : []
  })
  if (found.flat().length > 0) return found.flat()
  throw new StagecraftError('not-found', 'Cannot find the proxy: this host has none', {
    hint: 'The first deploy of a service with `expose` in stagecraft.yml starts it.',
  })
}

/** @returns why the proxy must be made anew to be what is wanted, if it must. @param image as stagecraft.yml names it */
export function outdated(proxy: ProxyContainer, image: string | undefined): string | undefined {
  if (image !== undefined && proxy.reference !== image) return `from ${proxy.reference} to ${image}`
  return proxy.layout === LAYOUT ? undefined : 'to what this version of Stagecraft needs'
}

/** The images of a proxy. */
export interface ProxyImages {
  /** as stagecraft.yml names it; undefined: `caddy:2` */
  readonly name: string | undefined
  /** one that runs is kept as it is, whatever it was made of */
  readonly keep: boolean
}

/**
 * Sees to it that the proxy runs: creates it, starts it, or recreates it from another image.
 * @returns whether there was none
 * @throws failed (5), above all where another program has its ports
 */
export async function ensureProxy(docker: Docker, clock: Clock, image: ProxyImages): Promise<boolean> {
  await finishUpgrade(docker)
  const proxy = await findProxy(docker)
  if (proxy === undefined) {
    await createProxy(docker, image.name ?? PROXY_IMAGE, PROXY)
    await startProxy(docker, clock, PROXY)
    return true
  }
  if (!image.keep && outdated(proxy, image.name) !== undefined)
    await remakeProxy(docker, clock, image.name ?? proxy.reference)
  else if (proxy.state !== 'running') await startAgain(docker, clock, proxy)
  return false
}

/** A network that was removed meanwhile keeps a stopped container from starting. */
async function startAgain(docker: Docker, clock: Clock, proxy: ProxyContainer): Promise<void> {
  if (proxy.state === 'paused') return void (await docker.run('let the proxy go on', ['unpause', PROXY]))
  try {
    await startProxy(docker, clock, PROXY)
  } catch (error) {
    const isStuck = proxy.state === 'dead' || /network .* not found/i.test(errorDetail(error))
    if (!isStuck) throw error
    await pullIfMissing(docker, proxy.reference)
    await docker.run('remove a proxy that cannot start', ['rm', '--force', PROXY])
    await createProxy(docker, proxy.reference, PROXY)
    await startProxy(docker, clock, PROXY)
  }
}

function errorDetail(error: unknown): string {
  return error instanceof StagecraftError ? (error.detail ?? '') : ''
}

/** The next proxy, until the one before has gone. */
const NEXT = `${PROXY}-next`

/**
 * Makes the proxy anew, with its routes, certificates and networks. Two cannot have the ports: for as long as the one takes
 * to stop and the other to start nobody answers; all that takes longer is done before.
 * @throws failed (5): then the former one runs again
 */
export async function remakeProxy(docker: Docker, clock: Clock, image: string): Promise<void> {
  await finishUpgrade(docker)
  const before = await findProxy(docker)
  if (before) await checkImage(docker, image)
  await createProxy(docker, image, before ? NEXT : PROXY)
  if (before === undefined) return startProxy(docker, clock, PROXY)
  for (const [network, { aliases }] of Object.entries(before.networks))
    if (network !== PROXY_NETWORK) await connectIfPresent(docker, network, NEXT, ownAliases(aliases, before.id))
  try {
    await docker.run('stop the former proxy', ['stop', '--time', '5', PROXY])
    await startProxy(docker, clock, NEXT)
  } catch (error) {
    const now = await findProxy(docker)
    if (now?.state === 'running' && now.id !== before.id) return // another run has finished this
    await docker.try(['rm', '--force', NEXT])
    await startProxy(docker, clock, PROXY)
    throw error
  }
  await finishUpgrade(docker)
}

/** A network may be gone while a container that is stopped still names it. */
async function connectIfPresent(docker: Docker, network: string, name: string, aliases: string[]): Promise<void> {
  await connect(docker, network, name, aliases).catch((error: unknown) => {
    if (!/network .* not found/i.test(errorDetail(error))) throw error
  })
}

/** An image that cannot take over is refused while the former proxy still runs. */
async function checkImage(docker: Docker, image: string): Promise<void> {
  await pullIfMissing(docker, image)
  const volume = ['--volume', 'stagecraft-proxy-config:/config']
  const argv = ['run', '--rm', '--network', 'none', ...volume, '--entrypoint', '/bin/sh', image, '-c', CHECK]
  const result = await docker.try(argv, { asks: true })
  if (result.code === 0) return
  throw new StagecraftError(
    'failed',
    `Cannot make the proxy anew from ${image}: it does not understand the routes there are`,
    {
      detail: withoutInfo(result.stderr),
      hint: `${NEEDED} The proxy goes on as it is.`,
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
  const present = await docker.try(['image', 'inspect', image], { asks: true })
  if (present.code !== 0) await docker.run(`pull ${image} for the proxy`, ['pull', '--quiet', image])
}

/** Two containers there are only while the proxy is made anew, and where that was interrupted. */
async function finishUpgrade(docker: Docker): Promise<void> {
  const next = await docker.try(['container', 'inspect', '--format', '{{.State.Running}}', NEXT], { asks: true })
  if (next.code !== 0) return
  if (next.stdout.trim() !== 'true') return void (await docker.run('remove an unused proxy', ['rm', '--force', NEXT]))
  await docker.try(['rm', '--force', PROXY])
  await docker.run('name the new proxy', ['rename', NEXT, PROXY])
}

/** Without it the proxy's ports are not published. */
export async function ensureProxyNetwork(docker: Docker): Promise<void> {
  const network = await docker.try(['network', 'create', '--label', `${LAYOUT_LABEL}=${LAYOUT}`, PROXY_NETWORK])
  if (network.code !== 0 && !/already exists/i.test(network.stderr))
    throw childError(`make the proxy's network ${PROXY_NETWORK}`, network)
}

async function createProxy(docker: Docker, image: string, name: string): Promise<void> {
  await ensureProxyNetwork(docker)
  await pullIfMissing(docker, image)
  const labels = [`${LAYOUT_LABEL}=${LAYOUT}`, `${IMAGE_LABEL}=${image}`]
  const created = await docker.try([
    ...['create', '--name', name, '--network', PROXY_NETWORK, '--restart', 'unless-stopped'],
    ...labels.flatMap((label) => ['--label', label]),
    ...['80:80', '443:443', '443:443/udp'].flatMap((port) => ['--publish', port]),
    ...['stagecraft-proxy-data:/data', 'stagecraft-proxy-config:/config'].flatMap((volume) => ['--volume', volume]),
    ...['--entrypoint', '/bin/sh', image, '-c', START, JSON.stringify(caddyConfig({}))],
  ])
  // Another environment of this host may need it in the same moment.
  if (created.code !== 0 && !/is already in use by container/i.test(created.stderr))
    throw childError('make the proxy', created)
}

/** Starts it and waits until it answers. */
async function startProxy(docker: Docker, clock: Clock, name: string): Promise<void> {
  const started = await docker.try(['start', name])
  if (started.code !== 0) throw cannotStart(started)
  const end = clock.now() + 30_000
  for (;;) {
    const answer = await docker.try(['exec', name, 'sh', '-c', IN_FLIGHT, 'stagecraft-in-flight'], { asks: true })
    if (answer.code === 0) return
    if (clock.now() > end || /is not running|is restarting/i.test(answer.stderr)) {
      const logs = await docker.try(['logs', '--tail', '10', name], { asks: true })
      throw new StagecraftError('failed', 'Cannot start the proxy: it does not answer', {
        detail: withoutInfo(`${logs.stdout}${logs.stderr}`) || answer.stderr,
        hint: `${NEEDED} More: docker logs ${name}`,
      })
    }
    await clock.sleep(100)
  }
}

function cannotStart(result: Result): StagecraftError {
  const taken = /port is already allocated|address already in use/i.test(result.stderr)
  const error = childError('start the proxy', result)
  if (!taken || error.kind !== 'failed') return error
  return new StagecraftError('failed', 'Cannot start the proxy: another program has port 80 or 443 of this host', {
    detail: error.detail,
    hint: 'See who it is (sudo ss -ltnp, docker ps), stop it or take its published ports away, then deploy again.',
  })
}
