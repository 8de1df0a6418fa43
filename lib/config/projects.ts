import { type HostAddress, hostKey } from './host-address.ts'
import type { Problem, YamlFile, YamlPath } from './yaml-file.ts'

/** The settings that decide an environment's Compose project and engine. */
interface Placed {
  readonly hosts?: readonly HostAddress[]
  readonly compose_project?: string
}

/** @returns the Compose project's name if stagecraft.yml alone decides it */
export function projectNameOf(name: string, settings: Placed | null, project: string | undefined): string | undefined {
  if (settings?.compose_project !== undefined) return settings.compose_project
  return name === 'local' || project === undefined ? undefined : `${project}-${name}`
}

const DEV = '--dev'

/** @returns the Compose project of `stagecraft dev`: no environment has it, unless its own name ends like that */
export function devProject(project: string): string {
  return `${project}${DEV}`
}

/** @returns whether a Compose project is that of `stagecraft dev`, and so no application that somebody runs for others */
export function isDevProject(project: string): boolean {
  return project.endsWith(DEV)
}

/** @returns whether two environments share an engine: this machine's, or that of a host, regardless of the logins */
function shareEngine(one: Placed | null, other: Placed | null): boolean {
  if (one?.hosts === undefined || other?.hosts === undefined) return one?.hosts === other?.hosts
  const keys = new Set(one.hosts.map(engineKey))
  return other.hosts.some((host) => keys.has(engineKey(host)))
}

function engineKey(host: HostAddress): string {
  return hostKey(host).toLowerCase().replace(/_22$/, '')
}

/** The environments of a file, in its order. */
type Environments = Readonly<Record<string, Placed | null>>

/** @returns the environments on the same engine that are earlier in the file: a Compose project belongs to the first */
export function earlierOnEngine(environments: Environments, name: string): string[] {
  const own = environments[name] ?? null
  const names = Object.keys(environments)
  return names.slice(0, names.indexOf(name)).filter((other) => shareEngine(environments[other] ?? null, own))
}

/** @returns the error at the `compose_project` of the second environment, else the first one's, else at the second */
export function sharedProblem(file: YamlFile, project: string, [first, second]: readonly [string, string]): Problem {
  const { value } = file
  const says = (name: string) => read(value, ['environments', name, 'compose_project']) !== undefined
  const by = says(second) || !says(first) ? second : first
  const path = ['environments', by]
  const place = says(by) ? file.locate([...path, 'compose_project'], 'value') : file.locate(path, 'key')
  const message = `${first} and ${second} use the same Compose project, ${project}, on the same engine: give one of them another compose_project`
  return { ...place, message }
}

function read(value: unknown, path: YamlPath): unknown {
  let inner = value
  for (const step of path)
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[step] : undefined // checked
  return inner
}
