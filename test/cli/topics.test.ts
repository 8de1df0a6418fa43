import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { EXITS } from '../../lib/cli/exits.ts'
import { findCommand } from '../../lib/cli/find-command.ts'
import { findTopic, TOPIC_OF, TOPICS } from '../../lib/cli/topics.ts'
import { commandHelp } from '../../lib/cli/usage.ts'
import { parseConfig } from '../../lib/config/parse.ts'
import { stagecraft } from '../support/command-line.ts'

const lines = Object.entries(TOPICS).flatMap(([topic, text]) => text.split('\n').map((line) => ({ topic, line })))

test('every command line in a topic is one that there is, with flags that it has', async () => {
  const calls = lines.flatMap(({ line }) => /^ {5}stagecraft ([^#]*)/.exec(line)?.[1]?.trim() ?? [])
  expect(calls.length).toBeGreaterThan(25)
  for (const call of calls) {
    const words = call.split(/\s+/)
    const found = findCommand(words, COMMANDS)
    if (found.kind !== 'command') throw new Error(`${call} is no command`)
    const help = await commandHelp((await found.load()).default)
    for (const flag of words.filter((word) => /^--?[a-z]/.test(word)))
      expect([call, help]).toEqual([call, expect.stringContaining(flag)])
  }
})

test('a line has at most 80 columns, and topics have no name of a command', () => {
  expect(lines.filter(({ line }) => line.length > 80)).toEqual([])
  expect(Object.keys(TOPICS).filter((topic) => topic in COMMANDS)).toEqual([])
})

test('`help <topic>` prints it; the list of commands names them; an unknown one is wrong usage', async () => {
  const [topic, all, unknown] = await Promise.all([
    stagecraft(['help', 'exit-codes']),
    stagecraft(['--help']),
    stagecraft(['help', 'hosst']),
  ])
  expect(topic).toEqual({ exit: 0, stdout: `${TOPICS['exit-codes']?.trim()}\n`, stderr: '' })
  expect(all.stdout).toContain(`Topics (stagecraft help <topic>): ${Object.keys(TOPICS).join(', ')}`)
  expect([unknown.exit, unknown.stderr]).toEqual([2, expect.stringContaining('Did you mean "help hosts"?')])
})

test('settings in a topic are valid', () => {
  const blocks = Object.values(TOPICS).flatMap((text) =>
    text.split('\n\n').filter((part) => /^ {5}(project|environments):/.test(part)),
  )
  expect(blocks.length).toBeGreaterThan(3)
  for (const block of blocks) expect(parseConfig(block.replaceAll(/^ {5}/gm, '')).environments).toBeDefined()
})

test('a topic is found by the beginning of its name, and a command comes first', async () => {
  expect(['host', 'migration', 'trouble', 'exit'].map((word) => findTopic(word))).toEqual(
    ['hosts', 'migrations', 'troubleshooting', 'exit-codes'].map((topic) => TOPICS[topic]),
  )
  expect(['', 'x', 'toString'].map((word) => findTopic(word))).toEqual([undefined, undefined, undefined])
  const [command, topic] = await Promise.all([stagecraft(['help', 'rollback']), stagecraft(['help', 'host'])])
  expect(command.stdout).toContain('USAGE stagecraft rollback')
  expect(command.stdout).toEndWith('\nSee also: stagecraft help rollbacks\n')
  expect(topic.stdout).toBe(`${TOPICS['hosts']?.trim()}\n`)
})

test('the topics that commands name are there, and so are these commands', () => {
  for (const [name, topic] of Object.entries(TOPIC_OF)) {
    expect(Object.keys(TOPICS)).toContain(topic)
    expect(findCommand(name.split(' '), COMMANDS).kind).toBe('command')
  }
})

test.each(['spec/core/cli.md', 'README.md'])('%s has the same table of exit codes', (file) => {
  const page = readFileSync(join(import.meta.dir, '../..', file), 'utf8')
  const [, table = ''] = /## Exit codes\n\n\| exit .*\n\|[-|]+\n((?:\|.*\n)+)/.exec(page) ?? []
  const rows = [...table.matchAll(/^\| (\S+) \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning])
  expect(rows).toEqual(EXITS.map((row) => [...row]))
})
