import { compare } from '../util/format.ts'
import { childError, type Docker, type Operand, verb } from './client.ts'
import { type Container, isUp, type Json, parseArray, parseContainer, parseFound } from './inspect.ts'
import { NO_CONTAINER, removeForced } from './lifecycle.ts'
import { ofStack } from './swarm/labels.ts'

/** @returns the label of all that Compose makes for a project */
export function ofProject(project: string): string {
  return `com.docker.compose.project=${project}`
}

/** @returns a project's containers in any state, sorted, without one-off ones. @throws failed (5), unreachable (8) */
export async function listContainers(docker: Docker, project: string): Promise<Container[]> {
  const containers = await listLabelled(docker, project)
  return containers.filter((container) => container.service !== '')
}

/** @returns all containers of a project, one-off ones too. @throws failed (5), unreachable (8) */
export async function listContainersIn(docker: Docker, project: string): Promise<{ id: string; name: string }[]> {
  const rows = await listColumns(docker, 'list containers', `label=${ofProject(project)}`, ['.ID', '.Names'])
  return rows.map(([id = '', name = '']) => ({ id, name }))
}

/** @returns the names of the containers of a stack that this engine runs. @throws failed (5), unreachable (8) */
export async function listOfStack(docker: Docker, stack: string): Promise<string[]> {
  const rows = await listColumns(docker, 'list tasks', `label=${ofStack(stack)}`, ['.Names', '.State'])
  return rows.flatMap(([name = '', state]) => (state === 'running' ? [name] : []))
}

/** @returns a project's containers with labels, `name` or `name=value`, also one-off ones. @throws failed (5), unreachable (8) */
export async function listLabelled(docker: Docker, project: string, ...labels: string[]): Promise<Container[]> {
  const filters = [ofProject(project), ...labels].flatMap((each) => ['--filter', `label=${each}`])
  const list = await docker.run('list containers', ['ps', '-aq', '--no-trunc', ...filters], { readOnly: true })
  return inspectContainers(docker, list.stdout.split('\n').filter(Boolean))
}

/**
 * Removes the containers in which Compose still runs a `pre_start`, for a run that has died. Those that failed stay for a
 * look; Compose removes them when it runs the hook again.
 * @throws failed (5), unreachable (8)
 */
export async function removeRunningHooks(docker: Docker, project: string): Promise<void> {
  const found = await listLabelled(docker, project, 'com.docker.compose.hook')
  const running = found.filter((container) => isUp(container) && container.service === '')
  await removeForced(docker, running, { what: 'remove what runs a pre_start hook', unless: NO_CONTAINER })
}

/** @returns a project's containers without one-off ones, sorted, each with all that the engine says of it. @throws as above */
export async function listDefined(docker: Docker, project: string): Promise<{ container: Container; json: Json }[]> {
  const containers = await listContainers(docker, project)
  const all = parseFound(await inspect(docker, containers))
  return containers.flatMap((container) => {
    const json = all.find((one) => one.at('Id').string() === container.id)
    return json ? [{ container, json }] : []
  })
}

/** @returns those of the containers that still exist. @throws failed (5), unreachable (8) */
export async function inspectContainers(docker: Docker, ids: readonly Operand[]): Promise<Container[]> {
  const result = await inspect(docker, ids)
  const found = parseFound(result)
  if (result.code !== 0 && found.length === 0 && !NO_CONTAINER.test(result.stderr))
    throw childError('inspect containers', result)
  return found.map(parseContainer).toSorted((a, b) => compare(a.service, b.service) || compare(a.name, b.name))
}

const inspect = verb(['container', 'inspect'], { readOnly: true })

/** @returns a container by its name, with all labels; undefined if there is none. @throws failed (5), unreachable (8) */
export async function findContainer(docker: Docker, name: string, what: string) {
  const { code, stdout } = await inspect(docker, [name], { what, unless: NO_CONTAINER })
  const [json] = code === 0 ? parseArray(stdout) : []
  return json && { ...parseContainer(json), labels: json.at('Config', 'Labels').record() }
}

/** @returns whether a container runs; undefined if there is none */
export async function isRunning(docker: Docker, name: string): Promise<boolean | undefined> {
  const { code, stdout } = await inspect(docker, [name], { flags: { format: '{{.State.Running}}' } })
  return code === 0 ? stdout.trim() === 'true' : undefined
}

/** Any container of the engine. */
export interface Neighbour {
  readonly name: string
  /** the Compose project; empty for one that was started otherwise */
  readonly project: string
  readonly service: string
  /** ports that it publishes while it runs, such as `18080/tcp`; an empty address: all */
  readonly ports: readonly { readonly port: string; readonly address: string }[]
}

