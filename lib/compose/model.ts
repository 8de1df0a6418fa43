/** A Compose model as `docker compose config --format json` prints it: interpolated, absolute, in long forms. */
export interface ComposeModel {
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
  readonly networks?: Readonly<Record<string, Resource | null>>
  readonly volumes?: Readonly<Record<string, Resource | null>>
  readonly configs?: Readonly<Record<string, FileResource>>
  readonly secrets?: Readonly<Record<string, FileResource>>
}

/** One service. Only the keys that Stagecraft reads are typed; all others are kept unchanged. */
export interface Service {
  readonly image?: string
  readonly build?: Build | null
  readonly pull_policy?: string
  readonly platform?: string
  readonly container_name?: string
  readonly depends_on?: Readonly<Record<string, Dependency>>
  readonly environment?: Readonly<Record<string, string | null>> | null
  readonly volumes?: readonly Mount[]
  readonly ports?: readonly Port[]
  readonly configs?: readonly FileMount[]
  readonly secrets?: readonly FileMount[]
  readonly networks?: Readonly<Record<string, unknown>> | null
  readonly network_mode?: string
  readonly ipc?: string
  readonly pid?: string
  readonly volumes_from?: readonly string[]
  readonly links?: readonly string[]
  readonly scale?: number
  readonly deploy?: { readonly replicas?: number; readonly [key: string]: unknown } | null
  readonly healthcheck?: Healthcheck | null
  readonly [key: string]: unknown
}

export interface Build {
  readonly context: string
  readonly dockerfile?: string
  readonly dockerfile_inline?: string
  /** a stage of the Dockerfile */
  readonly target?: string
  readonly additional_contexts?: Readonly<Record<string, string>> | readonly string[]
  readonly args?: Readonly<Record<string, string | null>> | null
  readonly tags?: readonly string[]
  readonly platforms?: readonly string[]
  readonly [key: string]: unknown
}

export interface Dependency {
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully'
  readonly restart?: boolean
  readonly required?: boolean
}

export interface Mount {
  readonly type: string
  readonly source?: string
  readonly target: string
  readonly read_only?: boolean
  readonly bind?: Readonly<Record<string, unknown>> | null
  readonly [key: string]: unknown
}

/** `published` is always a string, for a number or a range too. */
export interface Port {
  readonly target: number
  readonly published?: string
  readonly host_ip?: string
  readonly protocol?: string
  /** of a Swarm: `ingress`, its routing mesh (the default), or `host`, a port of the node alone */
  readonly mode?: string
}

export interface FileMount {
  readonly source: string
  readonly target?: string
  readonly mode?: number | string
  readonly [key: string]: unknown
}

/** Durations as Compose prints them: `30s`, `1m30s`. */
export interface Healthcheck {
  readonly test?: readonly string[]
  readonly interval?: string
  readonly timeout?: string
  readonly start_period?: string
  readonly retries?: number
  readonly disable?: boolean
}

export interface Resource {
  readonly name?: string
  readonly external?: boolean
  readonly [key: string]: unknown
}

export interface FileResource extends Resource {
  readonly file?: string
  readonly content?: string
  readonly environment?: string
}

/** What Compose reads. Paths are absolute, or relative to `directory`. */
export interface ComposeSource {
  readonly directory: string
  /** empty: those that docker compose finds by default */
  readonly files: readonly string[]
  readonly envFiles: readonly string[]
  /** undefined: docker compose's default name */
  readonly project?: string | undefined
}

/** The files of which Compose reads the first that exists (compose-go, DefaultFileNames). */
export const DEFAULT_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml']
