import { describe, expect, test } from 'bun:test'
import type { Event } from '../../lib/output/events.ts'
import { liveOn } from '../../lib/output/live.ts'
import { createReporter, type ReporterOptions } from '../../lib/output/report.ts'
import type { Plan } from '../../lib/plan/input.ts'
import { expectGolden } from '../support/golden.ts'
import { openScreen } from '../support/screen.ts'

interface Wishes {
  readonly columns?: number
  readonly rows?: number
  readonly unicode?: boolean
  readonly more?: Partial<ReporterOptions>
}

/** A reporter on a terminal of its own. */
function onTerminal({ columns = 80, rows = 24, unicode = true, more = {} }: Wishes = {}) {
  const screen = openScreen(columns, rows)
  const writes: string[] = []
  const size = { columns, rows }
  const write = (text: string) => {
    writes.push(text)
    screen.write(text)
  }
  const stream = { failure: undefined, write }
  const how = { mode: 'terminal', quiet: false, verbose: false, atOnce: false, stdout: stream, stderr: stream } as const
  const report = createReporter({ ...how, openLive: liveOn({ size: () => size, unicode }), ...more })
  const shows = async (what: string | RegExp) => {
    const found = () => (typeof what === 'string' ? screen.text().includes(what) : what.test(screen.text()))
    for (const latest = performance.now() + 20_000; !found(); await Bun.sleep(5)) {
      await screen.settled()
      if (performance.now() > latest) throw new Error(`the screen never shows ${what}:\n${screen.text()}`)
    }
    return steady(screen.text())
  }
  const emit = (...events: readonly Event[]) => {
    for (const event of events) report.emit(event)
  }
  const resize = (to: number) => {
    Object.assign(size, { columns: to })
    screen.resize(to, rows)
  }
  return { report, emit, screen, shows, writes, resize }
}

/** The spinner and the time that has passed are different each time. */
function steady(text: string): string {
  return text.replace(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏|/\\-](?= (running|\d))/g, '⠹').replace(/ +\d+\.\ds(?= *$)/gm, '   0.0s')
}

const RELEASE = {
  ...({ type: 'release', id: 'rel-20261122-080225643', version: 'v2' } as const),
  ...{ environment: 'prod', project: 'shop' },
}
const planOf = (...names: string[]) =>
  // Of a plan the reporter looks at the names only.
  ({ type: 'plan', plan: { services: names.map((service) => ({ service })) } as unknown as Plan }) as const
const began = (phase: 'build' | 'push' | 'migrate_pre' | 'rollout') =>
  ({ type: 'phase', phase, status: 'running' }) as const
const said = (line: string) => ({ type: 'output', phase: 'build', line }) as const
const BUILT = { type: 'phase', phase: 'build', status: 'completed', duration_ms: 8_200, note: 'built web' } as const
const REASON = "wget: can't connect to remote host (127.0.0.1): Connection refused"
const ROLLOUT: Event[] = [
  began('rollout'),
  { type: 'service', service: 'db', step: 'keep', note: 'nothing changed' },
  { type: 'service', service: 'web', step: 'recreate', note: 'image changed' },
  { type: 'service', service: 'worker', step: 'recreate', note: 'image changed' },
  { type: 'service', service: 'worker', step: 'ready' },
  { type: 'progress', service: 'web', message: `starting, healthcheck 3 of 10 (${REASON})` },
]
const FAILED = { type: 'phase', phase: 'rollout', status: 'failed', duration_ms: 12_300 } as const

