import { afterEach, describe, expect, test } from 'bun:test'
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { escapeWord, replacementFor, splitLine } from '../../lib/cli/completion/bash.ts'
import { candidatesFor } from '../../lib/cli/completion/candidates.ts'
import { SCRIPTS, SHELLS } from '../../lib/cli/completion/scripts.ts'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { quotePosix } from '../../lib/util/format.ts'
import { scratch, stagecraft } from '../support/command-line.ts'

let folder = scratch()
afterEach(() => folder.remove())

const CLI = join(import.meta.dir, '../../cli.ts')
const CONFIG = `
environments:
  prod: {databases: {main: {}, stats: {}}}
  staging: {hosts: [deploy@web-1, deploy@web-2]}
`
const COMPOSE = 'services: {web: {}, web-worker: {}, db: {}}\n'

function project(versions: readonly string[] = []): void {
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, 'completed']))
  const releases = versions.map((version, at) => {
    const ms = 600 + at
    const when = { id: `rel-20261122-080225${ms}`, timestamp: `2026-11-22T08:02:25.${ms}Z` }
    return { ...when, environment: 'prod', version, commit_sha: '', phases }
  })
  folder = scratch({
    'stagecraft.yml': CONFIG,
    'compose.yaml': COMPOSE,
    '.stagecraft/releases.json': JSON.stringify({ releases }, null, 2),
  })
}

/** @returns what the last word of a line may become, without meanings */
async function values(...words: string[]): Promise<readonly string[] | 'files'> {
  const found = await candidatesFor(words, COMMANDS, { STAGECRAFT_DIRECTORY: folder.path })
  return found === 'files' ? found : found.map(([value]) => value)
}

describe('what may come next', () => {
  test('commands, and those of a group', async () => {
    project()
    expect(await values('')).toEqual(Object.keys(COMMANDS))
    expect(await values('rel')).toEqual(['releases'])
    expect(await values('--json', 'releases', '')).toEqual(['list', 'show', 'diff'])
    expect(await values('nonsense', '')).toEqual([])
    expect(await values('toString', '')).toEqual([])
  })

  test('topics and commands after help', async () => {
    project()
    expect(await values('help', 'ro')).toEqual(['rollback', 'rollbacks'])
    expect(await values('help', 'rollback', '')).toEqual([])
    expect(await values('help', 'releases', 's')).toEqual(['show'])
  })

  test('flags that are not there yet', async () => {
    project()
    expect(await values('rollback', '--to-')).toEqual(['--to-previous', '--to-release', '--to-version'])
    expect(await values('rollback', '--to-version', 'v1', '--to-v')).toEqual([])
    expect(await values('rollback', '-e', 'prod', '--e')).toEqual([])
    expect(await values('--vers')).toEqual(['--version'])
    expect(await values('deploy', '')).toContain('--env')
  })

  test('environments, services, databases, hosts and shells', async () => {
    project()
    expect(await values('plan', '--env', '')).toEqual(['prod', 'staging'])
    expect(await values('plan', '-e', 's')).toEqual(['staging'])
    expect(await values('plan', '--env=p')).toEqual(['--env=prod'])
    expect(await values('logs', 'we')).toEqual(['web', 'web-worker'])
    expect(await values('restart', 'db', 'w')).toEqual(['web', 'web-worker'])
    expect(await values('exec', 'web', '')).toContain('--replica')
    expect(await values('exec', 'web', '--', '')).toBe('files')
    expect(await values('build', '--services', 'web,d')).toEqual(['web,db'])
    expect(await values('migrate', 'plan', '--database', '')).toEqual(['main', 'stats'])
    expect(await values('migrate', 'plan', '-e', 'staging', '--database', '')).toEqual([])
    expect(await values('ssh', '--env', 'staging', '')).toEqual(['deploy@web-1', 'deploy@web-2'])
    expect(await values('completion', '')).toEqual(SHELLS)
    expect(await values('deploy', '--directory', '')).toBe('files')
    expect(await values('down', '--confirm', '')).toEqual([])
  })

  test('releases and versions, the newest first', async () => {
    project(['v1', 'v2', '--v3'])
    const ids = ['rel-20261122-080225602', 'rel-20261122-080225601', 'rel-20261122-080225600']
    expect(await values('rollback', '--to-release', '')).toEqual(ids)
    expect(await values('rollback', '--to-version', '')).toEqual(['v2', 'v1'])
    expect(await values('rollback', '--to-version=--')).toEqual(['--to-version=--v3'])
    expect(await values('releases', 'show', '')).toEqual([...ids, 'v2', 'v1', 'latest', 'current'])
    expect(await values('releases', 'show', '-e', 'staging', '')).toEqual(['latest', 'current'])
  })

  test('nothing of files that cannot be read, and local without an environment', async () => {
    folder = scratch({ 'stagecraft.yml': 'a: [', 'compose.yaml': '\t', '.stagecraft/releases.json': '{' })
    Bun.spawnSync(['mkfifo', join(folder.path, 'compose.yml')]) // nobody ever writes into it
    expect(await values('plan', '--env', '')).toEqual(['local'])
    expect(await values('logs', 'w')).toEqual([])
    expect(await values('rollback', '--to-version', '')).toEqual([])
  })
})

