import { describe, expect, test } from 'bun:test'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { namesUsed, readSources } from '../../lib/project/secrets/sources.ts'
import { createSecrets } from '../../lib/secrets/mask.ts'
import { exec } from '../../lib/system/exec.ts'
import { scratch } from '../support/command-line.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** Reads the secrets of stagecraft.yml, in the words of the file, in a folder with these files. */
async function read(sources: object, files: Readonly<Record<string, string>> = {}, names = Object.keys(sources)) {
  const folder = temporary(scratch(files))
  const [environment] = Object.values(
    parseConfig(JSON.stringify({ environments: { p: { secrets: sources } } })).environments,
  )
  if (environment === undefined) throw new Error('there is none')
  const secrets = createSecrets()
  const values = await readSources({ name: 'p', ...environment }, names, { exec, directory: folder.path, secrets })
  return { values, secrets, folder }
}

const failure = async (...args: Parameters<typeof read>) => formatError(await failureOf(read(...args))).join('\n')

test('values of commands and files, without line breaks at their end, are secrets at once', async () => {
  const { values, secrets } = await read(
    {
      A: { command: 'printf "correct-horse\\n\\n"' },
      B: { command: ['printf', '%s', 'two words $HOME'] },
      C: { file: 'keys/c' },
      D: { command: 'cat keys/c' },
    },
    { 'keys/c': 'line one\r\nline two \r\n' },
  )
  expect(values).toEqual({
    A: 'correct-horse',
    B: 'two words $HOME',
    C: 'line one\r\nline two ',
    D: 'line one\r\nline two ',
  })
  expect(secrets.mask('it is correct-horse')).toBe('it is •••')
})

test('a program that continues without the output of the command is left alone', async () => {
  const { values, folder } = await read({ A: { command: 'sleep 60 >/dev/null 2>&1 & echo $! >pid; echo value' } })
  expect(values).toEqual({ A: 'value' })
  const pid = Number(readFileSync(join(folder.path, 'pid'), 'utf8'))
  expect(process.kill(pid)).toBe(true)
})

test('only those that are needed are read, and all at once', async () => {
  // Each ends once all have begun.
  const all = ['A', 'B', 'C', 'D']
  const meets = `until ${all.map((name) => `[ -e begun-${name} ]`).join(' && ')}; do sleep 0.05; done`
  const command = (name: string) => `touch begun-${name}; ${meets}; echo ${name}`
  const sources = Object.fromEntries(all.map((name) => [name, { command: command(name), timeout: '60s' }]))
  const { values } = await read({ ...sources, E: { command: 'exit 1' } }, {}, all)
  expect(values).toEqual({ A: 'A', B: 'B', C: 'C', D: 'D' })
})

describe('what cannot be read is exit 3, with all of it', () => {
  test('a command that fails: what it says on stderr, not what it prints', async () => {
    const script = '#!/bin/sh\necho tr0ub4dor-3x\necho "[ERROR] you are not currently signed in" >&2\nexit 1\n'
    const folder = temporary(scratch({ op: script }))
    chmodSync(join(folder.path, 'op'), 0o755)
    const command = `PATH=${folder.path}:$PATH; op read op://shop/db/password`
    const said = await failure({ DB_PASSWORD: { command } })
    expectGolden('core/secrets.md', 'sources', said.replace(`PATH=${folder.path}:$PATH; `, ''))
  })

  test.each([
    ['hangs', { command: 'sleep 60', timeout: '200ms' }, /sleep 60 did not end within 0\.2s/],
    ['asks on the terminal', { command: 'read answer </dev/tty && echo $answer' }, /ended with [12]\n.*\/dev\/tty/],
    ['waits for an answer', { command: 'read answer && echo "$answer"' }, /ended with 1/],
    ['is not there', { command: ['no-such-manager', 'read'] }, /no-such-manager read ended with 127\n.*not found/],
    ['prints nothing', { command: 'true' }, /Cannot use the secret A: it is empty/],
    ['prints 1 MB', { command: 'head -c 1000000 /dev/zero | tr "\\0" x' }, /it has more than 64 KiB/],
    [
      'prints 90 KB in 45,000 letters',
      { command: 'yes éééé | tr -d "\\n" | head -c 90000' },
      /it has more than 64 KiB/,
    ],
    ['prints binary', { command: 'printf "a\\000b"' }, /it is binary/],
    ['prints what is not UTF-8', { command: String.raw`printf 'key \377'` }, /it is binary/],
    ['ignores TERM', { command: "trap '' TERM; sleep 60 & wait", timeout: '200ms' }, /did not end within 0\.2s/],
    [
      'leaves a program that keeps its output',
      { command: 'setsid sleep 60 & echo tr0ub4dor-3x', timeout: '200ms' },
      /did not end within 0\.2s/,
    ],
    ['is no file', { file: 'none' }, /Cannot read the secret A: none does not exist/],
    ['is a folder', { file: '.' }, /Cannot read the secret A: \. cannot be read \(EISDIR\)/],
  ])('one that %s', async (_, source, message) => {
    const began = performance.now()
    const said = await failure({ A: source })
    expect(said).toMatch(message)
    expect(said.length).toBeLessThan(1_000)
    expect(said).not.toContain('tr0ub4dor-3x')
    expect(performance.now() - began).toBeLessThan(40_000)
  })

  test('several', async () => {
    const said = await failure({ A: { command: 'exit 3' }, B: { file: 'b' }, C: { command: 'echo fine' } })
    expect(said).toContain('Cannot read the secret A: exit 3 ended with 3')
    expect(said).toContain('Cannot read the secret B: b does not exist')
  })

  test('a secret that a manager prints although it fails is masked, also in its own argument', async () => {
    const said = await failure({ A: { command: 'echo tr0ub4dor-3x; echo "no tr0ub4dor-3x" >&2; exit 1' } })
    expect(said).not.toContain('tr0ub4dor-3x')
  })
})

test('which are used: anywhere in the model, and by `environment:`', async () => {
  const load = async (values: Readonly<Record<string, string>>) =>
    ({
      services: { web: { environment: { URL: `postgres://u:${values['IN_URL']}@db` } } },
      secrets: { key: { environment: 'BY_NAME' } },
    }) as unknown as ComposeModel
  expect(await namesUsed(['IN_URL', 'BY_NAME', 'NOWHERE'], load)).toEqual(['IN_URL', 'BY_NAME'])
  const broken = async () => {
    throw new Error('a port cannot be that')
  }
  expect(await namesUsed(['A', 'B'], broken)).toEqual(['A', 'B'])
})

test('mistakes in stagecraft.yml', async () => {
  const said = await failure({
    'not-a-name': { file: 'x' },
    A: { command: [] },
    B: { file: 'x', command: 'y' },
    C: 'op read',
  })
  expect(said).toMatchInlineSnapshot(`
    "Cannot use stagecraft.yml: 4 errors
    stagecraft.yml:1:34: must be the name of a variable, such as DB_PASSWORD, not "not-a-name"
    stagecraft.yml:1:75: must not be empty
    stagecraft.yml:1:83: must be a mapping with a \`command\` or a \`file\`, and not both
    stagecraft.yml:1:114: must be a mapping with a \`command\` or a \`file\`, not "op read"
      hint: The schema of the file: stagecraft init --schema"
  `)
})
