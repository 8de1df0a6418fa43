import { describe, expect, test } from 'bun:test'
import { errorReport } from '../../lib/output/error-report.ts'
import type { Event } from '../../lib/output/events.ts'
import { createReporter, type ReporterOptions } from '../../lib/output/report.ts'
import type { Plan } from '../../lib/plan/input.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { expectGolden } from '../support/golden.ts'

/** A reporter whose streams are kept, write by write. */
function recorded(options: Partial<ReporterOptions> = {}) {
  const writes: string[] = []
  const errors: string[] = []
  const stream = (to: string[]) => ({ failure: undefined, write: (text: string) => void to.push(text) })
  const report = createReporter({
    mode: 'plain',
    quiet: false,
    verbose: false,
    atOnce: false,
    stdout: stream(writes),
    stderr: stream(errors),
    ...options,
  })
  return { report, writes, stdout: () => writes.join(''), stderr: () => errors.join('') }
}

const deployment: Event[] = [
  { type: 'release', id: 'rel-20261122-080225643', version: 'v1', environment: 'prod', project: 'shop' },
  { type: 'phase', phase: 'build', status: 'running' },
  { type: 'output', phase: 'build', line: '#1 building' },
  { type: 'phase', phase: 'build', status: 'completed', duration_ms: 1234, note: '2 images built' },
  {
    type: 'phase',
    phase: 'push',
    status: 'completed',
    duration_ms: 3,
    note: 'this engine built the images',
  },
  { type: 'phase', phase: 'migrate_pre', status: 'completed', duration_ms: 0, note: 'no databases are configured' },
  { type: 'phase', phase: 'rollout', status: 'running' },
  { type: 'service', service: 'web', step: 'recreate', note: 'image changed' },
  { type: 'service', service: 'web', step: 'restore' },
  { type: 'phase', phase: 'rollout', status: 'failed', duration_ms: 12_345, note: 'web did not become ready' },
  { type: 'phase', phase: 'migrate_post', status: 'skipped' },
  { type: 'phase', phase: 'finalize', status: 'skipped' },
]

const failure = new StagecraftError('failed', 'Cannot build "web": docker compose build ended with 17', {
  detail: '#9 ERROR: failed to read the source: no such file\n#9 exit code: 1\n',
  hint: 'Run the build by itself: docker compose build web',
})

