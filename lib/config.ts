/** What `stagecraft.yml` says (spec/core/config.md). Durations are milliseconds; paths are as written. */
export interface Config {
  /** Absolute path of the file this came from; absent when the project has none. */
  readonly file?: string
  readonly project: { readonly name?: string; readonly registry?: string }
  /** Compose files, relative to the project folder; empty: what docker compose would find. */
  readonly compose: readonly string[]
  readonly environments: Readonly<Record<string, EnvironmentConfig>>
}

export interface EnvironmentConfig {
  readonly env_file: readonly string[]
  readonly compose_project?: string
  readonly data: readonly string[]
  readonly services: Readonly<Record<string, ServiceConfig>>
}

export interface ServiceConfig {
  readonly job?: boolean
  readonly rollout: RolloutConfig
}

export interface RolloutConfig {
  readonly strategy?: 'recreate' | 'hold'
  readonly health_timeout?: number
  readonly min_ready?: number
}

/** The environment a command acts on. */
export interface Environment extends EnvironmentConfig {
  readonly name: string
}

/**
 * Reads `stagecraft.yml` of a project folder, or gives the default where there is none.
 * @throws StagecraftError `config` with every error in the file, each with line and column.
 */
export async function loadConfig(directory: string): Promise<Config> {
  throw new Error(`not written yet: ${directory}`)
}

/**
 * Chooses the environment: the one named, or the only one there is.
 * @throws StagecraftError `not-found` for an unknown name, `usage` when there are several and none is named.
 */
export function selectEnvironment(config: Config, name: string | undefined): Environment {
  throw new Error(`not written yet: ${config.file} ${name}`)
}
