import { childError, type Docker, listLabels, verb } from '../client.ts'
import { parseFound } from '../inspect.ts'

// Configs that hold what Stagecraft itself keeps in a Swarm: all managers have them. A config never changes, and its name is unique,
// so that of several that create the same one, one alone succeeds.

/** A config of ours. */
export interface StoredConfig {
  readonly name: string
  /** of its label */
  readonly value: string
}

/** The label of all configs of one environment, and the label with the value of each. */
const [STORE, VALUE] = ['stagecraft.store', 'stagecraft.value']

/** Milliseconds for one command, and configs that are named in one: docker prints twice their size. */
const [PATIENCE, AT_ONCE] = [30_000, 6]

const create = verb(['config', 'create'], { timeout: PATIENCE })
const remove = verb(['config', 'rm'], { timeout: PATIENCE })
const inspect = verb(['config', 'inspect'], { timeout: PATIENCE, limit: 32 * 1024 * 1024 })

/** @returns the configs of a store. @throws failed (5), unreachable (8) */
export async function listStored(docker: Docker, store: string): Promise<StoredConfig[]> {
  const rows = await listLabels(docker, 'config', `${STORE}=${store}`, [VALUE], { timeout: PATIENCE })
  return rows.flatMap(([name = '', ...value]) => (name === '' ? [] : [{ name, value: value.join('\t') }]))
}

/** @param text less than 1,024,000 bytes @returns false: there is one of that name. @throws failed (5), unreachable (8) */
export async function createStored(
  docker: Docker,
  store: string,
  { name, value }: StoredConfig,
  text: string,
): Promise<boolean> {
  const label = [`${STORE}=${store}`, `${VALUE}=${value}`]
  const result = await create(docker, [name, '-'], { flags: { label }, input: text })
  if (result.code === 0) return true
  if (/already exists/i.test(result.stderr)) return false
  throw childError(`write config ${name}`, result)
}

/** @returns the texts of configs by name; those that do not exist are left out. @throws failed (5), unreachable (8) */
export async function readStored(docker: Docker, names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const some = names.slice(at, at + AT_ONCE)
    const result = await inspect(docker, some)
    if (result.code !== 0 && !MISSING.test(result.stderr)) throw childError('read configs', result)
    for (const json of parseFound(result)) {
      const data = Buffer.from(json.at('Spec', 'Data').string(), 'base64')
      found.set(json.at('Spec', 'Name').string(), data.toString('utf8'))
    }
  }
  return found
}

const MISSING = /not found|no such/i

/** It is no error if one does not exist. @returns whether all of them did. @throws failed (5), unreachable (8) */
export async function removeStored(docker: Docker, names: readonly string[]): Promise<boolean> {
  const result = await remove(docker, names)
  if (result.code === 0) return true
  if (MISSING.test(result.stderr)) return false
  throw childError('remove configs', result)
}