describe('bash', () => {
  test('a line is split as bash does, and nothing is expanded', () => {
    expect(splitLine(`stagecraft  a\\ b 'c "d' "e'\\"f"g $(x y) h`).words).toEqual([
      ...['stagecraft', 'a b', 'c "d', `e'"fg`, '$(x', 'y)', 'h'],
    ])
    expect(splitLine('stagecraft ').words).toEqual(['stagecraft', ''])
  })

  test('a value replaces the piece that bash means', () => {
    const replaced = (value: string, line: string, piece: string) => replacementFor(value, splitLine(line), piece)
    expect(replaced('v 1', 'stagecraft x v', 'v')).toBe('v\\ 1')
    expect(replaced('--env=prod', 'stagecraft x --env=p', 'p')).toBe('prod')
    expect(replaced('--env=prod', 'stagecraft x --env=', '')).toBe('prod')
    expect(replaced('deploy@web:1', 'stagecraft x deploy@web:', '')).toBe('1')
    for (const open of ['"v', "'v", '$v', '`v']) expect(replaced('v1', `stagecraft x ${open}`, 'v')).toBeUndefined()
    expect(escapeWord('$(a) "b"')).toBe('\\$\\(a\\)\\ \\"b\\"')
  })

  test('a real one inserts hostile names as one word, and runs nothing of them or of the line', async () => {
    const hostile = [
      '$(touch pwned)',
      '`touch pwned`',
      'a b',
      `q'"\\`,
      ';touch pwned',
      '~root',
      '*',
      'é✓',
      '#x',
      '{a,b}',
    ]
    project([...hostile, 'two\nlines'])
    const program = join(folder.path, 'stagecraft')
    await Bun.write(program, `#!/bin/sh\nexec ${quotePosix(process.execPath)} ${quotePosix(CLI)} "$@"\n`)
    chmodSync(program, 0o755)
    const script = `
      cd "$1"; PATH=$1:$PATH
      eval "$(stagecraft completion bash)"
      eval "$(stagecraft completion bash)"
      COMP_LINE='stagecraft rollback --wait $(touch pwned) --to-version '
      COMP_POINT=\${#COMP_LINE}
      _stagecraft stagecraft '' --to-version
      for one in "\${COMPREPLY[@]}"; do eval "set -- $one"; printf '%s %s\\n' $# "$1"; done`
    const { stdout, stderr } = Bun.spawnSync(['bash', '--norc', '-c', script, 'bash', folder.path], {
      cwd: folder.path,
    })
    expect(stderr.toString()).toBe('')
    expect(stdout.toString().split('\n').filter(Boolean).toSorted()).toEqual(
      hostile.map((value) => `1 ${value}`).toSorted(),
    )
    expect(existsSync(join(folder.path, 'pwned'))).toBe(false)
  })
})

describe('stagecraft completion', () => {
  test.each(SHELLS)('prints the script for %s', async (shell) => {
    expect(await stagecraft(['completion', shell])).toEqual({ exit: 0, stdout: `${SCRIPTS[shell]}\n`, stderr: '' })
  })

  test('of another shell is wrong usage', async () => {
    const { exit, stderr } = await stagecraft(['completion', 'tcsh'])
    expect([exit, stderr.split('\n')[0]]).toEqual([
      2,
      'Cannot run "completion": <shell> must be one of bash, zsh, fish, not "tcsh"',
    ])
  })

  test('__complete answers with meanings, and says nothing of what goes wrong', async () => {
    project()
    const run = (...words: string[]) => stagecraft(['__complete', ...words], { cwd: folder.path })
    const [one, none, json] = await Promise.all([
      run('words', 'migrate', 's'),
      run('words', '-C', '/nowhere', 'logs', ''),
      run('words', '--json', 'migrate', 's'),
    ])
    expect(one).toEqual({ exit: 0, stdout: 'status\tShow what is applied and pending\n', stderr: '' })
    expect([none.exit, none.stderr, json]).toEqual([0, '', one])
  })
})
