import { table } from '../util/format.ts'

/** What became of the keys of the earlier Stagecraft, which was written in Go: by key, `*` is any name. */
const BECAME: readonly (readonly [key: string, became: string])[] = [
  ['project.name', 'stays'],
  ['backend', 'a service of the Compose file, with build, command and ports'],
  ['frontend', 'a service of the Compose file, with build, command and ports'],
  ['dev.domains', '`expose: {host, port}` of a service; `stagecraft dev` routes it at https://….localhost'],
  ['databases.*.connection_env', 'environments.<env>.databases.<name>.connection_env'],
  ['databases.*.migrations.engine', 'environments.<env>.databases.<name>.migrations.engine: raw, job or command'],
  ['databases.*.migrations.path', 'environments.<env>.databases.<name>.migrations.path'],
  ['databases.*.migrations.strategy', 'environments.<env>.databases.<name>.migrations.strategy, with the same words'],
  ['environments.*.driver', '`hosts: user@server` for a server; left out for this machine'],
  ['environments.*.env_file', 'stays'],
]

/**
 * Recognises the stagecraft.yml of the earlier Stagecraft by keys that only that one had.
 * @returns its keys, and what each became, as lines; undefined: it is another file
 */
export function earlierKeys(value: unknown): string[] | undefined {
  const isEarlier = ['backend.provider', 'frontend.provider', 'environments.*.driver'].some((key) => has(value, key))
  if (!isEarlier) return undefined
  return table(BECAME.flatMap(([key, became]) => (has(value, key) ? [[key.replace('*', '<name>'), became]] : [])))
}

/** @param path names with dots between them; `*` is any name */
function has(value: unknown, path: string): boolean {
  const [first = '', ...rest] = path.split('.')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const inner = Object.entries(value).flatMap(([key, one]) => (first === '*' || first === key ? [one] : []))
  return rest.length === 0 ? inner.length > 0 : inner.some((one) => has(one, rest.join('.')))
}
