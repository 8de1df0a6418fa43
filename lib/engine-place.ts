import { hostname } from 'node:os'
import type { Docker } from './docker.ts'
import { engineTimeout } from './engine.ts'
import type { Emit } from './events.ts'
import type { Exec } from './exec.ts'

/**
 * Where docker leads to another machine (DOCKER_HOST, a context), that machine's paths are what is mounted. An engine knows the
 * name of its machine, whatever socket leads to it.
 * @returns whether it is another one than this; also where it does not answer: whoever needs it is told of that
 */
export async function isEngineElsewhere(exec: Exec): Promise<boolean> {
  const argv = ['docker', 'info', '--format', '{{.Name}}']
  const { code, stdout } = await exec(argv, { timeout: engineTimeout(process.env) })
  return code !== 0 || stdout.trim() !== hostname()
}

/** Which engine an environment without `hosts:` is on. Kept in the bundle of each release. */
export interface EnginePlace {
  /** its own, given once */
  readonly id: string
  /** of its machine */
  readonly name: string
  /** how docker reaches it: `unix:///var/run/docker.sock`, `ssh://deploy@web-1` */
  readonly endpoint: string
}

/** @returns the engine that docker leads to; undefined where it does not say. @throws unreachable (8) for one that hangs */
export async function askEngine(docker: Docker): Promise<EnginePlace | undefined> {
  const [info, context] = await Promise.all([
    docker.try(['info', '--format', '{{.ID}}\t{{.Name}}'], { asks: true }),
    docker.try(['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'], { asks: true }),
  ])
  const [id = '', name = ''] = info.stdout.trim().split('\t')
  if (info.code !== 0 || id === '' || name === '') return undefined
  return { id, name, endpoint: context.code === 0 ? context.stdout.trim() : '' }
}

/** What is said of an engine follows from these. */
interface Asked {
  readonly environment: string
  readonly now: EnginePlace
  /** that of the live release; undefined: there is none, or it does not say */
  readonly before: EnginePlace | undefined
  /** the release mounts files of this machine */
  readonly hasFiles: boolean
}

/** Says where an environment goes that names no hosts, where that is not what somebody who forgot about it would think. */
export function sayEngine({ environment, now, before, hasFiles }: Asked, emit: Emit): void {
  if (before !== undefined && before.id !== now.id)
    emit({
      type: 'warning',
      message: `${environment} is on another engine than last time: ${describe(now)}, and not ${describe(before)}`,
      hint:
        `What runs on ${before.name} stays there, and everything is created on ${now.name}, with empty volumes. ` +
        'If that is not meant: docker context ls, and unset DOCKER_HOST. `hosts:` in stagecraft.yml says it for good.',
    })
  if (!isRemote(now, hasFiles)) return
  const host = /^ssh:\/\//.test(now.endpoint) ? `hosts: ${now.endpoint}` : 'hosts: user@host'
  emit({
    type: 'warning',
    message: `${environment} is on the engine of another machine: ${describe(now)}`,
    hint:
      'Images, ports, networks and named volumes work there; bind mounts, configs and secrets of files here do not, unless that machine has them ' +
      `under the same paths. To have them brought there: \`${host}\` in stagecraft.yml.`,
  })
}

/** A socket may lead to a virtual machine that shares this one's files: then it is not said where no file is mounted. */
function isRemote({ name, endpoint }: EnginePlace, hasFiles: boolean): boolean {
  if (name === hostname() || VIRTUAL.test(name)) return false
  if (/^(tcp|ssh|https?):/.test(endpoint)) return true
  return hasFiles && process.platform === 'linux'
}

/** Engines in virtual machines that share the files of the machine they are on, as they call themselves. */
const VIRTUAL = /^(docker-desktop|linuxkit-.*|colima.*|lima-.*|orbstack|rancher-desktop)$/i

function describe({ name, endpoint }: EnginePlace): string {
  return endpoint === '' ? name : `${name} (${endpoint})`
}
