import { hostKey, parseHostName } from './host-name.ts'
import type { Problem, YamlFile, YamlPath } from './yaml-file.ts'

/** What says which Compose project an environment is, and where it runs. */
interface Placed {
  readonly hosts?: readonly string[]
  readonly compose_project?: string
}

/** @returns the Compose project's name as far as stagecraft.yml alone says it */
export function projectNameOf(name: string, settings: Placed | null, project: string | undefined): string | undefined {
  if (settings?.compose_project !== undefined) return settings.compose_project
  return name === 'local' || project === undefined ? undefined : `${project}-${name}`
}

/** @returns whether two environments run on one engine: this machine's, or that of a host, whatever their logins are */
function shareEngine(one: Placed | null, other: Placed | null): boolean {
  if (one?.hosts === undefined || other?.hosts === undefined) return one?.hosts === other?.hosts
  const keys = new Set(one.hosts.map(keyOf))
  return other.hosts.some((host) => keys.has(keyOf(host)))
}

function keyOf(host: string): string {
  return hostKey(parseHostName(host) ?? { written: host, name: host })
    .toLowerCase()
    .replace(/_22$/, '')
}

/** The environments of a file, in its order. */
type Environments = Readonly<Record<string, Placed | null>>

/** @returns those on the same engine that are before one in the file: a Compose project is that of the first */
export function earlierOnEngine(environments: Environments, name: string): string[] {
  const own = environments[name] ?? null
  const names = Object.keys(environments)
  return names.slice(0, names.indexOf(name)).filter((other) => shareEngine(environments[other] ?? null, own))
}

/** @param names of the two environments; the line is where the second says it, or the first */
export function sharedProblem(file: YamlFile, project: string, [first, second]: readonly [string, string]): Problem {
  const { value } = file
  const says = (name: string) => read(value, ['environments', name, 'compose_project']) !== undefined
  const by = says(second) || !says(first) ? second : first
  const path = ['environments', by]
  const place = says(by) ? file.locate([...path, 'compose_project'], 'value') : file.locate(path, 'key')
  const message = `${first} and ${second} have one Compose project, ${project}, on one engine: give one of them another compose_project`
  return { ...place, message }
}

function read(value: unknown, path: YamlPath): unknown {
  let inner = value
  for (const step of path)
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[step] : undefined // checked
  return inner
}
