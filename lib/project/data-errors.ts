import type { Keeps, MovedData, Replaced } from '../compose/kept-data.ts'
import { HostAddress, sshArguments } from '../config/host-address.ts'
import type { Event } from '../output/events.ts'
import { StagecraftError } from '../util/errors.ts'

/** What the errors about data mention besides the service. */
export interface Notice {
  readonly environment: string
  /** the Compose project */
  readonly project: string
  /** without a name: this machine */
  readonly host: HostAddress
  /** the hosts of stagecraft.yml, by their keys */
  readonly hosts: ReadonlyMap<string, HostAddress>
}

/** @returns the error for a service that would start on a host without its data */
export function moved({ host, project, hosts }: Notice, { kept, from }: MovedData, there: Keeps): StagecraftError {
  const { service, what } = kept
  const old = from.map((key) => hosts.get(key) ?? new HostAddress(key))
  const [source = host] = old
  return new StagecraftError(
    'config',
    `Cannot move ${service} from ${old.map(({ written }) => written).join(', ')} to ${host.written}: its data would stay behind (${what})`,
    {
      detail: [
        'To copy it there, as root or as a user of both engines:',
        ...copyBetween({ source, host, project }, kept, there),
      ].join('\n'),
      hint:
        `Once it is there, set services.${service}.moved_from: ${source.written} in stagecraft.yml. ` +
        `Or leave ${service} where it is.`,
    },
  )
}

export function notThere({ host }: Notice, { service, what }: Keeps): StagecraftError {
  return new StagecraftError('config', `Cannot move ${service} to ${host.written}: ${what} is not there, or is empty`, {
    hint: 'Copy the data there first. Without `moved_from` the error says how.',
  })
}

function copyBetween(
  { source, host, project }: { readonly source: HostAddress; readonly host: HostAddress; readonly project: string },
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

function ssh(host: HostAddress): string {
  return sshArguments(host).join(' ')
}

function sshUrl({ user, name, port }: HostAddress): string {
  return `ssh://${user === undefined ? '' : `${user}@`}${name}${port === undefined ? '' : `:${port}`}`
}

/** @returns the error for a service that would start with another volume or folder, which is empty */
export function changed({ host, environment }: Notice, { before, now }: Replaced): StagecraftError {
  const where = host.name === '' ? '' : ` on ${host.written}`
  const at = before.folder === undefined ? before.what : before.folder
  const is = now.folder === undefined ? now.what : now.folder
  return new StagecraftError('config', `Cannot start ${now.service} with ${is}${where}: its data is in ${at}`, {
    hint: before.key === now.key && host.name !== '' ? ofRoot(environment, at, is) : ofName(host, { before, now }),
  })
}

function ofRoot(environment: string, at: string, is: string): string {
  return `Move it there: stagecraft state move --env ${environment}. Or by hand, as root there: mv ${at} ${is}`
}

function ofName(host: HostAddress, { before, now }: Replaced): string {
  const docker = host.name === '' ? 'docker' : `docker -H ${sshUrl(host)}`
  const from = before.volume ?? before.folder ?? ''
  const to = now.volume ?? now.folder ?? ''
  const empty = now.volume === undefined ? `put a file into ${to}` : `${docker} volume create ${now.volume}`
  return (
    `Stop ${now.service} and copy the data: ${docker} run --rm -v ${from}:/from -v ${to}:/to busybox cp -a /from/. /to/ ` +
    `To begin with nothing: ${empty}`
  )
}

/** @returns the warning for the first release of an environment on a host */
export function beginsEmpty(host: string, environment: string, services: readonly string[]): Event {
  return {
    type: 'warning',
    message: `this is the first release of ${environment} on ${host}, so data starts empty: ${services.join(', ')}`,
    hint: `Right for a new environment. If ${environment} has been on another host, name that first under \`hosts:\` again, and move from there.`,
  }
}
