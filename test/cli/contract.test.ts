import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '../../lib/cli/command.ts'
import { dispatch } from '../../lib/cli/dispatch.ts'
import { EXITS } from '../../lib/cli/exits.ts'
import { lineShapes } from '../../lib/output/contract/lines.ts'
import { type ErrorKind, EXIT_CODES, StagecraftError } from '../../lib/util/errors.ts'
import { folder, has, project } from '../scenes/init-project.ts'
import { type Printed, scratch, stagecraft } from '../support/command-line.ts'

// "Contract" of spec/core/cli.md: the part that needs no engine; test/e2e/contract.test.ts has the rest.

const ROOT = join(import.meta.dir, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const namesIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name = '']) => name)

/** The first cells of the rows of the table below a heading of the page. */
function firstCells(heading: string): string {
  const page = read('spec/core/cli.md')
  const [, table = ''] = /\n\|[-|]+\|\n((?:\|.*\n)+)/.exec(page.slice(page.indexOf(`\n${heading}\n`))) ?? []
  return table.replaceAll(/^\| (.*?) \|.*$/gm, '$1')
}

describe('the page', () => {
  test('has every type of --json', () => {
    const types = namesIn(firstCells('### Objects of `--json`'), /`([a-z-]+)`/g)
    expect(new Set(types)).toEqual(new Set(lineShapes().keys()))
  })

  test('has every variable that is read, and that of hooks every one that is set', () => {
    const VARIABLE = /(STAGECRAFT_[A-Z]+(?:_[A-Z]+)*)/g
    const code = [...new Bun.Glob('lib/**/*.ts').scanSync(ROOT)].map(read).join('\n')
    const known = namesIn(`${firstCells('### Variables')} ${read('spec/core/hooks.md')}`, VARIABLE)
    expect(new Set(namesIn(code, VARIABLE))).toEqual(new Set([...known, 'STAGECRAFT_CONNECTION']))
  })

  test('has the exit codes that help and manual have', () => {
    expect(firstCells('## Exit codes').trim().split('\n')).toEqual(EXITS.map(([code]) => code))
  })
})

describe('exit codes', () => {
  /** What a command that fails so prints, and ends with. */
  async function failing(error: unknown) {
    const printed = { stdout: '', stderr: '' }
    const stream = (to: keyof typeof printed) => ({
      failure: undefined,
      write(text: string) {
        printed[to] += text
      },
    })
    const fail = command({
      ...{ name: 'fail', description: '', args: {}, examples: [] },
      run: () => Promise.reject(error),
    })
    const exit = await dispatch({
      ...{
        argv: ['fail', '--json'],
        env: {},
        commands: { fail: { summary: '', load: async () => ({ default: fail }) } },
      },
      streams: { stdout: stream('stdout'), stderr: stream('stderr') },
    })
    return { exit, ...printed }
  }

  test.each(Object.entries(EXIT_CODES) as [ErrorKind, number][])('%s is %i, on both streams', async (kind, code) => {
    const error = kind === 'bug' ? new TypeError('x is undefined') : new StagecraftError(kind, 'Cannot continue: why')
    const { exit, stdout, stderr } = await failing(error)
    expect(exit).toBe(code)
    expect(JSON.parse(stdout)).toMatchObject({ v: 1, type: 'finished', exit: code, error: { kind } })
    expect(stderr).toStartWith(kind === 'bug' ? 'Stagecraft has a bug: x is undefined\n' : 'Cannot continue: why\n')
  })

  test('there is an example of those that need no engine', async () => {
    const valid = 'environments: {prod: {}}\n'
    const cases: readonly (readonly [exit: number, files: Record<string, string>, args: readonly string[]])[] = [
      [0, {}, ['help', 'exit-codes']],
      [2, {}, ['status', '--evn', 'prod']],
      [3, { 'stagecraft.yml': 'environments: {prod: {hots: [web-1]}}\n' }, ['lock', 'status']],
      [4, { 'stagecraft.yml': valid }, ['lock', 'status', '--env', 'staging']],
      [5, { 'stagecraft.yml': valid }, ['status']],
      [7, { 'stagecraft.yml': valid }, ['lock', 'status']],
      [8, { 'compose.yaml': 'services: {}\n' }, ['init']],
      [9, { 'stagecraft.yml': valid, '.stagecraft/releases.json': '{' }, ['releases', 'list']],
    ]
    const ran = cases.map(async ([exit, files, args]) => {
      const { path, remove } = scratch(files)
      const run = (...words: readonly string[]) => stagecraft(words, { cwd: path, env: { PATH: '/usr/nowhere' } })
      if (exit === 7) await run('lock', 'hold', '--message', 'moving')
      const seen = (await run(...args)).exit
      remove()
      return [exit, seen, ...args]
    })
    expect(await Promise.all(ran)).toEqual(cases.map(([exit, , args]) => [exit, exit, ...args]))
  })
})

describe('stdout and stderr', () => {
  const split = ({ exit, stdout, stderr }: Printed) => [exit, stdout !== '', stderr !== '']

  test('a result is on stdout, an error on stderr, in all modes', async () => {
    const { path, remove } = scratch({ 'stagecraft.yml': 'environments: {prod: {}}\n' })
    const run = (...args: string[]) => stagecraft(args, { cwd: path })
    const modes = [[], ['--quiet'], ['--verbose']]
    const well = await Promise.all(modes.map((mode) => run('releases', 'list', ...mode)))
    expect(well.map(split)).toEqual(modes.map(() => [0, true, false]))
    const ill = await Promise.all(modes.map((mode) => run('releases', 'show', 'v9', ...mode)))
    expect(ill.map(split)).toEqual(modes.map(() => [4, false, true]))
    const json = await run('releases', 'show', 'v9', '--json')
    expect(JSON.parse(json.stdout).error.message).toBe(json.stderr.split('\n')[0])
    remove()
  })
})

describe('without a terminal', () => {
  const SHELLS = ['<&-', '</dev/null', '2>&1 | cat', '<&- >&- 2>&-']

  test.each(SHELLS)('init asks nothing: %s', async (shell) => {
    project({ web: { image: 'nginx' } })
    const env = { PATH: `${folder.path}/.bin:${process.env['PATH']}` }
    const { exit } = await stagecraft(['init', '--name', 'shop'], { cwd: folder.path, env, shell })
    expect([exit, has('stagecraft.yml')]).toEqual([0, true])
    folder.remove()
  })

  test('closed streams are like /dev/null: what is printed is in no file, and the exit code stays', async () => {
    const { path, remove } = scratch({ 'stagecraft.yml': 'environments: {prod: {}}\n' })
    const run = (shell: string, ...args: string[]) => stagecraft(args, { cwd: path, shell })
    for (const shell of ['>&-', '2>&-', '<&- >&- 2>&-']) {
      expect((await run(shell, 'lock', 'hold', '--message', 'moving', '--json')).exit).toBe(0)
      expect((await run(shell, 'lock', 'status')).exit).toBe(7)
      expect((await run(shell, 'releases', 'show', 'v9')).exit).toBe(4)
      expect((await run('', 'lock', 'status', '--json')).stdout).toContain('"message":"moving"}')
      expect((await run(shell, 'lock', 'release')).exit).toBe(0)
    }
    remove()
  })
})
