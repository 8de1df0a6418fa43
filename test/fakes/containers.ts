import type { Answer } from './answer.ts'
import type { FakeEngine } from './engine.ts'
import { ENGINE_AHEAD, type FakeContainer } from './engine-state.ts'
import { addressOf } from './proxy-state.ts'
import { volumeName } from './volumes.ts'

/** A volume without a name, as the definition has one or the image declares it. */
function anonymousMounts({ definition, anonymous }: FakeContainer, declared: boolean) {
  const paths = (definition.volumes ?? []).flatMap((one) => (one.type === 'volume' && !one.source ? [one.target] : []))
  const name = volumeName(anonymous)
  return [...paths, ...(declared ? ['/data'] : [])].map((Destination) => ({ Type: 'volume', Name: name, Destination }))
}

export function portsOf({ definition }: FakeContainer): string[] {
  return (definition.ports ?? []).flatMap(({ published }) => published ?? [])
}

export function startContainer(engine: FakeEngine, container: FakeContainer): string | undefined {
  if (engine.statusOf(container).status === 'running') return undefined
  if (container.behaviour.refuses !== undefined) return container.behaviour.refuses
  const gone = container.networks.find((name) => engine.state.networks[name] === undefined)
  if (gone !== undefined) return `network ${gone} not found`
  const owner = engine.state.containers.find(({ id }) => id === container.joined)
  if (owner && engine.statusOf(owner).status !== 'running') return 'cannot join network of a non running container'
  const taken = takenPort(engine, container)
  if (taken !== undefined) return `Bind for 0.0.0.0:${taken} failed: port is already allocated`
  container.state = 'started'
  container.startedAt = engine.state.now
  return undefined
}

function takenPort(engine: FakeEngine, container: FakeContainer): string | undefined {
  const proxied = engine.state.proxy.boxes.some(({ state }) => state === 'running') ? ['80', '443'] : []
  return portsOf(container).find((port) => proxied.includes(port) || engine.publishes(port))
}

/** Each container: its name, Compose project and service, and what it publishes. */
function everybody(engine: FakeEngine): string {
  const rows = engine.state.containers.map((one) => {
    const ports = engine.isRunning(one) ? portsOf(one).map((port) => `0.0.0.0:${port}->80/tcp`) : []
    return [one.name, one.project, one.service, ports.join(', ')]
  })
  const proxies = engine.state.proxy.boxes.map((box) => {
    return [box.name, '', '', box.state === 'running' ? '0.0.0.0:80->80/tcp, 0.0.0.0:443->443/tcp' : '']
  })
  return [...rows, ...proxies].map((row) => `${row.join('\t')}\n`).join('')
}

function startedByCompose(engine: FakeEngine): string {
  const rows = engine.state.containers.map((one) => {
    const ports = engine.isRunning(one) ? portsOf(one).map((port) => `0.0.0.0:${port}->80/tcp`) : []
    const image = one.definition.image ?? `${one.project}-${one.service}`
    return [one.name, image, ports.join(', '), one.project, one.service, one.folder, one.file]
  })
  return rows.map((row) => `${row.join('\t')}\n`).join('')
}

export function answerPs(engine: FakeEngine, args: readonly string[]): Answer {
  const stack = args.find((word) => word.startsWith('label=com.docker.stack.namespace='))?.split('=')[2]
  if (stack !== undefined) return { stdout: engine.swarm.containers(stack) }
  const network = args.find((word) => word.startsWith('network='))?.slice('network='.length)
  if (network !== undefined) {
    const on = engine.plugged().filter(({ networks }) => networks.includes(network))
    const rows = on.map((one) => `${one.id}\t${one.name}\t${'project' in one ? one.project : ''}\n`)
    return { stdout: rows.join('') }
  }
  if (args.includes('label=com.docker.compose.project')) return { stdout: startedByCompose(engine) }
  const project = args.find((word) => word.startsWith('label='))?.replace('label=com.docker.compose.project=', '')
  if (args[1] === '-a' && project === undefined) return { stdout: everybody(engine) }
  if (args[1] === '-a')
    return {
      stdout: engine
        .containersOf(project ?? '')
        .map((one) => `${one.id}\t${one.name}\n`)
        .join(''),
    }
  const isHook = args.includes('label=com.docker.compose.hook')
  const labels = args.filter((word) => word.startsWith('label=stagecraft.')).map((word) => word.slice('label='.length))
  const has = ({ labels: own = {} }: FakeContainer, wanted: string) =>
    Object.entries(own).some(([name, value]) => wanted === name || wanted === `${name}=${value}`)
  const all = engine
    .containersOf(project ?? '')
    .filter((one) => (!isHook || one.hook !== undefined) && labels.every((label) => has(one, label)))
  const ids = all.map(({ id }) => `${id}\n`)
  return { stdout: ids.join('') }
}

