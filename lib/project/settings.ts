import { resolve } from 'node:path'
import { resolveVariables } from '../compose/load.ts'
import type { ComposeModel, ComposeSource } from '../compose/model.ts'
import type { Topology } from '../compose/topology.ts'
import type { Config, Environment } from '../config/parse.ts'
import type { Host } from '../hosts/host.ts'
import type { Acme } from '../plan/routes/table.ts'
import type { Exec } from '../system/exec.ts'
import { readSources } from './secrets/sources.ts'

/** A project folder and the environment of a command, without the Compose file. Paths are absolute. */
export interface Settings {
  /** the environment's first host, which has the state, or this machine */
  readonly host: Host
  /** all hosts, in order */
  readonly hosts: readonly Host[]
  readonly directory: string
  readonly config: Config
  readonly environment: Environment
  readonly stateFile: string
  /** values of secrets that were read from their sources, by variable */
  readonly values?: Readonly<Record<string, string>>
}

/** What the proxy gets from files and secrets that stagecraft.yml names. */
export interface Edge {
  /** the CA of routes with `tls: auto`; absent: Caddy's default */
  readonly acme?: Acme
  /** secrets of the CA's account and of the DNS provider: in the configuration there are their digests */
  readonly secrets: readonly string[]
  /** certificates with their keys, as PEM, by service */
  readonly certificates: Readonly<Record<string, string>>
  /** error pages, by the name of their file in the proxy */
  readonly pages: Readonly<Record<string, string>>
}

/** A Compose application and the environment of a command. */
export interface Project extends Settings {
  readonly source: ComposeSource
  /** of the current Compose file */
  readonly model: ComposeModel
  readonly topology: Topology
  /** values of the `environment:` configs and secrets, by variable */
  readonly variables: Readonly<Record<string, string>>
  /** paths that are never content */
  readonly data: readonly string[]
  /** values that must not be shown */
  readonly secrets: readonly string[]
  /** connection strings by database; read only for what migrates or looks */
  readonly connections?: Readonly<Record<string, string>>
  /** for the proxy; read only for what deploys or plans */
  readonly edge?: Edge
  /** the engine is on another machine, though the environment has no hosts (DOCKER_HOST, a context) */
  readonly elsewhere?: boolean
}

/** @returns the same settings, whose releases run no hooks */
export function withoutHooks<T extends Settings>(settings: T): T {
  return { ...settings, environment: { ...settings.environment, hooks: {} } }
}

/**
 * @returns the value of a variable from its source (`secrets` in stagecraft.yml), else in the environment's env file, else in the
 * variables of this process; empty: it is not set
 * @throws config (3) if its source cannot be read
 */
export async function readVariable(settings: Settings, name: string): Promise<string> {
  const { directory, environment, host, values = {} } = settings
  const own = values[name] ?? (await readSources(environment, [name], { exec: host.local, directory }))[name]
  if (own !== undefined) return own
  // Compose prefers the shell's variable. An env file is this environment's own: the shell may have another one's.
  const withoutOwn: Exec = (argv, options) =>
    host.local(argv, { ...options, env: { ...options?.env, [name]: undefined } })
  const envFiles = environment.env_file.map((file) => resolve(directory, file))
  const found = await resolveVariables(withoutOwn, { directory, files: [], envFiles }, [name]).catch(() => undefined)
  return found?.[name] || process.env[name] || ''
}
