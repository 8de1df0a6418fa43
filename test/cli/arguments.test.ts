import { describe, expect, test } from 'bun:test'
import { asksForJson, GLOBAL_ARGS, parseArguments } from '../../lib/cli/arguments.ts'
import type { ArgumentDefinitions } from '../../lib/cli/command.ts'
import { type Found, findCommand, type Table } from '../../lib/cli/find-command.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const definitions = {
  env: { type: 'string', valueHint: 'name', description: '', env: 'STAGECRAFT_ENV' },
  limit: { type: 'string', valueHint: 'n', description: '' },
  color: { type: 'enum', options: ['red', 'blue'], description: '', env: 'STAGECRAFT_COLOR' },
  ...GLOBAL_ARGS,
} satisfies ArgumentDefinitions

const load = async (): Promise<never> => {
  throw new Error('not loaded in this test')
}
const commands: Table = {
  deploy: { summary: '', load },
  releases: { summary: 'Look at them', commands: { list: { summary: '', load }, show: { summary: '', load } } },
}

function parse(argv: readonly string[], env: Readonly<Record<string, string>> = {}, more: ArgumentDefinitions = {}) {
  const values = parseArguments('releases list', { ...definitions, ...more }, argv, env)
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== false))
}

function usageError(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(StagecraftError)
    expect(error).toMatchObject({ kind: 'usage' })
    return formatError(error).join('\n')
  }
  throw new Error('no error')
}

describe('parseArguments()', () => {
  test('reads flags in every form', () => {
    expect(parse(['--env', 'prod', '--limit=5', '-C', 'there', '-q', '--json'])).toEqual({
      env: 'prod',
      limit: '5',
      directory: 'there',
      quiet: true,
      json: true,
    })
    expect(parse(['--env=-x', '--limit=a=b', '-Cthere'])).toEqual({ env: '-x', limit: 'a=b', directory: 'there' })
    expect(parse(['--env', '-'])).toEqual({ env: '-' })
    expect(parse(['--json', '--json'])).toEqual({ json: true })
  })

  test('takes a flag left out from its variable; one that is empty counts as not set', () => {
    expect(parse([], { STAGECRAFT_ENV: 'prod', STAGECRAFT_STATE_FILE: '/x' })).toEqual({ env: 'prod', state: '/x' })
    expect(parse(['--env', 'test'], { STAGECRAFT_ENV: 'prod' })).toEqual({ env: 'test' })
    expect(parse([], { STAGECRAFT_ENV: '' })).toEqual({})
  })

  test('reads positional arguments, also those behind --', () => {
    const id = { id: { type: 'positional', required: true, description: '' } } as const
    expect(parse(['x', '--json'], {}, id)).toEqual({ id: 'x', json: true })
    expect(parse(['--', '--x'], {}, id)).toEqual({ id: '--x' })
    expect(usageError(() => parse([], {}, id))).toContain('<id> is missing')
    expect(usageError(() => parse([''], {}, id))).toContain('<id> is empty')
    expect(usageError(() => parse(['a', 'b'], {}, id))).toContain('unexpected argument "b"\n  hint: It takes <id>.')
    expect(parse(['--help'], {}, id)).toEqual({ help: true })
  })

  test('prints what the specification shows', () => {
    expectGolden(
      'core/cli.md',
      'unknown-flag',
      usageError(() => parse(['--limt', '5'])),
    )
    expectGolden(
      'core/cli.md',
      'missing-value',
      usageError(() => parse(['--env', '--json'])),
    )
    expectGolden(
      'core/cli.md',
      'extra-argument',
      usageError(() => parse(['prod'])),
    )
  })

  test.each([
    [['--env'], '"--env" needs a value'],
    [['--env', ''], 'the value of "--env" is empty'],
    [['--env='], 'the value of "--env" is empty'],
    [['-C'], '"-C" needs a value'],
    [['--env', 'a', '--env', 'b'], '"--env" is given twice'],
    [['--json=yes'], '"--json" takes no value'],
    [['--no-json'], 'unknown flag "--no-json"'],
    [['--toString'], 'unknown flag "--toString"'],
    [['--__proto__=x'], 'unknown flag "--__proto__"'],
    [['-x'], 'unknown flag "-x"'],
    [['-qx'], 'unknown flag "-x"'],
    [['--Env', 'prod'], 'unknown flag "--Env"'],
    [['--dry\nrun'], 'unknown flag "--dry\\u000arun"'],
    [['--help', '--limt'], 'unknown flag "--limt"'],
    [['--color', 'green'], '"--color" must be one of red, blue, not "green"'],
    [['../x'], 'unexpected argument "../x"'],
    [['--', '--x'], 'unexpected argument "--x"'],
    [[''], 'unexpected argument ""'],
  ])('refuses %p', (argv, message) => {
    const lines = usageError(() => parse(argv)).split('\n')
    expect(lines[0]).toBe(`Cannot run "releases list": ${message}`)
    expect(lines[1]).toStartWith('  hint: ')
  })

  test('names the variable whose value is none of those it can have, and the flag that is missing', () => {
    expect(usageError(() => parse([], { STAGECRAFT_COLOR: 'green' }))).toContain('STAGECRAFT_COLOR must be one of')
    const to = { to: { type: 'string', valueHint: 'x', description: '', required: true } } as const
    expect(usageError(() => parse([], {}, to))).toContain('"--to" is missing')
  })
})