export function inspectContainers(engine: FakeEngine, ids: readonly string[]): Answer {
  const known = ids.flatMap((id) => engine.state.containers.find((container) => container.id === id) ?? [])
  const missing = ids.filter((id) => !known.some((container) => container.id === id))
  const stdout = JSON.stringify(known.map((container) => inspected(engine, container)))
  if (missing.length === 0) return { stdout }
  return {
    code: 1,
    stdout,
    stderr: missing.map((id) => `Error response from daemon: No such container: ${id}`).join('\n'),
  }
}

function inspected(engine: FakeEngine, container: FakeContainer) {
  const { id, name, image, service, project, hash, behaviour, definition, networks } = container
  const { status, code, health, count, since = 0 } = engine.statusOf(container)
  return {
    Id: id,
    Name: `/${name}`,
    Image: image,
    RestartCount: count,
    Mounts: [...anonymousMounts(container, engine.state.images[image]?.volumes === true), ...namedMounts(container)],
    Config: {
      Image: definition.image ?? '',
      Env: Object.entries(definition.environment ?? {}).map(([key, value]) => `${key}=${value}`),
      Cmd: definition['command'] ?? [],
      Labels: {
        'com.docker.compose.project': project,
        'com.docker.compose.service': service,
        'com.docker.compose.config-hash': hash,
        'com.docker.compose.project.config_files': container.file,
        'com.docker.compose.project.working_dir': container.folder,
        'com.docker.compose.oneoff': container.labels ? 'True' : 'False',
        ...container.labels,
        ...(container.hook ? { 'com.docker.compose.hook': container.hook } : {}),
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
    HostConfig: {
      NetworkMode: container.joined ? `container:${container.joined}` : (networks[0] ?? 'host'),
      IpcMode: 'private',
      PortBindings: Object.fromEntries(
        (definition.ports ?? []).map(({ target, published = '' }) => [`${target}/tcp`, [{ HostPort: published }]]),
      ),
      BlkioWeight: definition['blkio_config'] ? 100 : 0,
    },
    State: {
      Status: status,
      ExitCode: code,
      OOMKilled: behaviour.oom === true && code !== 0,
      Error: behaviour.refuses ?? '',
      ...timesOf(container, since, status),
      ...(health ? { Health: { Status: health, Log: [{ Output: `the probe says ${health}\n` }] } } : {}),
    },
  }
}

/** As an engine says of what has not happened: the year 1. @param since milliseconds from its first start to its last one */
function timesOf({ startedAt, behaviour }: FakeContainer, since: number, status: string) {
  const said = (time: number) => new Date(time + ENGINE_AHEAD).toISOString()
  const never = '0001-01-01T00:00:00Z'
  return {
    StartedAt: status === 'created' ? never : said(startedAt + since),
    FinishedAt: status === 'exited' ? said(startedAt + since + (behaviour.after ?? 0)) : never,
  }
}

/** A tenth of a processor and 1.5 MiB each. If one is gone, docker reports none. */
export function answerStats(engine: FakeEngine, ids: readonly string[]): Answer {
  const missing = ids.filter((id) => !engine.state.containers.some((container) => container.id === id))
  if (missing.length > 0)
    return { code: 1, stderr: missing.map((id) => `Error response from daemon: No such container: ${id}\n`).join('') }
  const rows = ids.map((ID) => JSON.stringify({ ID, CPUPerc: '10.04%', MemUsage: '1.5MiB / 7.6GiB' }))
  return { stdout: `${rows.join('\n')}\n` }
}

function namedMounts({ definition, project }: FakeContainer) {
  const named = (definition.volumes ?? []).filter(({ type, source }) => type === 'volume' && source)
  return named.map(({ source, target }) => ({
    Type: 'volume',
    Name: `${project}_${source}`,
    Destination: target,
    RW: true,
  }))
}

export function answerLogs(engine: FakeEngine, args: readonly string[]): Answer {
  const container = engine.state.containers.find(({ id }) => id === args.at(-1))
  if (container === undefined) return { code: 1, stderr: 'Error response from daemon: No such container' }
  const lines = (container.behaviour.logs ?? '').split('\n').filter(Boolean)
  const last = lines.slice(-Number(args[args.indexOf('--tail') + 1]))
  return { stdout: last.map((line) => `${line}\n`).join('') }
}

/** As the CLI does: what goes wrong with one does not keep it from the others. */
export function actOnEach(engine: FakeEngine, verb: 'stop' | 'start' | 'rm', ids: readonly string[]): Answer {
  const wrong = ids.flatMap((id) => act(engine, verb, id) ?? [])
  const stderr = wrong.map((said) => `Error response from daemon: ${said}\n`).join('')
  return { code: wrong.length > 0 ? 1 : 0, stdout: ids.map((id) => `${id}\n`).join(''), stderr }
}

function act(engine: FakeEngine, verb: 'stop' | 'start' | 'rm', id: string): string | undefined {
  const container = engine.state.containers.find((candidate) => candidate.id === id)
  if (container === undefined) return `No such container: ${id}`
  if (verb === 'start') return startContainer(engine, container)
  if (verb === 'stop' && container.state === 'started') container.state = 'stopped'
  if (verb === 'rm') engine.state.containers = engine.state.containers.filter((candidate) => candidate !== container)
  return undefined
}
