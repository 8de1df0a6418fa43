import { dirname } from 'node:path'
import type { Event } from '../../output/events.ts'
import { StagecraftError } from '../../util/errors.ts'
import { plainLine } from '../../util/format.ts'
import { SHORT_LIMIT } from '../scripts/short-lock.ts'
import type { Unusable } from './answer.ts'

/** The place of an environment's state on a host, for error messages. */
export interface StatePlace {
  /** as it is written in stagecraft.yml */
  readonly host: string
  /** absolute */
  readonly folder: string
  /** the user there */
  readonly user: string
  readonly environment: string
}

/** @returns the error (9) for a state that cannot be used, with a hint */
export function unusableState({ host, folder, user }: StatePlace, { why, path, head }: Unusable): StagecraftError {
  const full = path.startsWith('/') ? path : `${folder}/${path}`
  if (why === 'unreadable')
    return new StagecraftError('state', `Cannot read ${full} on ${host}: permission denied`, {
      hint: `Let ${user} read and write it there: it belongs to the group of the Docker socket (chgrp, chmod 660; folders 2770).`,
    })
  const reason = why === 'damaged' ? 'it is not what was written' : 'it holds what Stagecraft never writes'
  const asIs = head === '' && path !== 'head' ? '' : ` Or, to go on with the files as they are there: rm ${folder}/head`
  return new StagecraftError('state', `Cannot read ${full} on ${host}: ${reason}`, {
    hint: `Something other than Stagecraft, an older version of it, or a failing disk has changed it. Restore ${folder} from a backup.${asIs}`,
  })
}

/** @returns the error (9) for a host that sends nothing while its state is read. @param silence milliseconds */
export function silentHost(host: string, silence: number): StagecraftError {
  return new StagecraftError('state', `Cannot read the releases on ${host}: it hangs`, {
    detail: `It has sent nothing for ${silence / 1000} s.`,
    hint: 'Check the disk and the load there (dmesg, uptime), then run the command again.',
  })
}

/** @param hangs the host did not end in time @returns the error (9) for a write that failed */
export function cannotWrite({ host, folder, user }: StatePlace, stderr: string, hangs: boolean): StagecraftError {
  const hint = hangs
    ? 'Check the disk and the load there (dmesg, uptime), then see what was written: stagecraft status'
    : `Free space there (df -h ${dirname(folder)}), or let ${user} write it, then try again.`
  const reason = hangs ? 'it hangs' : reasonOf(stderr)
  return new StagecraftError('state', `Cannot write ${folder} on ${host}: ${reason}`, { detail: stderr.trim(), hint })
}

/** @returns the error (9) for a short lock that could not be taken in time. @param by the processes that have it, if known */
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

/** @returns the error (9) for a state that somebody else has written since it was read */
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

/** @returns the error (9) for a lock that was lost */
export function lockTaken({ environment, host }: StatePlace): StagecraftError {
  return new StagecraftError(
    'state',
    `Cannot continue with ${environment} on ${host}: its lock was lost, and another run may have it`,
    {
      hint: 'Nothing more was changed. See: stagecraft status',
    },
  )
}

/** @returns the warning, given once, that this version has taken over an earlier one's files */
export function takenOver({ host, environment }: StatePlace): Event {
  return {
    type: 'warning',
    message: `the releases of ${environment} on ${host} were written by an earlier version of Stagecraft: they are kept with checksums from now on`,
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
