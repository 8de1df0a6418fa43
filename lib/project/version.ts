import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Exec } from '../system/exec.ts'
import { StagecraftError } from '../util/errors.ts'
import { quotePosix } from '../util/format.ts'

/** What is released: the name of the version, and the commit that it was made from (empty outside git). */
export interface SourceVersion {
  readonly name: string
  readonly commit: string
  /** the name is only the time */
  readonly isTime?: true
}

interface VersionWorld {
  /** milliseconds since 1970 */
  readonly clock: () => number
  /** called if there is a git checkout, but git does not say which commit it is */
  readonly warn?: (why: string, remedy: string) => void
}

/** A valid image tag (distribution/reference): the version tags images. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/**
 * @param asked `--version` or STAGECRAFT_VERSION; else the short commit, with `-dirty` if the tree has changes; else the time
 * @throws usage (2) if `asked` is not a valid image tag
 */
export async function resolveVersion(
  exec: Exec,
  directory: string,
  asked: string | undefined,
  { clock, warn = () => {} }: VersionWorld,
): Promise<SourceVersion> {
  if (asked !== undefined && !TAG.test(asked))
    throw new StagecraftError(
      'usage',
      `Cannot use ${JSON.stringify(asked)} as a version: it is not a valid image tag`,
      {
        hint: 'Letters, digits, "_", "." and "-", at most 128, and not "." or "-" first.',
      },
    )
  const git = await readGit(exec, directory)
  if ('sha' in git) return { name: asked ?? git.short + (git.dirty ? '-dirty' : ''), commit: git.sha }
  if (asked === undefined && git.why !== undefined) warn(git.why, git.remedy)
  return asked === undefined ? { name: timeVersion(clock()), commit: '', isTime: true } : { name: asked, commit: '' }
}

interface Commit {
  readonly sha: string
  readonly short: string
  readonly dirty: boolean
}

/** `why` is undefined outside git and before the first commit. */
type NoCommit = { readonly why: undefined } | { readonly why: string; readonly remedy: string }

const NAME_IT = 'Or name the version: --version v1.2.3'

/** In a hook these name the repository that was pushed to, not that of the folder. */
const OF_HOOKS = ['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_PREFIX', 'GIT_QUARANTINE_PATH']

async function readGit(exec: Exec, directory: string): Promise<Commit | NoCommit> {
  if (!Bun.which('git'))
    return isBelowGit(directory)
      ? { why: 'git is not installed', remedy: `Install git. ${NAME_IT}` }
      : { why: undefined }
  const unset = OF_HOOKS.flatMap((name) => ['-u', name])
  const git = (...args: string[]) =>
    exec(['env', ...unset, 'git', '-C', directory, ...args], { timeout: 60_000, env: { LC_ALL: 'C' } })
  const head = await git('rev-parse', 'HEAD', '--short', 'HEAD')
  if (head.code !== 0) return whyNoCommit(head.stderr, directory)
  const [sha = '', short = ''] = head.stdout.trim().split('\n')
  const status = await git('status', '--porcelain', '--', '.', ':(exclude,glob)**/.stagecraft/**')
  return { sha, short: short || sha.slice(0, 7), dirty: status.stdout.trim() !== '' }
}

/** @returns whether a folder looks like a checkout, even if git does not accept it */
function isBelowGit(directory: string): boolean {
  if (existsSync(join(directory, '.git'))) return true
  const above = dirname(directory)
  return above !== directory && isBelowGit(above)
}

/** @param said by `git rev-parse` */
function whyNoCommit(said: string, directory: string): NoCommit {
  if (/ambiguous argument 'HEAD'|unknown revision/.test(said)) return { why: undefined } // before the first commit
  const [fatal = 'git does not answer'] = /^(?:fatal|error): .*/m.exec(said) ?? []
  if (/dubious ownership/.test(said))
    return { why: fatal, remedy: `git config --global --add safe.directory ${quotePosix(directory)} . ${NAME_IT}` }
  if (!/not a git repository/i.test(said) || isBelowGit(directory))
    return { why: fatal, remedy: `Look with: git -C ${quotePosix(directory)} status . ${NAME_IT}` }
  if (process.env['GIT_DIR'] === undefined) return { why: undefined }
  return {
    why: `${fatal} (GIT_DIR is set, as in a hook)`,
    remedy: 'Name it: --version "$(git rev-parse --short HEAD)"',
  }
}

/** @returns `YYYYMMDD-HHMMSS` in UTC */
function timeVersion(now: number): string {
  return new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
}
