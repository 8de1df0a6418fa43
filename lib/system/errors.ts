import { errnoOf, StagecraftError } from '../util/errors.ts'

const ELSEWHERE = 'Name a file with --state or STAGECRAFT_STATE_FILE.'

const SYSTEM_ERRORS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  EACCES: ['permission denied', 'Run as the user who owns the file and its folder, or give this user access to them.'],
  EPERM: ['operation not permitted', 'Check the owner and the attributes of the file and its folder (lsattr).'],
  ENOSPC: ['no space left on the device', 'Free some space, then run the command again.'],
  EDQUOT: ['the disk quota is used up', 'Free some space, then run the command again.'],
  EROFS: ['the file system is read-only', 'Make it writable, then run the command again.'],
  EIO: ['input/output error', 'The disk may be failing: look at the kernel log (dmesg).'],
  EISDIR: ['it is a directory', ELSEWHERE],
  ENOTDIR: ['a part of its path is not a folder', ELSEWHERE],
  EEXIST: ['a part of its path is not a folder', ELSEWHERE],
  ELOOP: ['its symlinks form a loop', ELSEWHERE],
}

/**
 * @param attempt what failed on the state file or its neighbours: `Cannot write FILE`
 * @returns a `state` error (exit 9) for an error of the system; any other error unchanged
 */
export function systemError(attempt: string, error: unknown): unknown {
  const code = errnoOf(error)
  if (code === undefined) return error
  const [reason, hint] = SYSTEM_ERRORS[code] ?? [code, ELSEWHERE]
  return new StagecraftError('state', `${attempt}: ${reason}`, { hint, cause: error })
}
