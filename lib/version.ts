import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StagecraftError } from './errors.ts'
import { type Exec, quotePosix } from './exec.ts'

/** What a release is called, and the commit it came from (empty outside git). */
export interface Version {
  readonly version: string
  readonly commit_sha: string
}

export interface VersionWorld {
  /** milliseconds since 1970 */
  readonly clock: () => number
  /** told why git, where there is one, does not say which commit it is, and what can be done */
  readonly warn?: (why: string, remedy: string) => void
}

/** A tag as Docker takes it (distribution/reference): the version tags images. */
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/**
 * @param asked `--version` or STAGECRAFT_VERSION; else the short commit with `-dirty` where the tree is; else the time
 * @throws usage (2) for one that is not a valid image tag
 */
export async function resolveVersion(
  exec: Exec,
  directory: string,
  asked: string | undefined,
  { clock, warn = () => {} }: VersionWorld,
): Promise<Version> {
  if (asked !== undefined && !TAG.test(asked))
    throw new StagecraftError(
      'usage',
      `Cannot use ${JSON.stringify(asked)} as a version: it is not a valid image tag`,
      {
        hint: 'Letters, digits, "_", "." and "-", at most 128, and not "." or "-" first.',
      },
    )
  const git = await readGit(exec, directory)
  if ('sha' in git) return { version: asked ?? git.short + (git.dirty ? '-dirty' : ''), commit_sha: git.sha }
  if (asked === undefined && git.why !== undefined) warn(git.why, git.remedy)
  return { version: asked ?? timeVersion(clock()), commit_sha: '' }
}

interface Commit {
  readonly sha: string
  readonly short: string
  readonly dirty: boolean
}

/** `why` is undefined where there is nothing to know: outside git, and before the first commit. */
type NoCommit = { readonly why: undefined } | { readonly why: string; readonly remedy: string }

const NAME_IT = 'Or name the version: --version v1.2.3'

/** In a hook they name the repository that was pushed to, and not that of the folder. */
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

/** @returns whether somebody meant it to be a checkout, whatever git says of it */
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

/** `YYYYMMDD-HHMMSS` in UTC. */
function timeVersion(now: number): string {
  return new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
}
