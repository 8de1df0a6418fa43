import { StagecraftError } from './errors.ts'
import type { Exec } from './exec.ts'

/** What a release is called, and the commit it came from (empty outside git). */
export interface Version {
  readonly version: string
  readonly commit_sha: string
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
  clock: () => number,
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
  if (git === undefined) return { version: asked ?? timeVersion(clock()), commit_sha: '' }
  return { version: asked ?? git.short + (git.dirty ? '-dirty' : ''), commit_sha: git.sha }
}

/** @returns undefined outside git, before the first commit, and where there is no git. */
async function readGit(exec: Exec, directory: string) {
  if (!Bun.which('git')) return undefined
  const git = (...args: string[]) => exec(['git', '-C', directory, ...args], { timeout: 60_000 })
  const head = await git('rev-parse', 'HEAD', '--short', 'HEAD')
  if (head.code !== 0) return undefined
  const [sha = '', short = ''] = head.stdout.trim().split('\n')
  const status = await git('status', '--porcelain', '--', '.', ':(exclude,glob)**/.stagecraft/**')
  return { sha, short: short || sha.slice(0, 7), dirty: status.stdout.trim() !== '' }
}

/** `YYYYMMDD-HHMMSS` in UTC. */
function timeVersion(now: number): string {
  return new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
}
