import { plainLine } from '../../../util/format.ts'
import { databaseLines } from './databases.ts'
import type { EnvFile, TemplateInput } from './input.ts'
import { serviceLines } from './services.ts'
import { aligned, commented, listOf, prose, trailing, yamlText } from './yaml-lines.ts'

export const SCHEMA_FILE = 'stagecraft.schema.json'

/** @returns a `stagecraft.yml`. It validates, also if what is commented out in it is not. */
export function configTemplate(input: TemplateInput): string {
  const name = environmentName(input)
  const isLocal = input.hosts.length === 0
  const settings = settingsLines(input)
  const hasSettings = settings.some((line) => !line.startsWith('#'))
  const anchor = isLocal && hasSettings ? ` &${name}` : settings.length === 0 ? ' {}' : ''
  const key = `  ${name}:${anchor}`
  return aligned([
    `# yaml-language-server: $schema=${SCHEMA_FILE}`,
    '# How Stagecraft releases this Compose application. What is commented out is for you to decide.',
    'project:',
    `  name: ${yamlText(input.project)}`,
    ...(input.builds ? [trailing('  # registry: ghcr.io/acme', REGISTRY)] : []),
    ...composeLines(input.composeFiles),
    '',
    'environments:',
    isLocal ? trailing(key, "this machine's Docker engine") : key,
    ...settings.map((line) => `    ${line}`),
    ...(isLocal ? ['', ...commented(serverLines(hasSettings), '  ')] : []),
    '',
  ]).join('\n')
}

/** @returns the environment that is written */
export function environmentName({ hosts }: Pick<TemplateInput, 'hosts'>): string {
  return hosts.length === 0 ? 'local' : 'prod'
}

const REGISTRY = 'built images are pushed there; without it, sent to a server over SSH'

/** An example for a project that has begun without a server. */
function serverLines(hasSettings: boolean): string[] {
  return [
    trailing('prod:', 'on a server, over SSH; stagecraft bootstrap makes it ready'),
    ...(hasSettings ? [trailing('  <<: *local', 'what local has')] : []),
    '  hosts: deploy@server.example.com',
    trailing('  env_file: .env.prod', VALUES),
  ]
}

const TAKES_OVER = 'what runs already: the first deploy takes it over, with its volumes'
const VALUES = 'values for ${…} in the Compose file, instead of .env'

function settingsLines(input: TemplateInput): string[] {
  const { hosts, migrations, composeProject } = input
  return [
    ...(composeProject === undefined ? [] : [trailing(`compose_project: ${yamlText(composeProject)}`, TAKES_OVER)]),
    ...(hosts.length === 0 ? [] : [`hosts: ${listOf(hosts)}`, ...envFileLines(input.envFile)]),
    ...dataLines(input),
    ...databaseLines(migrations),
    ...serviceLines(input),
  ]
}

function envFileLines(found: EnvFile | undefined): string[] {
  if (found === undefined) return [`# ${trailing('env_file: .env.prod', VALUES)}`]
  const { name, missing, isSure } = found
  const line = trailing(`env_file: ${name}`, VALUES)
  if (missing.length === 0) return [isSure ? line : `# ${line}`]
  const lacks = `${name} has no ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ' …' : ''}: the later file wins`
  return [`# ${trailing(`env_file: [.env, ${name}]`, lacks)}`]
}

/** Several files: those for production belong to a release, those for development do not. */
function composeLines([main, ...others]: readonly string[]): string[] {
  const production = others.find((name) => /prod/i.test(name))
  const override = others.find((name) => /\.override\./.test(name))
  if (main === undefined) return []
  if (production !== undefined)
    return ['', trailing(`# compose: [${main}, ${production}]`, 'default: without the second')]
  if (override === undefined) return []
  return ['', trailing(`# compose: ${main}`, `without ${override}, which docker compose adds by itself`)]
}

function dataLines({ folders, renewed, unclear, hosts }: TemplateInput): string[] {
  const isLocal = hosts.length === 0
  const begins = isLocal ? [] : Object.entries(unclear).flatMap(([path, services]) => prose(emptyText(path, services)))
  const item = (path: string, why: string) => trailing(`- ${yamlText(path)}`, plainLine(why))
  const kept = Object.entries(folders).map(([path, services]) => item(path, `written by ${services.join(', ')}`))
  if (kept.length > 0) {
    const what = isLocal
      ? 'stays in place: no copy in a release'
      : 'begins empty on the host: nothing is copied from here'
    const unsure = renewed.map((path) => `# ${item(path, RENEWED)}`)
    return [...begins, trailing('data:', what), ...[...kept, ...unsure].map((line) => `  ${line}`)]
  }
  if (renewed.length === 0) return begins
  return [...begins, `# ${trailing(`data: [${renewed.map(yamlText).join(', ')}]`, RENEWED)}`]
}

const RENEWED = 'if something renews it: a release would have a copy'

function emptyText(path: string, services: readonly string[]): string {
  const read = services.length > 1 ? 'read' : 'reads'
  return plainLine(
    `${path} is mounted writable, so on the host it begins empty. If ${services.join(', ')} only ${read} it, add :ro in the Compose file, and each release has a copy of it.`,
  )
}