/** @returns all containers of the engine. @throws failed (5), unreachable (8) */
export async function listNeighbours(docker: Docker): Promise<Neighbour[]> {
  const fields = ['.Names', '.Label "com.docker.compose.project"', '.Label "com.docker.compose.service"', '.Ports']
  const format = fields.map((field) => `{{${field}}}`).join('\t')
  const list = await docker.run('list containers', ['ps', '-a', '--no-trunc', '--format', format], { readOnly: true })
  return list.stdout.split('\n').filter(Boolean).map(parseNeighbour)
}

/** A container that Compose made, of any project. */
export interface Started extends Neighbour {
  /** the name that the image was asked for by, or its id */
  readonly image: string
  /** the project folder; empty: not known */
  readonly folder: string
  /** the Compose files */
  readonly files: readonly string[]
}

/** @returns all containers that Compose made, in any state, also one-off ones. @throws failed (5), unreachable (8) */
export async function listStarted(docker: Docker): Promise<Started[]> {
  const label = (name: string) => `.Label "com.docker.compose.${name}"`
  const labels = ['project', 'service', 'project.working_dir', 'project.config_files'].map(label)
  const columns = ['.Names', '.Image', '.Ports', ...labels]
  const rows = await listColumns(docker, 'list containers', 'label=com.docker.compose.project', columns)
  return rows.map(([name = '', image = '', ports = '', project = '', service = '', folder = '', files = '']) => ({
    ...parseNeighbour([name, project, service, ports].join('\t')),
    ...{ image, folder, files: files.split(',').filter(Boolean) },
  }))
}

/** @param line name, project, service, and `0.0.0.0:80->80/tcp, [::]:8000-8001->8000-8001/udp, 9000/tcp` */
export function parseNeighbour(line: string): Neighbour {
  const [name = '', project = '', service = '', ports = ''] = line.split('\t')
  const published = [...ports.matchAll(/(?:^|, )(?:([^\s,]*):)?(\d+)(?:-(\d+))?->[^,]*\/(\w+)/g)]
  return {
    name,
    project,
    service,
    ports: published.flatMap(([, address = '', first, last = first, protocol]) =>
      Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => ({
        port: `${Number(first) + at}/${protocol}`,
        address: address.replace(/^\[?(.*?)\]?$/, '$1'),
      })),
    ),
  }
}

/** @returns containers on a network, also stopped ones; `project` is Compose's, or empty. @throws failed (5), unreachable (8) */
export async function listContainersOn(docker: Docker, network: string) {
  const columns = ['.ID', '.Names', '.Label "com.docker.compose.project"']
  const rows = await listColumns(docker, `inspect network ${network}`, `network=${network}`, columns)
  return rows.map(([id = '', name = '', project = '']) => ({ id, name, project }))
}

/** @param what names the work in an error @param columns fields of docker's template @returns a row per container, in any state */
async function listColumns(docker: Docker, what: string, filter: string, columns: readonly string[]) {
  const format = columns.map((column) => `{{${column}}}`).join('\t')
  const args = ['ps', '-a', '--no-trunc', '--filter', filter, '--format', format]
  const list = await docker.run(what, args, { readOnly: true })
  return list.stdout.split('\n').flatMap((row) => (row === '' ? [] : [row.split('\t')]))
}

/** @returns whether a container, also a stopped one, is on a network */
export async function hasContainers(docker: Docker, network: string): Promise<boolean> {
  const list = await docker.try(['ps', '-aq', '--filter', `network=${network}`], { readOnly: true })
  return list.stdout.trim() !== ''
}

/** A running container, and what it writes to: folders of bind mounts, and names of volumes. */
interface Writer {
  readonly name: string
  readonly project: string
  readonly writes: readonly string[]
}

/** @returns the running containers of the engine. @throws failed (5), unreachable (8) */
export async function listWriters(docker: Docker): Promise<Writer[]> {
  const { stdout } = await docker.run('list containers', ['ps', '-q', '--no-trunc'], { readOnly: true })
  const result = await inspect(docker, stdout.split('\n').filter(Boolean))
  return parseFound(result).map((json) => ({
    name: json.at('Name').string().replace(/^\//, ''),
    project: json.at('Config', 'Labels', 'com.docker.compose.project').string(),
    writes: json
      .at('Mounts')
      .list()
      .filter((mount) => mount.record()['RW'] === true)
      .map((mount) => mount.at(mount.at('Type').string() === 'volume' ? 'Name' : 'Source').string()),
  }))
}