describe('on a terminal', () => {
  test('under a running phase are the last lines that its programs print; one line of it stays', async () => {
    const { emit, shows, screen } = onTerminal()
    const lines = Array.from({ length: 9 }, (_, at) => [said(`#7 ${at}.1 added ${at}00 packages`), said('')]).flat()
    emit(RELEASE, planOf('web', 'worker', 'db'), began('build'), ...lines)
    expectGolden('core/cli.md', 'live-build', await shows('900'.replace('9', '8')))
    emit(BUILT)
    await screen.settled()
    expect(screen.text()).toBe('release rel-20261122-080225643  v2 → prod\nbuild         completed   8.2s  built web')
    expect(screen.cursor()).toEqual({ column: 0, row: 2 })
  })

  test('each service has a line with what it is at', async () => {
    const { emit, shows } = onTerminal()
    emit(RELEASE, planOf('web', 'worker', 'db'), BUILT, ...ROLLOUT)
    expectGolden('core/cli.md', 'live-rollout', await shows('healthcheck'))
  })

  test('each host has its own lines', async () => {
    const { emit, shows } = onTerminal()
    emit({ ...planOf('web'), host: 'web-1' }, { ...planOf('web'), host: 'web-20' }, began('push'))
    emit({ type: 'output', phase: 'push', line: 'a1: Pulling fs layer', host: 'web-20' })
    emit({ type: 'output', phase: 'push', line: 'a1: Download complete', host: 'web-20' })
    emit({ type: 'sending', host: 'web-1', bytes: 1_000_000, total: 4_000_000 })
    expect(await shows('Download')).toBe(
      ['push          ⠹ running   0.0s', '  web-1: sent 1.0 MB of 4.0 MB', '  web-20  | a1: Download complete'].join(
        '\n',
      ),
    )
  })

  test('the steps of a phase that fails stay', async () => {
    const { emit, report, screen } = onTerminal()
    emit(RELEASE, planOf('web', 'worker', 'db'), BUILT, ...ROLLOUT)
    emit({ type: 'service', service: 'web', step: 'failed', note: 'its healthcheck says unhealthy' }, FAILED)
    report.error({ kind: 'failed', message: 'Cannot start web: its healthcheck says unhealthy', hint: 'v1 is live.' })
    report.finish(5)
    await screen.settled()
    expectGolden('core/cli.md', 'live-failed', screen.text())
    expect(screen.isCursorHidden()).toBe(false)
  })

  test('so do those of a phase that never ends, and nothing else of what was drawn', async () => {
    const { emit, report, screen, shows } = onTerminal()
    emit(...ROLLOUT)
    await shows('healthcheck')
    report.error({ kind: 'bug', message: 'Stagecraft has a bug: x' })
    await screen.settled()
    expect(screen.text()).toContain('web  recreate  image changed')
    expect(screen.text()).not.toMatch(/running|healthcheck/)
  })

  test('a warning stays above, and is wrapped between words', async () => {
    const { emit, shows, screen } = onTerminal({ columns: 40 })
    emit(began('build'), said('#1 x'), { type: 'warning', message: 'one two '.repeat(8).trim(), hint: 'look here' })
    expect(await shows('look here')).toBe(
      [
        'warning: one two one two one two one two',
        '         one two one two one two one two',
        '  hint: look here',
        'build         ⠹ running   0.0s',
        '  | #1 x',
      ].join('\n'),
    )
    expect(screen.wrapped()).toBe(0)
  })

  test('with --verbose everything stays, and only the phase is below', async () => {
    const { emit, shows } = onTerminal({ more: { verbose: true } })
    emit(began('build'), said('#1 first'), said('#1 second'))
    expect(await shows('second')).toBe('  | #1 first\n  | #1 second\nbuild         ⠹ running   0.0s')
  })

  test('outside a phase only what is waited for is drawn', async () => {
    const { emit, shows, screen } = onTerminal()
    emit({ type: 'progress', service: 'web', message: 'starting' })
    expect(await shows('starting')).toBe('⠹   0.0s\n  web  starting')
    emit({ type: 'service', service: 'web', step: 'ready' })
    await screen.settled()
    expect(screen.text()).toBe('  web  healthy')
    emit(said('#1'))
    expect(await shows('#1')).toBe('  web  healthy\nbuild         ⠹ running   0.0s\n  | #1')
  })

  test('secrets and escape sequences of programs are not drawn', async () => {
    const { emit, report, shows } = onTerminal()
    report.secrets.add(['hunter22'])
    emit(began('rollout'), { type: 'progress', service: 'w\u001b[2J', message: 'hunter22 \u001b[5Aup\u0007' })
    emit(said('\u001b[1;1Hhunter22\r\u202eend'))
    expect(await shows('end')).toBe('rollout       ⠹ running   0.0s\n  w  ••• up\n  | end')
  })
})

