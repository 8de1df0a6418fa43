import { describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { parseHostState } from '../../lib/hosts/state/answer.ts'
import { takenOver, unusableState } from '../../lib/hosts/state/errors.ts'
import { entryLine, manifestText, sha256 } from '../../lib/hosts/state/manifest.ts'
import { dice } from '../support/dice.ts'
import { expectGolden } from '../support/golden.ts'

const ID = '01234567-89ab-cdef-0123-456789abcdef'

interface Sent {
  readonly files: readonly (readonly [path: string, text: string])[]
  /** what `head` says instead of the manifest's own hash */
  readonly head?: string
  readonly entries?: readonly string[]
  readonly stream?: Uint8Array
  readonly before?: readonly string[]
  readonly after?: readonly string[]
}

const FILES = [
  ['releases.json', '{"releases":[]}'],
  ['releases/rel-1/release.json', '{"v":1}'],
  ['releases/rel-1/hosts/web-2_2222/compose.json', '{}'],
  ['releases/rel-1/events.jsonl', ''],
] as const

/** What READ prints of a host with these files. */
function said({ files, head, entries, stream, before = [], after = ['end 0'] }: Sent): string {
  const own = files.map(([path, text]) => ({ path, size: Buffer.byteLength(text), hash: sha256(text) }))
  const ordered = own.toSorted((a, b) => (entryLine(a) < entryLine(b) ? -1 : 1))
  const bytes = stream ?? gzipSync(ordered.map(({ path }) => files.find(([each]) => each === path)?.[1]).join(''))
  const lines = entries ?? ordered.map(entryLine)
  return [
    ...before,
    `head ${head ?? `${sha256(manifestText(own))} ${ID}`}`,
    ...lines.map((line) => `entry ${line}`),
    'files',
    Buffer.from(bytes).toString('base64').replaceAll(/.{76}/g, '$&\n'),
    ...after,
    '',
  ].join('\n')
}

/** The result, in a line. */
function read(sent: Partial<Sent> = {}): string {
  const state = parseHostState(said({ files: FILES, ...sent }), 'prod')
  return 'why' in state ? `${state.why} ${state.path}` : [...state.files.keys()].sort().join(' ')
}

const WHOLE = FILES.map(([path]) => path)
  .toSorted()
  .join(' ')

describe('what a host sends', () => {
  test('is taken where all of it is what its manifest says', () => {
    expect(read()).toBe(WHOLE)
    const state = parseHostState(
      said({
        files: FILES,
        before: [
          ...['locked yes', 'content 00ff', 'content ../../etc', 'content ..', 'content .'],
          ...[`lock prod.json ${btoa('{}')}`, `lock prod.hold.json ${btoa('held')}`, `lock ../x.json ${btoa('x')}`],
          ...[
            `lock prod.json.sh ${btoa('x')}`,
            'something else',
            `plain ${sha256('{"v":1}')} releases/rel-1/release.json`,
          ],
        ],
      }),
      'prod',
    )
    if ('why' in state) throw new Error(state.path)
    expect([state.locked, state.legacy, state.content, [...state.locks]]).toEqual([
      ...[true, false, ['00ff']],
      [
        ['prod.json', '{}'],
        ['prod.hold.json', 'held'],
      ],
    ])
    expect(Buffer.from(state.files.get('releases.json') ?? []).toString()).toBe('{"releases":[]}')
  })

  test('may be nothing at all', () => {
    expect(parseHostState('end 0\n', 'prod')).toMatchObject({ head: '', legacy: false, content: [] })
  })

  test.each([
    ['releases/../../home/ana/.bashrc.json'],
    ['/etc/cron.d/x.json'],
    ['releases/rel-1/.git/config.json'],
    ['releases/rel-1/release.json/'],
    ['releases//release.json'],
    ['releases/rel-1/run.sh'],
    ['releases/rel-1/a b.json'],
    ['releases/rel-1/\u001b[2J.json'],
    ['content/00ff'],
    ['locks/prod.json'],
    ['releases.json.json'],
    [`releases/${'x'.repeat(600)}/release.json`],
    ['releases/a/b/c/d/e/f/release.json'],
  ])('is refused with a path that ours never writes: %p', (path) => {
    expect(read({ files: [...FILES, [path, 'x']] })).toMatch(/^foreign objects\//)
  })

  const LINES = FILES.map(([path, text]) => entryLine({ path, size: text.length, hash: sha256(text) })).sort()
  test.each([
    ['a file is another one', { files: FILES, stream: gzipSync('{"v":2}'.padEnd(24, ' ')) }],
    ['a file is missing', { stream: gzipSync('{}') }],
    ['there is more than the files', { stream: gzipSync('x'.repeat(1_000_000)) }],
    ['it is not packed', { stream: Buffer.from('{}{"v":1}') }],
    ['the manifest lacks a file', { entries: LINES.slice(1) }],
    ['the manifest is another one', { head: `${sha256('other')} ${ID}` }],
    ['a command there failed', { after: ['end 1'] }],
    ['it has no end', { after: [] }],
    ['a readable file is another one', { before: [`plain ${sha256('other')} releases.json`] }],
    ['an object is missing', { after: ['missing releases/rel-1/release.json', 'end 123'] }],
  ])('is damaged where %s', (_, sent) => {
    expect(read(sent)).toMatch(/^damaged /)
  })

  test.each([
    ['head says something else', { head: 'releases.json' }, 'foreign head'],
    ['head leads out', { head: `../../../etc/passwd ${ID}` }, 'foreign head'],
    ['two entries have one path', { entries: [...LINES, LINES[0] ?? ''] }, /^foreign objects/],
    ['a size is none', { entries: [`${sha256('x')} 1e9 releases.json`] }, /^foreign objects/],
    ['it is too large', { entries: [`${sha256('x')} 999999999 releases.json`] }, /^foreign objects/],
    [
      'a file is a folder too',
      {
        files: [
          ['releases/a/b.json', ''],
          ['releases/a/b.json/c.json', ''],
        ] as const,
      },
      /^foreign /,
    ],
    ['it cannot be read', { before: ['unreadable releases.json'] }, 'unreadable releases.json'],
  ] as const)('is refused where %s', (_, sent, why) => {
    expect(read(sent)).toMatch(why)
  })

  test('with too many files is refused', () => {
    const entries = Array.from({ length: 100_001 }, (_, at) => `${sha256('')} 0 releases/r${at}/release.json`)
    expect(read({ entries })).toMatch(/^foreign /)
  })

  test('is itself or refused, whatever is changed in it', () => {
    const roll = dice(20_261_127)
    const whole = said({ files: FILES, before: ['content 00ff', `lock prod.json ${btoa('{"pid":1}')}`] })
    const outcomes = { same: 0, refused: 0 }
    for (let round = 0; round < Number(process.env['STAGECRAFT_FUZZ'] ?? 3000); round++) {
      const state = parseHostState(mutate(whole, roll), 'prod')
      if ('why' in state) outcomes.refused++
      else {
        outcomes.same++
        const bytes = [...state.files].map(([path, text]) => [path, Buffer.from(text).toString()])
        expect(bytes.sort()).toEqual(FILES.map((file) => [...file]).sort())
      }
    }
    expect(outcomes.refused).toBeGreaterThan(outcomes.same)
  })
})

/** Changes, repeats or takes away some bytes or a line. */
function mutate(text: string, roll: ReturnType<typeof dice>): string {
  const at = roll(text.length)
  const lines = text.split('\n')
  const line = roll(lines.length)
  const byte = String.fromCharCode(roll(256))
  return [
    () => text.slice(0, at) + byte + text.slice(at + 1),
    () => text.slice(0, at),
    () => text.slice(0, at) + text.slice(at + 1 + roll(40)),
    () => lines.toSpliced(line, 1).join('\n'),
    () => lines.toSpliced(line, 0, lines[roll(lines.length)] ?? '').join('\n'),
    () => text.slice(0, at) + ['../', '\n', '\0', 'end 0\n', 'files\n', 'head x\n'][roll(6)] + text.slice(at),
  ][roll(6)]?.() as string
}

test('errors say what is wrong, where, and what to do', () => {
  const folder = '/srv/stagecraft/shop/prod'
  const place = { host: 'web-1', folder, user: 'deploy', environment: 'prod' }
  const lines = (['unreadable releases.json', 'damaged releases/rel-1/compose.json', 'foreign head'] as const).map(
    (line) => {
      const [why = '', path = ''] = line.split(' ')
      const { message, hint } = unusableState(place, { why: why as 'damaged', path, head: 'x' })
      return `${message}\n  hint: ${hint}`
    },
  )
  expectGolden('core/hosts.md', 'unreadable', lines.join('\n'))
  const event = takenOver(place)
  expect(event.type).toBe('warning')
  if (event.type === 'warning')
    expectGolden('core/hosts.md', 'taken-over', `warning: ${event.message}\n  hint: ${event.hint}`)
})
