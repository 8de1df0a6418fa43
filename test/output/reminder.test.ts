import { describe, expect, test } from 'bun:test'
import type { Event } from '../../lib/output/events.ts'
import { createProgress } from '../../lib/output/progress.ts'
import { createReporter, type ReporterOptions } from '../../lib/output/report.ts'
import { expectGolden } from '../support/golden.ts'

const STARTING = 'starting, healthcheck 3 of 10 (connection refused)'
const WEB = { type: 'progress', service: 'web', message: STARTING } as const
const began = (phase: 'build' | 'rollout') => ({ type: 'phase', phase, status: 'running' }) as const
const said = (line: string) => ({ type: 'output', phase: 'build', line }) as const

/** A reporter without a terminal that reminds soon. */
function reminding(options: Partial<ReporterOptions> = {}) {
  const writes: string[] = []
  const stream = { failure: undefined, write: (text: string) => void writes.push(text) }
  const how = { mode: 'plain', quiet: false, verbose: false, atOnce: false, stdout: stream, stderr: stream } as const
  const report = createReporter({ ...how, silence: 10, ...options })
  const until = async (count: number) => {
    while (writes.length < count) await Bun.sleep(2)
  }
  return { report, writes, until }
}

describe('what is waited for', () => {
  const textOf = (events: readonly Event[], now: number) => {
    const progress = createProgress()
    for (const event of events) progress.note(event, 0)
    return progress.text(now)
  }

  test('is a service, or what a program prints, or a phase', () => {
    const wait = (host: string, service: string) =>
      ({ type: 'progress', host, service, message: 'starting, healthcheck 1 of 3' }) as const
    const step = (service: string) => ({ type: 'service', service, step: 'ready' }) as const
    const lines = [
      textOf([began('rollout'), step('db'), WEB], 15_000),
      textOf([began('rollout'), wait('web-1', 'web'), wait('web-2', 'web'), wait('web-2', 'worker')], 15_000),
      textOf([began('build'), said('#9 [web 3/5] RUN npm ci'), said('#9 12.3 added 300 packages')], 45_000),
      textOf([began('rollout'), step('db')], 75_000),
    ]
    expectGolden('core/cli.md', 'reminders', lines.map((line) => `  ${line}`).join('\n'))
  })

  test('is a step of a service that has not ended, or what is sent to a host', () => {
    const recreate = { type: 'service', service: 'web', step: 'recreate', note: 'image changed' } as const
    expect(textOf([began('rollout'), recreate], 1)).toBe('web: recreate (image changed)')
    const sending = { type: 'sending', host: 'web-1', bytes: 1_000, total: 2_000 } as const
    expect(textOf([began('rollout'), sending], 1)).toBe('web-1: sent 1.0 kB of 2.0 kB')
    expect(textOf([began('rollout'), recreate, began('build')], 100)).toBe('build: 0.1s')
  })
})

describe('without a terminal', () => {
  test('is said when nothing else was printed for a while, until the phase ends', async () => {
    const { report, writes, until } = reminding()
    for (const event of [began('rollout'), WEB]) report.emit(event)
    await until(2)
    report.emit({ type: 'phase', phase: 'rollout', status: 'completed', duration_ms: 1 })
    const { length } = writes
    report.emit(WEB)
    report.finish(0)
    await Bun.sleep(50) // nothing more is said
    expect(writes.length).toBe(length)
    expect(writes.slice(0, 2)).toEqual([`  web: ${STARTING}\n`, `  web: ${STARTING}\n`])
  })

  test('is an object of its own with --json', async () => {
    const { report, writes, until } = reminding({ mode: 'json' })
    for (const event of [began('rollout'), WEB]) report.emit(event)
    await until(2)
    report.finish(0)
    const { duration_ms, ...object } = JSON.parse(writes[1] ?? '')
    expect(object).toEqual({ v: 1, type: 'progress', phase: 'rollout', message: `web: ${STARTING}` })
    expect(duration_ms).toBeGreaterThan(0)
  })

  test('is not said with --quiet, and holds no secret and no escape sequence', async () => {
    const quiet = reminding({ quiet: true })
    const { report, writes, until } = reminding()
    report.secrets.add(['hunter22'])
    for (const one of [quiet.report, report])
      for (const event of [began('build'), said('hunter22 \u001b[2J\u0007at work')]) one.emit(event)
    await until(1)
    report.finish(0)
    quiet.report.finish(0)
    expect(writes[0]).toMatch(/^ {2}build: \d\.\ds, ••• at work\n$/)
    expect(quiet.writes).toEqual([])
  })
})
