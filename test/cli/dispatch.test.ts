import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '../../lib/cli/command.ts'
import { dispatch } from '../../lib/cli/dispatch.ts'
import { createOutput } from '../../lib/output/streams.ts'
import packageJson from '../../package.json'
import { scratch, stagecraft } from '../support/command-line.ts'

let project: ReturnType<typeof scratch>

/** More than a pipe holds, so that a reader that leaves early is noticed. */
function history(count: number): string {
  const phases = { build: 0, push: 0, migrate_pre: 0, rollout: 0, migrate_post: 0, finalize: 0 }
  const completed = Object.fromEntries(Object.keys(phases).map((phase) => [phase, 'completed']))
  const releases = Array.from({ length: count }, (_, at) => ({
    id: `rel-20261122-${String(100_000_000 + at)}`,
    environment: 'prod',
    version: `v${at}`,
    commit_sha: '',
    timestamp: '2026-11-22T10:00:00.000Z',
    phases: completed,
  }))
  return JSON.stringify({ releases }, null, 2)
}

beforeAll(() => {
  project = scratch({ '.stagecraft/releases.json': history(3000) })
})
afterAll(() => project.remove())

const list = (shell?: string, ...flags: string[]) =>
  stagecraft(['releases', 'list', '--limit=9999', ...flags], {
    cwd: project.path,
    ...(shell === undefined ? {} : { shell }),
  })

describe('stagecraft', () => {
  test('--version is one line', async () => {
    const printed = await stagecraft(['--version'])
    expect(printed).toEqual({ exit: 0, stdout: `stagecraft ${packageJson.version} (source)\n`, stderr: '' })
  })

  test('without a command prints its help on stderr, and exits 2', async () => {
    const { exit, stdout, stderr } = await stagecraft([])
    expect([exit, stdout]).toEqual([2, ''])
    expect(stderr).toContain(
      'USAGE stagecraft init|plan|build|deploy|rollback|dev|migrate|status|logs|exec|run|job|start|stop|restart|scale|tunnel|ssh|down|doctor|bootstrap|prune|maintenance|proxy|lock|state|releases',
    )
  })

  test('help is text on stdout: of everything, of a group, of a command', async () => {
    const [all, group, one] = await Promise.all([
      stagecraft(['--help'], { env: { FORCE_COLOR: '1' } }),
      stagecraft(['help', 'releases']),
      stagecraft(['releases', 'show', '-h', '--json']),
    ])
    expect([all.exit, group.exit, one.exit]).toEqual([0, 0, 0])
    expect(all.stdout).toContain('  releases    Look at the releases')
    expect(group.stdout).toContain('USAGE stagecraft releases list|show')
    for (const part of [
      '<ID>',
      '--env=<name>',
      '[STAGECRAFT_ENV]',
      'EXAMPLES',
      'EXIT CODES',
      '    4  no such release',
    ]) {
      expect(one.stdout).toContain(part)
    }
    expect(all.stdout + group.stdout + one.stdout).not.toContain('\u001b')
    expect(all.stderr + group.stderr + one.stderr).toBe('')
  })

  test('wrong usage exits 2, on stderr, and as JSON too if it was asked for', async () => {
    const [plain, json] = await Promise.all([stagecraft(['dploy', '--help']), stagecraft(['dploy', '--json'])])
    const text =
      'Cannot run "dploy": there is no such command\n  hint: Did you mean "deploy"? All commands: stagecraft --help\n'
    expect(plain).toEqual({ exit: 2, stdout: '', stderr: text })
    expect([json.exit, json.stderr]).toEqual([2, text])
    expect(JSON.parse(json.stdout)).toMatchObject({ v: 1, type: 'finished', exit: 2, error: { kind: 'usage' } })
  })

  test('a project folder that is not there, and flags that exclude each other, are wrong usage', async () => {
    const calls = await Promise.all([
      stagecraft(['releases', 'list', '-C', '/nowhere/at all']),
      stagecraft(['releases', 'list'], { env: { STAGECRAFT_DIRECTORY: '/dev/null' } }),
      list(undefined, '--quiet', '--verbose'),
    ])
    expect(calls.map(({ exit, stderr }) => [exit, stderr.split('\n')[0]])).toEqual([
      [2, 'Cannot run "releases list": there is no folder "/nowhere/at all"'],
      [2, 'Cannot run "releases list": there is no folder "/dev/null"'],
      [2, 'Cannot run "releases list": "--quiet" and "--verbose" exclude each other'],
    ])
  })

  test('finds the project and the state by flag, then variable, then default', async () => {
    const other = scratch({ 'other.json': history(1) })
    const lines = async (args: string[], env: Record<string, string>) =>
      (await stagecraft(['releases', 'list', '--limit=9999', ...args], { cwd: other.path, env })).stdout.split('\n')
        .length - 2
    const counts = await Promise.all([
      lines([], { STAGECRAFT_DIRECTORY: project.path }),
      lines(['-C', project.path], { STAGECRAFT_DIRECTORY: '/nowhere' }),
      lines([], { STAGECRAFT_STATE_FILE: 'other.json' }),
      lines(['--state', 'other.json', '-C', project.path], {}),
      lines(['--state', join(project.path, '.stagecraft/releases.json')], { STAGECRAFT_STATE_FILE: 'other.json' }),
      lines(['-C', project.path], { STAGECRAFT_STATE_FILE: '', STAGECRAFT_ENV: '' }),
    ])
    expect(counts).toEqual([3000, 3000, 1, 1, 3000, 3000])
    other.remove()
  })
})

