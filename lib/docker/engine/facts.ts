import type { Exec } from '../../system/exec.ts'
import { StagecraftError } from '../../util/errors.ts'
import type { Docker } from '../client.ts'
import { parseEngineTime } from '../inspect.ts'
import { engineTimeout, noEngine } from './answers.ts'

/** The engine of an environment without `hosts:`. Kept in the bundle of each release. */
export interface EnginePlace {
  /** the engine's own, which never changes */
  readonly id: string
  /** its machine's name */
  readonly name: string
  /** how docker reaches it: `unix:///var/run/docker.sock`, `ssh://deploy@web-1` */
  readonly endpoint: string
}

/** @returns the engine that docker uses; undefined if it does not report an id and a name. @throws unreachable (8) if it hangs */
export async function askEngine(docker: Docker): Promise<EnginePlace | undefined> {
  const [info, endpoint] = await Promise.all([
    docker.try(['info', '--format', '{{.ID}}\t{{.Name}}'], { readOnly: true }),
    askEndpoint(docker),
  ])
  const [id = '', name = ''] = info.stdout.trim().split('\t')
  return info.code !== 0 || id === '' || name === '' ? undefined : { id, name, endpoint }
}

/** @returns how docker reaches its engine: `unix:///var/run/docker.sock`; empty: it does not say */
export async function askEndpoint(docker: Docker): Promise<string> {
  const args = ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}']
  const { code, stdout } = await docker.try(args, { readOnly: true })
  return code === 0 ? stdout.trim() : ''
}

/** @returns the engine's `os/arch`. @throws unreachable (8) if no engine answers */
export async function enginePlatform(docker: Docker): Promise<string> {
  const result = await docker.try(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'], { readOnly: true })
  if (result.code === 0) return result.stdout.trim()
  throw noEngine(result.stderr.trim())
}

/** @returns the engine's version and platform, for people: `28.5.1 (linux/amd64)`. @throws failed (5), unreachable (8) */
export async function engineVersion(docker: Docker): Promise<string> {
  const format = '{{.Server.Version}} ({{.Server.Os}}/{{.Server.Arch}})'
  const { stdout } = await docker.run('ask the engine', ['version', '--format', format], { readOnly: true })
  return stdout.trim()
}

/**
 * @returns the time of the engine's own clock, epoch milliseconds: its times of containers and events are compared only with
 * this
 * @throws failed (5), unreachable (8)
 */
export async function engineNow(docker: Docker): Promise<number> {
  const args = ['info', '--format', '{{.SystemTime}}']
  const { stdout } = await docker.run('ask the engine for its time', args, { readOnly: true })
  const time = parseEngineTime(stdout.trim())
  if (time !== undefined) return time
  throw new StagecraftError('failed', 'Cannot ask the engine for its time: docker info does not report it', {
    detail: stdout,
  })
}

/** @returns the name of the engine's machine; undefined if it does not answer */
export async function engineMachine(exec: Exec): Promise<string | undefined> {
  const argv = ['docker', 'info', '--format', '{{.Name}}']
  const { code, stdout } = await exec(argv, { timeout: engineTimeout(process.env) })
  return code === 0 ? stdout.trim() : undefined
}

/** Asks for the API versions of docker here and of an engine, and for the engine's `os/arch`. */
export const ASK_VERSION = [
  ...['docker', 'version', '--format'],
  '{{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}',
]

/**
 * @param said what `ASK_VERSION` prints
 * @returns the API version that both have: docker names its own newest one where the engine took more than 2 s to be reached
 */
export function parseVersion(said: string): { readonly version: string; readonly platform: string } {
  const [ours = '', theirs = '', platform = ''] = said.trim().split(' ')
  const order = (version: string) => {
    const [major = 0, minor = 0] = version.split('.').map(Number)
    return major * 1000 + minor
  }
  return { version: order(theirs) < order(ours) ? theirs : ours, platform }
}

/** Ask programs of this machine for their versions. */
export const CLIENT_VERSIONS = {
  docker: ['docker', '--version'],
  compose: ['docker', 'compose', 'version', '--short'],
  buildx: ['docker', 'buildx', 'version'],
} as const