describe('plain', () => {
  test('a deploy is one line a phase, on stderr', () => {
    const { report, stdout, stderr } = recorded()
    for (const event of deployment) report.emit(event)
    expectGolden('core/cli.md', 'deploy-progress', stderr())
    expect(stdout()).toBe('')
  })

  test('--verbose adds what programs print, --quiet leaves out all but warnings', () => {
    const verbose = recorded({ verbose: true })
    const quiet = recorded({ quiet: true })
    for (const event of [...deployment, { type: 'warning', message: 'odd', hint: 'look' } as const]) {
      verbose.report.emit(event)
      quiet.report.emit(event)
    }
    expect(verbose.stderr()).toContain('\n  | #1 building\n')
    expect(quiet.stderr()).toBe('warning: odd\n  hint: look\n')
  })

  test('service lines line up once the plan has named the services', () => {
    const { report, stderr } = recorded()
    // Of a plan the reporter looks at the names only.
    const plan = { services: [{ service: 'database' }, { service: 'web' }] } as unknown as Plan
    report.emit({ type: 'plan', plan })
    report.emit({ type: 'service', service: 'web', step: 'create', note: 'new' })
    report.emit({ type: 'service', service: 'database', step: 'recreate', note: 'image changed' })
    expect(stderr().split('\n')).toEqual(['  web       create    new', '  database  recreate  image changed', ''])
  })

  test('an error is its message, what the program said, whole, and what to do', () => {
    const { report, stderr } = recorded()
    report.error(errorReport(failure, { verbose: true }))
    expectGolden('core/cli.md', 'error', stderr())
  })

  test('what is not our error is a bug, with a stack only where it is asked for', () => {
    const { report, stderr } = recorded()
    const bug = new TypeError('x is undefined')
    report.error(errorReport(bug, { verbose: false }))
    report.error(errorReport('thrown text', { verbose: true }))
    expect(stderr()).toStartWith('Stagecraft has a bug: x is undefined\n  hint: Please report it')
    expect(stderr()).toContain('Stagecraft has a bug: thrown text\n')
    expect(stderr()).not.toContain('    at ')
    report.error(errorReport(bug, { verbose: true }))
    expect(stderr()).toContain('report.test.ts')
  })

  test('a line of megabytes is cut on the screen, and whole in JSON', () => {
    const line = 'x'.repeat(64 * 1024)
    const { report, stderr } = recorded({ verbose: true })
    report.emit({ type: 'output', phase: 'build', line })
    expect(stderr()).toBe(`  | ${'x'.repeat(2_000)}… (63536 more)\n`)
    const json = recorded({ verbose: true, mode: 'json' })
    json.report.emit({ type: 'output', phase: 'build', line })
    expect(json.stdout()).toContain(line)
  })

  test('names and notes of others break no line and colour nothing', () => {
    const { report, stderr } = recorded({ verbose: true })
    report.emit({ type: 'release', id: 'i', version: 'v\u001b[31m1\nx', environment: 'p', project: 's' })
    report.emit({ type: 'service', service: 'w\u001b[2J', step: 'ready', note: 'a\r\nb' })
    report.emit({ type: 'output', phase: 'build', line: '\u001b[1mbold\u001b[0m\u0007 10%\r20%' })
    report.emit({ type: 'warning', message: 'one\ntwo', hint: 'first\nsecond' })
    expect(stderr().split('\n')).toEqual([
      'release i  v1 x → p',
      '  w  done      a b',
      '  | 20%',
      'warning: one two',
      '  hint: first',
      '        second',
      '',
    ])
  })

  test('a result goes to stdout; held back, it is one write at the end', () => {
    const at = recorded()
    at.report.result('releases', { releases: [] }, () => ['a', 'b'])
    expect(at.writes).toEqual(['a\nb\n'])
    const held = recorded({ atOnce: true })
    held.report.result('releases', { releases: [] }, () => ['a', 'b'])
    held.report.result('releases', { releases: [] }, () => ['c'])
    expect(held.writes).toEqual([])
    held.report.finish(0)
    expect(held.writes).toEqual(['a\nb\nc\n'])
  })
})

describe('json', () => {
  test('every event and result is a line, v first, finished last', () => {
    const { report, stdout, stderr } = recorded({ mode: 'json' })
    for (const event of deployment.slice(0, 4)) report.emit(event)
    report.result('step', { host: 'web-1', what: 'install docker' }, () => {
      throw new Error('no text is made')
    })
    report.finish(0)
    expect(stdout()).toBe(
      [
        '{"v":1,"type":"release","id":"rel-20261122-080225643","version":"v1","environment":"prod","project":"shop"}',
        '{"v":1,"type":"phase","phase":"build","status":"running"}',
        '{"v":1,"type":"phase","phase":"build","status":"completed","duration_ms":1234,"note":"2 images built"}',
        '{"v":1,"type":"step","host":"web-1","what":"install docker"}',
        '{"v":1,"type":"finished","exit":0}',
        '',
      ].join('\n'),
    )
    expect(stderr()).toBe('')
  })

  test('an error is in the last line, without its stack, and on stderr as text', () => {
    const { report, stdout, stderr } = recorded({ mode: 'json' })
    const error = errorReport(failure, { verbose: false })
    report.error(error)
    report.finish(5, { ...error, stack: 'at …' })
    expect(JSON.parse(stdout())).toEqual({
      v: 1,
      type: 'finished',
      exit: 5,
      error: { kind: 'failed', message: failure.message, hint: failure.hint, detail: failure.detail },
    })
    expect(stderr()).toStartWith('Cannot build "web"')
  })
})

