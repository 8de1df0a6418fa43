import type { Evidence } from './init-evidence.ts'

/** What `stagecraft init` knows of the Compose application: where the Compose file says nothing of it, the file does not either. */
export interface TemplateInput extends Evidence {
  readonly project: string
}

/** @returns a commented `stagecraft.yml` that validates, as do its examples when they are uncommented. */
export function configTemplate({ project, expose, databases, renewed }: TemplateInput): string {
  const services = [...databases.flatMap((name) => [serviceLine(name), HOLD]), ...(expose ? exposeLines(expose) : [])]
  return [
    '# How Stagecraft releases this Compose application. What else can be said here: stagecraft init --schema',
    'project:',
    `  name: ${yamlKey(project)}`,
    '  # registry: ghcr.io/acme        # push images here; without it the engine that builds them runs them',
    '',
    '# compose: compose.yaml           # default: what docker compose would find',
    '',
    'environments:',
    "  local: {}                       # this machine's Docker engine",
    '  # prod:',
    '  #   env_file: .env.prod         # values for ${…} in the Compose file',
    ...(renewed.length === 0 ? [] : [commented(`data: [${renewed.map(yamlPath).join(', ')}]`, RENEWED)]),
    commented('keep: 5', 'completed releases kept for rollback, besides the current one'),
    ...(services.length === 0 ? [] : ['  #   services:', ...services]),
    '',
  ].join('\n')
}

const HOLD = '  #       rollout: {strategy: hold}      # never touched by a deploy'
const RENEWED = 'mounted from where it is: a release would have a copy of it'

function commented(text: string, comment: string): string {
  return `  #   ${text.padEnd(28)}# ${comment}`
}

function serviceLine(name: string): string {
  return `  #     ${yamlKey(name)}:`
}

function exposeLines({ service, port, host = 'shop.example.com' }: NonNullable<Evidence['expose']>): string[] {
  return [
    serviceLine(service),
    `  #       expose: {host: ${host}, port: ${port}}   # by the host's proxy: it rolls, and no request notices`,
    '  #       rollout: {health_timeout: 60s, drain_timeout: 30s}',
  ]
}

function yamlPath(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : JSON.stringify(path)
}

/** Names such as `true` or `1e3` are no strings in YAML unless they are quoted. */
function yamlKey(name: string): string {
  const plain = /^[a-zA-Z_][\w-]*$/.test(name) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(name)
  return plain ? name : JSON.stringify(name)
}