describe('findCommand()', () => {
  const found = (...argv: string[]) => {
    const { kind, name, ...rest } = findCommand(argv, commands)
    return [kind, name, 'argv' in rest ? rest.argv : (rest as Found & { kind: 'list' }).asked]
  }

  test('finds commands, also in groups and behind global flags', () => {
    expect(found('deploy', '--env', 'prod')).toEqual(['command', 'deploy', ['--env', 'prod']])
    expect(found('-C', 'deploy', 'releases', '--json', 'list', '--limit', '1')).toEqual([
      'command',
      'releases list',
      ['-C', 'deploy', '--json', '--limit', '1'],
    ])
  })

  test('takes help as a flag and as a word, at every level', () => {
    expect(found('help', 'deploy')).toEqual(['command', 'deploy', ['--help']])
    expect(found('deploy', '-h')).toEqual(['command', 'deploy', ['-h']])
    for (const argv of [['help'], ['--help'], ['-h'], ['-qh'], ['help', 'help']]) {
      expect(found(...argv)).toEqual(['list', '', true])
    }
    for (const argv of [
      ['releases', '--help'],
      ['--help', 'releases'],
      ['releases', 'help'],
    ]) {
      expect(found(...argv)).toEqual(['list', 'releases', true])
    }
    expect(found()).toEqual(['list', '', false])
    expect(found('releases')).toEqual(['list', 'releases', false])
  })

  test('prints what the specification shows of an unknown command', () => {
    expectGolden(
      'core/cli.md',
      'unknown-command',
      usageError(() => found('dploy')),
    )
  })

  test.each([
    [['dploy', '--help'], 'Cannot run "dploy": there is no such command'],
    [['help', 'dploy'], 'Cannot run "dploy": there is no such command'],
    [['toString'], 'Cannot run "toString": there is no such command'],
    [['__proto__'], 'Cannot run "__proto__": there is no such command'],
    [['releases', 'lst'], 'Cannot run "releases lst": there is no such command'],
    [['releases', 'constructor'], 'Cannot run "releases constructor": there is no such command'],
    [['a\nb'], 'Cannot run "a\\u000ab": there is no such command'],
    [[''], 'Cannot run "": there is no such command'],
    [['--env', 'prod', 'deploy'], 'Cannot run Stagecraft: unknown flag "--env"'],
    [['--version', 'deploy'], 'Cannot run Stagecraft: unknown flag "--version"'],
    [['--help', '--hlep'], 'Cannot run Stagecraft: unknown flag "--hlep"'],
    [['--json'], 'Cannot run Stagecraft: the command is missing'],
    [['releases', '--json'], 'Cannot run "releases": the command is missing'],
    [['--', 'deploy'], 'Cannot run Stagecraft: a command was expected, not "--"'],
    [['-C'], 'Cannot run Stagecraft: "-C" needs a value'],
  ])('refuses %p', (argv, message) => {
    expect(usageError(() => found(...argv)).split('\n')[0]).toBe(message)
  })
})

test('asksForJson() sees the flag whatever else is wrong, but not behind --', () => {
  expect(asksForJson(['dploy', '--bad', '--json'])).toBe(true)
  expect(asksForJson(['deploy', '--', '--json'])).toBe(false)
})
