import type { Keeps, MovedData, Replaced } from './data-places.ts'
import { StagecraftError } from './errors.ts'
import type { Event } from './events.ts'
import { parseHostName, sshArguments } from './host-name.ts'

/** What the errors about data say besides. */
export interface Notice {
  readonly environment: string
  /** the Compose project */
  readonly project: string
  /** as stagecraft.yml has it; undefined: this machine */
  readonly host: string | undefined
  /** hosts as they are written, by their keys */
  readonly written: ReadonlyMap<string, string>
}

/** A service with data would start on a host that has none of it. */
export function moved(
  { host = '', project, written }: Notice,
  { kept, from }: MovedData,
  there: Keeps,
): StagecraftError {
  const { service, what } = kept
  const old = from.map((key) => written.get(key) ?? key)
  const [source = ''] = old
  return new StagecraftError(
    'config',
    `Cannot move ${service} from ${old.join(', ')} to ${host}: its data would stay behind (${what})`,
    {
      detail: [
        'To bring it there, as root or as who may use the engines:',
        ...copyBetween({ source, host, project }, kept, there),
      ].join('\n'),
      hint:
        `Say that you have brought it there: services.${service}.moved_from: ${source} in stagecraft.yml. ` +
        `Or leave ${service} where it is.`,
    },
  )
}

export function notThere({ host = '' }: Notice, { service, what }: Keeps): StagecraftError {
  return new StagecraftError('config', `Cannot move ${service} to ${host}: ${what} is not there, or is empty`, {
    hint: 'Copy the data there first, or leave `moved_from` out to read how.',
  })
}

function copyBetween(
  { source, host, project }: { readonly source: string; readonly host: string; readonly project: string },
  { service, volume, folder }: Keeps,
  there: Keeps,
): string[] {
  const stop = `docker -H ${sshUrl(source)} compose -p ${project} stop ${service}`
  if (volume !== undefined) {
    const tar = `run --rm -v ${volume}:/from busybox tar -C /from -cf - .`
    const untar = `run --rm -i -v ${there.volume ?? volume}:/to busybox tar -C /to -xf -`
    return [stop, `docker -H ${sshUrl(source)} ${tar} | docker -H ${sshUrl(host)} ${untar}`]
  }
  if (folder === undefined) return [stop, 'and copy what is in its volume to that of the new container']
  const to = there.folder ?? folder
  return [stop, `ssh ${ssh(source)} tar -C ${folder} -cf - . | ssh ${ssh(host)} "mkdir -p ${to} && tar -C ${to} -xf -"`]
}

function ssh(host: string): string {
  return sshArguments(parseHostName(host) ?? { written: host, name: host }).join(' ')
}

function sshUrl(host: string): string {
  const { user, name, port } = parseHostName(host) ?? { written: host, name: host, user: undefined, port: undefined }
  return `ssh://${user === undefined ? '' : `${user}@`}${name}${port === undefined ? '' : `:${port}`}`
}

/** A service would start with another volume or folder, in which there is nothing. */
export function changed({ host, environment }: Notice, { before, now }: Replaced): StagecraftError {
  const where = host === undefined ? '' : ` on ${host}`
  const at = before.folder === undefined ? before.what : before.folder
  const is = now.folder === undefined ? now.what : now.folder
  return new StagecraftError('config', `Cannot start ${now.service} with ${is}${where}: its data is in ${at}`, {
    hint: before.key === now.key && host !== undefined ? ofRoot(environment, at, is) : ofName(host, { before, now }),
  })
}

function ofRoot(environment: string, at: string, is: string): string {
  return `Bring it there: stagecraft state move --env ${environment}. Or by hand, as root there: mv ${at} ${is}`
}

function ofName(host: string | undefined, { before, now }: Replaced): string {
  const docker = host === undefined ? 'docker' : `docker -H ${sshUrl(host)}`
  const from = before.volume ?? before.folder ?? ''
  const to = now.volume ?? now.folder ?? ''
  const empty = now.volume === undefined ? `put a file into ${to}` : `${docker} volume create ${now.volume}`
  return (
    `Stop ${now.service} and copy the data: ${docker} run --rm -v ${from}:/from -v ${to}:/to busybox cp -a /from/. /to/ ` +
    `To begin with nothing: ${empty}`
  )
}

/** The first release of an environment on a host. */
export function beginsEmpty(host: string, environment: string, services: readonly string[]): Event {
  return {
    type: 'warning',
    message: `${host} has no release of ${environment} yet, and no data of it: ${services.join(', ')} begins with nothing`,
    hint: `Has ${environment} been on another host? Name that first under \`hosts:\` again, and move from there.`,
  }
}