describe('whatever the terminal is like', () => {
  const services = Array.from({ length: 30 }, (_, at) => `service-${at}`)
  const busy: Event[] = [
    ...[RELEASE, planOf(...services), began('rollout')],
    ...services.map(
      (service) =>
        ({ type: 'service', service, step: 'recreate', note: `image changed ${'日本語'.repeat(30)}` }) as const,
    ),
    { type: 'service', service: 'service-3', step: 'ready' },
  ]

  test.each([
    [80, 24],
    [20, 24],
    [300, 50],
    [80, 5],
    [80, 2],
    [80, 1],
    [1, 24],
  ])('%d columns and %d rows: what is drawn fits, and all of it goes again', async (columns, rows) => {
    const { emit, report, screen, shows } = onTerminal({ columns, rows })
    emit(...busy.slice(1))
    if (columns > 1 && rows > 1) await shows(rows > 2 && rows < 32 ? / {2}\d+ more$/ : /rollout/)
    if (columns > 1) expect(screen.text().split('\n').length).toBeLessThanOrEqual(rows)
    if (columns > 1) expect(screen.wrapped()).toBe(0)
    emit({ type: 'phase', phase: 'rollout', status: 'completed', duration_ms: 1, note: 'x' })
    report.finish(0)
    await screen.settled()
    const left = screen.text().replace(/\s+/g, '')
    expect(left).toBe('rolloutcompleted0.0sx')
    expect(screen.isCursorHidden()).toBe(false)
  })

  test('the ended give way to those that are waited for', async () => {
    const { emit, shows } = onTerminal({ rows: 6 })
    const ended = services.slice(0, 10).map((service) => ({ type: 'service', service, step: 'ready' }) as const)
    emit(began('rollout'), ...ended, { type: 'progress', service: 'service-20', message: 'starting' })
    expect((await shows('starting')).split('\n').at(-2)).toBe('  service-20  starting')
  })

  test('a window that is made narrower and wider again leaves nothing behind', async () => {
    const { emit, screen, shows, resize } = onTerminal()
    emit(RELEASE, began('build'), said('#1 '.padEnd(70, 'x')), said('#2 '.padEnd(75, 'y')))
    await shows('#2')
    for (const columns of [30, 50, 100]) {
      resize(columns)
      emit(said(`#3 at ${columns}`))
      await shows(`#3 at ${columns}`)
    }
    emit(BUILT)
    await screen.settled()
    expect(screen.text()).toBe('release rel-20261122-080225643  v2 → prod\nbuild         completed   8.2s  built web')
  })

  test('what is typed meanwhile is wiped away', async () => {
    const { emit, screen, shows } = onTerminal()
    emit(began('build'), said('#1'))
    await shows('#1')
    screen.write('^C')
    emit(BUILT)
    await screen.settled()
    expect(screen.text()).toBe('build         completed   8.2s  built web')
  })

  test('without Unicode there are other signs', async () => {
    const spell = (line: string) => line.replaceAll('→', '->')
    const { emit, shows, screen } = onTerminal({ columns: 50, unicode: false, more: { spell } })
    emit(RELEASE, began('build'), said('x'.repeat(80)))
    await shows('xx')
    expect(screen.text()).toMatch(/^[ -~\n]*$/)
    expect(screen.text()).toContain('v2 -> prod')
    expect(screen.text()).toEndWith('xxx...')
  })
})

test('a thousand lines are a few frames, each one write, of what has changed', async () => {
  const { emit, screen, shows, writes } = onTerminal()
  emit(RELEASE, began('build'))
  const before = performance.now()
  for (let at = 0; at < 1000; at++) emit(said(`line ${at}`))
  await shows('line 999')
  const drawn = writes.length
  while (writes.length < drawn + 3) await Bun.sleep(5)
  expect(writes.length - 2).toBeLessThanOrEqual((performance.now() - before) / 100 + 1)
  for (const frame of writes.slice(drawn)) expect(frame).not.toContain('line') // only the first line has changed
  expect(screen.text()).toContain('line 996\n')
})

test('--quiet draws nothing', () => {
  const { emit, writes } = onTerminal({ more: { quiet: true } })
  emit(RELEASE, ...ROLLOUT)
  expect(writes).toEqual([])
})
