import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_FILES } from '../../compose/model.ts'
import type { EnvFile } from './template/input.ts'

/** Other programs read `.env.production` (Next.js, Vite): it may have no values for the Compose file. */
const CANDIDATES = ['.env.prod', '.env.production']

/** @returns the env file for a server in the project folder */
export function findEnvFile(directory: string): EnvFile | undefined {
  const name = CANDIDATES.find((file) => existsSync(join(directory, file)))
  if (name === undefined) return undefined
  const has = namesIn(join(directory, name))
  const missing = namesIn(join(directory, '.env')).filter((one) => !has.includes(one))
  return { name, missing, isSure: name === CANDIDATES[0] && missing.length === 0 }
}

function namesIn(file: string): string[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.flatMap((line) => /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*[=:]/.exec(line)?.[1] ?? [])
}

/** @returns the Compose files in the project folder, the one that docker compose finds first; none if it is given others */
export function findComposeFiles(directory: string, env: Readonly<Record<string, string | undefined>>): string[] {
  const found = readdirSync(directory).filter((name) => /^(docker-)?compose[\w.-]*\.ya?ml$/.test(name))
  const main = DEFAULT_FILES.find((name) => found.includes(name))
  if (main === undefined || env['COMPOSE_FILE'] || namesIn(join(directory, '.env')).includes('COMPOSE_FILE')) return []
  return [main, ...found.filter((name) => name !== main).toSorted()]
}
