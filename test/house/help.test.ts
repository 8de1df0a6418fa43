import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMMANDS } from '../../lib/cli/commands/table.ts'
import { EXITS } from '../../lib/cli/exits.ts'
import type { Table } from '../../lib/cli/find-command.ts'
import { commandHelp } from '../../lib/cli/usage.ts'

const ROOT = join(import.meta.dir, '../..')
const GLOBAL = ['--directory <folder>', '--state <file>', '--json', '--quiet', '--verbose', '--help']

interface Subject {
  /** as it is typed: `releases list` */
  readonly name: string
  /** the names of its group, its own among them; of a command without a group, none */
  readonly siblings: readonly string[]
  /** what its help prints */
  readonly help: string
  /** its page in spec/commands */
  readonly page: string
}

const subjects = await subjectsIn(COMMANDS)

async function subjectsIn(table: Table, group?: string): Promise<Subject[]> {
  const found = Object.entries(table).map(async ([key, entry]) => {
    if ('commands' in entry) return subjectsIn(entry.commands, key)
    const { default: command } = await entry.load()
    const page = join(ROOT, `spec/commands/${group ?? key}.md`)
    return {
      name: command.name,
      siblings: group === undefined ? [] : Object.keys(table),
      help: await commandHelp(command),
      page: existsSync(page) ? readFileSync(page, 'utf8') : '',
    }
  })
  return (await Promise.all(found)).flat()
}

type Exits = Record<string, string[]>

const clausesOf = (text: string) =>
  text
    .replaceAll('`', '')
    .replaceAll(/ \([^)]*\)/g, '')
    .split('; ')

/** What the help says of each exit code, clause by clause. */
function exitsInHelp({ help }: Subject): Exits {
  const lines = help.slice(help.indexOf('\nEXIT CODES\n')).matchAll(/^ +(\d[\d+n]*) {2}(.*)$/gm)
  return Object.fromEntries([...lines].map(([, code = '', meaning = '']) => [code, clausesOf(meaning)]))
}

/** What the page says of each exit code of this command: `hold: …` and `show, diff: …` is about these alone. */
function exitsOnPage({ name, siblings, page }: Subject): Exits {
  const [, table = ''] = /^\| exit \|.*\n\|[-|]+\n((?:\|.*\n?)+)/m.exec(page) ?? []
  const own = name.split(' ').at(-1) ?? ''
  const isOurs = (names: string) => names.split(', ').every((each) => siblings.includes(each))
  const rows = [...table.matchAll(/^\| (\S+) \| (.*) \|$/gm)].map(([, code = '', meaning = '']) => {
    const clauses = clausesOf(meaning).flatMap((clause) => {
      const [, names, rest = ''] = /^([a-z, ]+): (.*)$/.exec(clause) ?? []
      if (names === undefined || !isOurs(names)) return [clause]
      return names.split(', ').includes(own) ? [rest] : []
    })
    return [code, clauses] as const
  })
  return Object.fromEntries(rows.filter(([, clauses]) => clauses.length > 0))
}

/** The flags of a help, with their values: `--env <name>`. */
const flagsInHelp = ({ help }: Subject) =>
  [...help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)(?:=(\S+))? {2,}/gm)].map(([, flag, value]) =>
    value === undefined ? flag : `${flag} ${value}`,
  )

/** The flags in the headings of a page that are about this command. */
function flagsOnPage({ name, page }: Subject) {
  const headings = page.split('\n').filter((line) => {
    const words = line.replace(/^## (stagecraft )?/, '')
    return line.startsWith('# stagecraft ') || (line.startsWith('## ') && `${words} `.startsWith(`${name} `))
  })
  return [...headings.join('\n').matchAll(/--[a-z-]+( <[^>]+>)?/g)].map(([flag]) => flag)
}

describe('the help of every command', () => {
  test('is looked at', () => {
    expect(subjects.length).toBeGreaterThan(20)
  })

  test.each(subjects)('$name: the flags are those in the headings of its page', (subject) => {
    const flags = flagsInHelp(subject)
    expect(flags).toEqual(expect.arrayContaining(GLOBAL))
    expect(flags.filter((flag) => !GLOBAL.includes(flag ?? '')).toSorted()).toEqual(flagsOnPage(subject).toSorted())
  })

  test.each(subjects)('$name: the exit codes are those of its page', (subject) => {
    expect(Object.keys(exitsInHelp(subject))).toEqual(Object.keys(exitsOnPage(subject)))
  })

  test.each(subjects)('$name: each exit code is one of those of all commands, or Ctrl-C', (subject) => {
    const known = [...EXITS.map(([code]) => code), '130']
    expect(known).toEqual(expect.arrayContaining(Object.keys(exitsInHelp(subject))))
  })

  test.each(subjects)('$name: the page says of each exit code what the help says, and maybe more', (subject) => {
    const page = exitsOnPage(subject)
    const ofItsOwn = Object.entries(exitsInHelp(subject)).filter(([, [first]]) => first !== 'done')
    const missing = ofItsOwn.flatMap(([code, clauses]) =>
      clauses.filter((clause) => !page[code]?.includes(clause)).map((clause) => `${code}: ${clause}`),
    )
    expect(missing).toEqual([])
  })
})
