/** What `stagecraft init` knows of the Compose application. */
export interface TemplateInput {
  readonly project: string
  /** A service that is deployed again and again. */
  readonly service: string
  /** A service that holds data. */
  readonly database?: string
}

/** @returns a commented `stagecraft.yml` that validates, as do its examples when they are uncommented. */
export function configTemplate({ project, service, database }: TemplateInput): string {
  const hold = database === undefined ? [] : [`  #     ${yamlKey(database)}:`, HOLD]
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
    '  #   data: [./uploads]           # folders that are never part of a release',
    '  #   keep: 5                     # completed releases kept for rollback, besides the current one',
    '  #   services:',
    ...hold,
    `  #     ${yamlKey(service)}:`,
    "  #       expose: {host: shop.example.com, port: 3000}   # by the host's proxy: it rolls, and no request notices",
    '  #       rollout: {health_timeout: 60s, drain_timeout: 30s}',
    '',
  ].join('\n')
}

const HOLD = '  #       rollout: {strategy: hold}      # never touched by a deploy'

/** Names such as `true` or `1e3` are no strings in YAML unless they are quoted. */
function yamlKey(name: string): string {
  const plain = /^[a-zA-Z_][\w-]*$/.test(name) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(name)
  return plain ? name : JSON.stringify(name)
}
