import type { Evidence } from '../evidence.ts'

/** What `stagecraft init` has found out about the Compose application, and was given. */
export interface TemplateInput extends Evidence {
  readonly project: string
  /** the Compose project of what runs already, if the environment's own would be another one */
  readonly composeProject?: string | undefined
  /** where it runs; empty: this machine */
  readonly hosts: readonly string[]
  /** the host name of the service that answers HTTP */
  readonly domain?: string | undefined
  readonly envFile?: EnvFile | undefined
  /** the Compose files in the project folder, the default one first */
  readonly composeFiles: readonly string[]
}

/** An env file for a server. */
export interface EnvFile {
  readonly name: string
  /** names in `.env` that it lacks */
  readonly missing: readonly string[]
  /** it replaces `.env`, and is no file of another program */
  readonly isSure: boolean
}
