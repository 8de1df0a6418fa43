import { expect, test } from 'bun:test'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { EXITS } from '../../lib/cli/exits.ts'
import type { Table } from '../../lib/cli/find-command.ts'
import { manPage } from '../../lib/cli/man.ts'
import { TOPICS } from '../../lib/cli/topics.ts'

const page = await manPage(COMMANDS, '1.2.3')
const plain = page.replaceAll(/\\f[BIR]|\\&/g, '').replaceAll('\\-', '-')

function namesIn(table: Table, group = ''): string[] {
  return Object.entries(table).flatMap(([name, entry]) =>
    'load' in entry ? [`${group}${name}`] : namesIn(entry.commands, `${name} `),
  )
}

test('the manual page has every command, topic, exit code and variable', () => {
  for (const name of namesIn(COMMANDS)) expect(plain).toContain(`\n.SS ${name}\nstagecraft ${name}`)
  for (const topic of Object.values(TOPICS)) expect(plain).toContain(`\n.SS ${topic.trim().split('\n')[0]}\n`)
  for (const [code, meaning] of EXITS) expect(plain).toContain(`.TP\n${code}\n${meaning.replaceAll('`', '')}\n`)
  for (const variable of ['STAGECRAFT_ENV', 'STAGECRAFT_DIRECTORY', 'STAGECRAFT_ENGINE_TIMEOUT', 'NO_COLOR'])
    expect(plain).toContain(`.TP\n${variable}\n`)
  expect(plain).toContain('.TP\n-e, --env name\n')
  expect(page).toStartWith('.TH STAGECRAFT 1 "" "stagecraft 1.2.3" "User Commands"\n')
})

test('only requests begin with a dot, and groff, if it is here, has no warning', () => {
  const requests = new Set(page.split('\n').flatMap((line) => /^[.'](\w*)/.exec(line)?.[1] ?? []))
  expect([...requests].toSorted()).toEqual(['B', 'BR', 'I', 'PP', 'SH', 'SS', 'TH', 'TP', 'fi', 'nf'])
  if (!Bun.which('groff')) return
  const groff = ['groff', '-man', '-ww', '-Tutf8', '-rLL=100n']
  const { stdout, stderr, exitCode } = Bun.spawnSync(groff, { stdin: Buffer.from(page) })
  expect([exitCode, stderr.toString()]).toEqual([0, ''])
  expect(stdout.toString()).toContain('STAGECRAFT(1)')
})