describe('output', () => {
  test('a list is complete, also through a slow pipe', async () => {
    const { exit, stdout } = await list('| (sleep 0.2; cat)')
    expect(exit).toBe(0)
    expect(stdout.split('\n')).toHaveLength(3002)
  })

  test('a command that reads ends quietly when its reader leaves', async () => {
    const head = await list('| head -1')
    expect(head.stdout.split('\n')).toHaveLength(2)
    expect(head.stderr).toBe('')
    // sh has no pipefail: the exit code is written where the reader is not.
    const code = await stagecraft([], {
      cwd: project.path,
      shell: `>/dev/null 2>&1; { "$1" "$2" releases list --limit 9999; echo "exit $?" >&2; } | head -1`,
    })
    expect(code.stderr).toBe('exit 141\n')
  })

  test.each([
    ['ENOSPC', 9, ['Cannot write the output: no space left on the device\n']],
    ['EPIPE', 141, []],
  ])('a command that follows and ends with its output (%s) exits with %s', async (failure, exit, said) => {
    const err: string[] = []
    const follow = command({
      name: 'follow',
      description: 'x',
      args: {},
      examples: [],
      exits: [],
      run: async () => 141,
    })
    const streams = {
      stdout: { write: () => {}, failure },
      stderr: { write: (text: string) => void err.push(text), failure: undefined },
    }
    const commands = { follow: { summary: 'x', load: async () => ({ default: follow }) } }
    expect(await dispatch({ argv: ['follow'], env: {}, commands, streams })).toBe(exit)
    expect(err).toEqual([...said])
  })

  test('a full device is exit 9, and says so', async () => {
    const calls = await Promise.all([list('>/dev/full'), list('>/dev/full', '--json')])
    for (const { exit, stderr } of calls) {
      expect([exit, stderr]).toEqual([9, 'Cannot write the output: no space left on the device\n'])
    }
    const help = await stagecraft(['--help'], { shell: '>/dev/full' })
    const version = await stagecraft(['--version'], { shell: '>/dev/full' })
    const error = await stagecraft(['dploy'], { shell: '2>/dev/full' })
    expect([help.exit, version.exit, error.exit]).toEqual([9, 9, 2])
  })

  test('a command that changes something continues without its reader', async () => {
    const fake = join(project.path, 'docker')
    const model = { name: 'shop', services: { web: { image: 'nginx' } } }
    writeFileSync(fake, `#!/bin/sh\necho '${JSON.stringify(model)}'\n`)
    chmodSync(fake, 0o755)
    const folder = scratch({ 'compose.yaml': 'services: {web: {image: nginx}}' })
    const printed = await stagecraft([], {
      cwd: folder.path,
      env: { PATH: `${project.path}:${process.env['PATH']}` },
      shell: `>/dev/null 2>&1; { sleep 0.1; "$1" "$2" init --yes; echo "exit $? $(ls stagecraft.yml)" >&2; } | true`,
    })
    expect(printed.stderr).toBe('exit 0 stagecraft.yml\n')
    folder.remove()
  })

  test('createOutput() writes nothing more once a write has failed', () => {
    const closed = createOutput(9999)
    closed.write('a')
    closed.write('b')
    expect(closed.failure).toBe('EBADF')
  })
})
