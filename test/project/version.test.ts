import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveVersion } from '../../lib/project/version.ts'
import { exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

let root = ''
let repositories = 0
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'stagecraft-version-'))
})
afterAll(() => rmSync(root, { recursive: true }))

const clock = () => Date.UTC(2026, 10, 22, 8, 2, 25, 643)
let warned: string[] = []
const versionOf = (directory: string, asked?: string) => {
  warned = []
  return resolveVersion(exec, directory, asked, { clock, warn: (...said) => warned.push(said.join(' | ')) })
}

function git(directory: string, ...args: string[]): string {
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false']
  const { stdout, stderr, success } = Bun.spawnSync(['git', '-C', directory, ...who, ...args])
  if (!success) throw new Error(stderr.toString())
  return stdout.toString().trim()
}

/** A repository with one commit. */
function repository(): string {
  const path = join(root, String(++repositories))
  mkdirSync(join(path, 'app'), { recursive: true })
  git(path, 'init', '-q')
  writeFileSync(join(path, 'app/compose.yaml'), 'services: {}\n')
  git(path, 'add', '.')
  git(path, 'commit', '-qm', 'first')
  return path
}

describe('resolveVersion()', () => {
  test('is the short commit of a clean tree, with the whole one next to it', async () => {
    const path = repository()
    const [short, sha] = [git(path, 'rev-parse', '--short', 'HEAD'), git(path, 'rev-parse', 'HEAD')]
    expect(await versionOf(path)).toEqual({ name: short, commit: sha })
    expect(await versionOf(join(path, 'app'))).toEqual({ name: short, commit: sha })
    expect(await versionOf(path, 'v1')).toEqual({ name: 'v1', commit: sha })
  })

  test.each<[string, (path: string) => void]>([
    ['a changed file', (path) => writeFileSync(join(path, 'app/compose.yaml'), 'services: {a: {}}\n')],
    ['an untracked file', (path) => writeFileSync(join(path, 'new file'), '')],
    [
      'a staged file',
      (path) => {
        writeFileSync(join(path, 'new'), '')
        git(path, 'add', 'new')
      },
    ],
    ['a removed file', (path) => rmSync(join(path, 'app/compose.yaml'))],
  ])('is dirty with %s', async (_, change) => {
    const path = repository()
    change(path)
    expect((await versionOf(path)).name).toBe(`${git(path, 'rev-parse', '--short', 'HEAD')}-dirty`)
  })

  test('is not dirty with what Stagecraft keeps there, in whichever folder', async () => {
    const path = repository()
    for (const folder of ['.stagecraft', 'app/.stagecraft/releases/x']) {
      mkdirSync(join(path, folder), { recursive: true })
      writeFileSync(join(path, folder, 'file.json'), '{}')
    }
    expect((await versionOf(path)).name).not.toContain('dirty')
  })

  test('does not mind what is dirty elsewhere in the repository', async () => {
    const path = repository()
    writeFileSync(join(path, 'other'), '')
    expect((await versionOf(join(path, 'app'))).name).not.toContain('dirty')
  })

  test('is the time before the first commit, and outside git', async () => {
    const empty = join(root, 'empty')
    mkdirSync(empty)
    git(empty, 'init', '-q')
    const outside = join(root, 'outside')
    mkdirSync(outside)
    const timed = { name: '20261122-080225', commit: '', isTime: true as const }
    expect([await versionOf(empty), await versionOf(outside)]).toEqual([timed, timed])
    expect(await versionOf(outside, 'v1')).toEqual({ name: 'v1', commit: '' })
    expect(warned).toEqual([])
  })

  test.skipIf(process.getuid?.() !== 0)("says why it is the time where the checkout is another user's", async () => {
    const path = repository()
    chownSync(path, 1234, 1234)
    chownSync(join(path, '.git'), 1234, 1234)
    expect((await versionOf(path)).name).toBe('20261122-080225')
    expect(warned).toEqual([
      `fatal: detected dubious ownership in repository at '${path}' | git config --global --add safe.directory ${path} . Or name the version: --version v1.2.3`,
    ])
    expect((await versionOf(path, 'v1')).name).toBe('v1')
    expect(warned).toEqual([])
  })

  test('says why it is the time where the repository is broken', async () => {
    const path = repository()
    writeFileSync(join(path, '.git/HEAD'), 'nonsense')
    const worktree = join(root, 'gone')
    mkdirSync(worktree)
    writeFileSync(join(worktree, '.git'), 'gitdir: /nowhere/at/all\n')
    for (const folder of [path, worktree]) {
      expect((await versionOf(folder)).name).toBe('20261122-080225')
      expect(warned.join()).toMatch(/^fatal: .* \| Look with: git -C .* status . Or name the version/)
    }
  })

  test('is the commit of the folder in a hook of another repository, and says why where it has none', async () => {
    const [path, outside] = [repository(), join(root, 'hooked')]
    mkdirSync(outside)
    process.env['GIT_DIR'] = '.'
    try {
      expect((await versionOf(path)).name).toMatch(/^[0-9a-f]{7,}$/)
      expect((await versionOf(outside)).name).toBe('20261122-080225')
      expect(warned.join()).toContain('(GIT_DIR is set, as in a hook)')
    } finally {
      delete process.env['GIT_DIR']
    }
  })

  test('is the commit of a shallow clone', async () => {
    const [path, clone] = [repository(), join(root, 'shallow')]
    git(root, 'clone', '-q', '--depth=1', `file://${path}`, clone)
    expect((await versionOf(clone)).name).toBe(git(path, 'rev-parse', '--short', 'HEAD'))
  })

  test.each(['v1.2.3', '1', '_x', 'A-b_c.d', 'x'.repeat(128)])('accepts %j', async (version) => {
    expect((await versionOf(root, version)).name).toBe(version)
  })

  test.each([
    '',
    ' ',
    '-v1',
    '.v1',
    'a b',
    'a/b',
    '../x',
    'a:b',
    '$(id)',
    "it's",
    'a\nb',
    'v1\n',
    'ü',
    'v1@sha',
    'x'.repeat(129),
  ])('refuses %j as wrong usage', async (version) => {
    const error = await versionOf(root, version).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StagecraftError)
    expect(error).toMatchObject({
      kind: 'usage',
      message: `Cannot use ${JSON.stringify(version)} as a version: it is not a valid image tag`,
      hint: 'Letters, digits, "_", "." and "-", at most 128, and not "." or "-" first.',
    })
  })
})
