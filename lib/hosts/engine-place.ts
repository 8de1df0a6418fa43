import { hostname } from 'node:os'
import { type EnginePlace, engineMachine } from '../docker/engine/facts.ts'
import type { Emit } from '../output/events.ts'
import type { Exec } from '../system/exec.ts'

/**
 * DOCKER_HOST or a context may select an engine on another machine, which mounts that machine's paths. An engine knows the name
 * of its machine, even behind a tunnel.
 * @returns whether docker uses another machine's engine; also true if it does not answer, which a later command reports
 */
export async function isEngineElsewhere(exec: Exec): Promise<boolean> {
  return (await engineMachine(exec)) !== hostname()
}

/** What sayEngine needs to know. */
interface Asked {
  readonly environment: string
  readonly now: EnginePlace
  /** the live release's engine; undefined: there is none, or its bundle does not name it */
  readonly before: EnginePlace | undefined
  /** the release mounts files of this machine */
  readonly hasFiles: boolean
}

/** Warns if an environment without `hosts:` is on another engine than last time, or on another machine's: it may be a mistake. */
export function sayEngine({ environment, now, before, hasFiles }: Asked, emit: Emit): void {
  if (before !== undefined && before.id !== now.id)
    emit({
      type: 'warning',
      message: `${environment} is on another engine than last time: ${describe(now)}, and not ${describe(before)}`,
      hint:
        `What runs on ${before.name} stays there, and everything is created on ${now.name}, with empty volumes. ` +
        'If you do not want that: docker context ls, and unset DOCKER_HOST. `hosts:` in stagecraft.yml sets it for good.',
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

/** Behind a socket may be a virtual machine that shares this machine's files: without mounted files that is not reported. */
function isRemote({ name, endpoint }: EnginePlace, hasFiles: boolean): boolean {
  if (name === hostname() || VIRTUAL.test(name)) return false
  if (/^(tcp|ssh|https?):/.test(endpoint)) return true
  return hasFiles && process.platform === 'linux'
}

/** Names of engines in virtual machines that share the files of their host. */
const VIRTUAL = /^(docker-desktop|linuxkit-.*|colima.*|lima-.*|orbstack|rancher-desktop)$/i

function describe({ name, endpoint }: EnginePlace): string {
  return endpoint === '' ? name : `${name} (${endpoint})`
}
