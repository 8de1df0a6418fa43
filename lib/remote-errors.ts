import { dirname } from 'node:path'
import { StagecraftError } from './errors.ts'
import type { Event } from './events.ts'
import { plainLine } from './format.ts'
import { SHORT_LIMIT } from './short-lock.ts'
import type { Unusable } from './state-on-host.ts'

/** Where the state of an environment is on a host, as errors name it. */
export interface StatePlace {
  /** as people wrote it */
  readonly host: string
  /** absolute */
  readonly folder: string
  /** who we are there */
  readonly user: string
  readonly environment: string
}

/** @returns the error (9) for a state that cannot be used, with what to do */
export function unusableState({ host, folder, user }: StatePlace, { why, path, head }: Unusable): StagecraftError {
  const full = path.startsWith('/') ? path : `${folder}/${path}`
  if (why === 'unreadable')
    return new StagecraftError('state', `Cannot read ${full} on ${host}: permission denied`, {
      hint: `Let ${user} read and write it there: it belongs to the group of the Docker socket (chgrp, chmod 660; folders 2770).`,
    })
  const reason = why === 'damaged' ? 'it is not what was written' : 'it holds what Stagecraft never writes'
  const asIs = head === '' && path !== 'head' ? '' : ` Or, to go on with the files as they are there: rm ${folder}/head`
  return new StagecraftError('state', `Cannot read ${full} on ${host}: ${reason}`, {
    hint: `Something else than Stagecraft, an older version of it, or a failing disk has changed it. Put ${folder} back from a backup.${asIs}`,
  })
}

/** @returns the error (9) for a host that says nothing while it is read. @param silence milliseconds */
export function silentHost(host: string, silence: number): StagecraftError {
  return new StagecraftError('state', `Cannot read what ${host} keeps of its releases: it hangs`, {
    detail: `It has said nothing for ${silence / 1000} s.`,
    hint: 'Look at its disk and at its load there (dmesg, uptime), then run the command again.',
  })
}

/** @param hangs the host has not said that it is done @returns the error (9) for a write that failed */
export function cannotWrite({ host, folder, user }: StatePlace, stderr: string, hangs: boolean): StagecraftError {
  const hint = hangs
    ? 'Look at its disk and at its load there (dmesg, uptime), then look with "stagecraft status" what has been written.'
    : `Make room there (df -h ${dirname(folder)}), or let ${user} write it, then try again.`
  const reason = hangs ? 'it hangs' : reasonOf(stderr)
  return new StagecraftError('state', `Cannot write ${folder} on ${host}: ${reason}`, { detail: stderr.trim(), hint })
}

/** @returns the error (9) for a host where the short lock is not to be had. @param by the processes that have it, as the host says */
export function stuckWriter({ host, folder }: StatePlace, by = ''): StagecraftError {
  const file = `${folder}/locks/state`
  const who = by === '' ? '' : `: ${plainLine(by)}`
  return new StagecraftError(
    'state',
    `Cannot lock ${file} on ${host}: another process has held it for ${SHORT_LIMIT} s${who}`,
    {
      hint: `Look there which one that is and what it is doing (fuser -v ${file}): a disk that does not answer, or a stopped process. End it, then run the command again.`,
    },
  )
}

/** @returns the error (9) for a state that is another one than was read */
export function changedMeanwhile({ host, folder }: StatePlace): StagecraftError {
  return new StagecraftError('state', `Cannot write ${folder} on ${host}: somebody else has written it meanwhile`, {
    hint: 'Run the command again. Older versions of Stagecraft must not be used with it any more.',
  })
}

/** @returns the error (9) for folders that cannot be made there */
export function cannotMake(
  { host, folder, user, stderr }: StatePlace & { readonly stderr: string },
  paths: readonly string[],
): StagecraftError {
  return new StagecraftError('state', `Cannot make ${paths.join(', ')} on ${host}: ${reasonOf(stderr)}`, {
    detail: stderr.trim(),
    hint: `Let ${user} write ${folder} there.`,
  })
}

/** @returns the error (9) for a lock that another run has by now */
export function lockTaken({ environment, host }: StatePlace): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot go on with ${environment} on ${host}: its lock was lost, and another run may have it`,
    {
      hint: 'Nothing more was changed. Look with "stagecraft status".',
    },
  )
}

/** Said once. */
export function takenOver({ host, environment }: StatePlace): Event {
  return {
    type: 'warning',
    message: `what ${host} keeps of ${environment} was written by an earlier version of Stagecraft: it is kept with checksums from now on`,
    hint: 'Deploy with this version, or a later one, from all machines.',
  }
}

const REASONS: readonly (readonly [said: RegExp, reason: string])[] = [
  [/No space left/, 'no space left on the device'],
  [/quota exceeded/i, 'the disk quota is used up'],
  [/Read-only file system/, 'the file system is read-only'],
  [/Permission denied|Operation not permitted/, 'permission denied'],
  [/Input\/output error/, 'input/output error'],
]

function reasonOf(said: string): string {
  return REASONS.find(([pattern]) => pattern.test(said))?.[1] ?? 'a command there failed'
}