describe('secrets', () => {
  const say = (options: Partial<ReporterOptions>) => {
    const recording = recorded({ verbose: true, ...options })
    const { report } = recording
    report.secrets.add(['hunter22', 'production'])
    report.secrets.add(['s3cr3t-two'])
    report.emit({ type: 'release', id: 'i', version: 'v1', environment: 'production', project: 'shop' })
    report.emit({ type: 'service', service: 'web', step: 'ready', note: 'password hunter22' })
    report.emit({ type: 'output', phase: 'rollout', line: 'login hunter22 s3cr3t-\u001b[1mtwo' })
    report.emit({ type: 'warning', message: 'hunter22', hint: 'hunter22' })
    report.result('schema', { schema: { value: ['hunter22'] } }, () => ['is hunter22'])
    const error = new StagecraftError('failed', 'Cannot hunter22', { detail: 'x\nhunter22', hint: 's3cr3t-two' })
    report.error(errorReport(error, { verbose: false }))
    report.finish(5, errorReport(error, { verbose: false }))
    return recording.stdout() + recording.stderr()
  }

  test.each(['plain', 'json'] as const)('nothing that is printed as %s holds one, but the names stay', (mode) => {
    const printed = say({ mode })
    expect(printed).not.toMatch(/hunter22|s3cr3t/)
    expect(printed).toContain('•••')
    expect(printed).toContain('production')
  })
})

describe('text of others', () => {
  const HOSTILE = '\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\u2066\u200f\u061c\u2028\u007f\u0000x\r\nFAKE'
  const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u

  const say = (options: Partial<ReporterOptions>) => {
    const recording = recorded({ verbose: true, ...options })
    const { report } = recording
    report.emit({ type: 'release', id: HOSTILE, version: HOSTILE, environment: HOSTILE, project: HOSTILE })
    report.emit({ type: 'service', service: HOSTILE, step: 'ready', note: HOSTILE, host: HOSTILE })
    report.emit({ type: 'output', phase: 'rollout', line: HOSTILE })
    report.emit({ type: 'warning', message: HOSTILE, hint: HOSTILE, host: HOSTILE })
    report.emit({ type: 'recovery', release: HOSTILE, version: HOSTILE, outcome: 'undone', message: HOSTILE })
    report.result('schema', { schema: { [HOSTILE]: [HOSTILE] } }, () => [HOSTILE, `ours ${HOSTILE}`])
    report.error({ kind: 'failed', message: HOSTILE, hint: HOSTILE, stack: HOSTILE })
    report.finish(5, { kind: 'failed', message: HOSTILE })
    return recording.stdout() + recording.stderr()
  }

  test.each(['plain', 'json'] as const)('moves no cursor, colours nothing and turns nothing, as %s', (mode) => {
    const printed = say({ mode })
    expect(printed).toContain('FAKE')
    expect(printed).not.toMatch(UNPRINTABLE)
  })

  test('on a terminal only what is ours is coloured', () => {
    const style = (_: string, text: string) => `\u001b[1m${text}\u001b[0m`
    const printed = say({ mode: 'terminal', style })
    expect(printed).toContain('\u001b[1m')
    expect(printed.replaceAll('\u001b[1m', '').replaceAll('\u001b[0m', '')).not.toMatch(UNPRINTABLE)
  })

  test('as JSON it is whole', () => {
    const { report, stdout } = recorded({ mode: 'json' })
    report.result('schema', { schema: { [HOSTILE]: HOSTILE } }, () => [])
    expect(JSON.parse(stdout())).toEqual({ v: 1, type: 'schema', schema: { [HOSTILE]: HOSTILE } })
  })
})

test("the copy of a host's folder is called by the folder there", () => {
  const { report, stderr, stdout } = recorded()
  report.callPath('/tmp/copy-1/state', 'web-1:/srv/shop/prod')
  report.error({ kind: 'state', message: 'Cannot read /tmp/copy-1/state/releases.json: it is empty' })
  report.result('releases', { releases: [] }, () => ['kept in /tmp/copy-1/state'])
  expect([stderr(), stdout()]).toEqual([
    'Cannot read web-1:/srv/shop/prod/releases.json: it is empty\n',
    'kept in web-1:/srv/shop/prod\n',
  ])
})

test('on a terminal the same words are coloured, and the columns stay', () => {
  const style = (tone: string, text: string) => `<${tone}>${text}</>`
  const { report, stderr } = recorded({ mode: 'terminal', style })
  report.emit({ type: 'phase', phase: 'push', status: 'failed', duration_ms: 100, note: 'no' })
  report.emit({ type: 'phase', phase: 'build', status: 'completed', duration_ms: 60_000 })
  report.error(errorReport(failure, { verbose: false }))
  expect(stderr().split('\n').slice(0, 3)).toEqual([
    'push          <bad>failed   </>   0.1s  no',
    'build         <good>completed</>  1m00s',
    '<bad>Cannot build "web": docker compose build ended with 17</>',
  ])
})
