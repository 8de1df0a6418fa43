import { expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { openPrinted } from '../../lib/docker/swarm/one-off/printed.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { orderedClock } from '../support/ordered-clock.ts'

const ALL = ['one', 'two', 'two', 'my password', 'three']

/** A manager whose connection to the logs is lost after so many lines; the last reading says how much it has by then. */
function reader(losses: readonly number[], { last = ALL.length, refusals = 0, pace = 0 } = {}) {
  const seen: string[] = []
  let follows = 0
  let reads = 0
  const clock = orderedClock()
  const exec: Exec = (argv, { onLine, signal } = {}) => {
    const result = (code: number) => ({ argv, code, stdout: '', stderr: '', timedOut: false })
    if (!argv.includes('--follow')) {
      if (++reads <= refusals) return Promise.resolve(result(1))
      return (async () => {
        for (const line of ALL.slice(0, last)) {
          await clock.sleep(pace)
          if (signal?.aborted) return result(143)
          onLine?.(line, 'stdout')
        }
        return result(0)
      })()
    }
    const count = losses[follows++]
    for (const line of ALL.slice(0, count ?? losses.at(-1))) onLine?.(line, 'stdout')
    if (count !== undefined && follows < losses.length) return Promise.resolve(result(1))
    return new Promise((resolve) => {
      if (signal?.aborted) resolve(result(143))
      signal?.addEventListener('abort', () => resolve(result(143)))
    })
  }
  const docker = openDocker(exec, (text) => text.replace('password', '•••'))
  const printed = openPrinted('shop_migrate', {
    ...{ docker, clock, kept: 1_000, timeout: 1_000 },
    onLine: (line) => void seen.push(line),
  })
  return { printed, seen, reads: () => reads }
}

const MASKED = ['one', 'two', 'two', 'my •••', 'three']

test('each line is printed once and masked, also if the connection is lost, and what came last', async () => {
  const { printed, seen } = reader([2, 4])
  await Bun.sleep(5)
  expect(seen).toEqual(MASKED.slice(0, 4))
  expect(await printed.end('task')).toBe(MASKED.join('\n'))
  expect(seen).toEqual(MASKED)
})

test('a node that does not answer at once is asked again, and not for ever', async () => {
  const late = reader([1], { refusals: 2 })
  expect(await late.printed.end('task')).toBe(MASKED.join('\n'))
  expect(late.reads()).toBe(3)
  const never = reader([1], { refusals: 100 })
  expect(await never.printed.end('task')).toBe('one')
  expect(never.reads()).toBe(6)
})

test('the last reading takes as long as lines come, and is given up when none does', async () => {
  const slow = reader([1], { pace: 6_000 })
  expect([await slow.printed.end('task'), slow.reads()]).toEqual([MASKED.join('\n'), 1])
  const silent = reader([1], { pace: 100_000 })
  expect([await silent.printed.end('task'), silent.reads()]).toEqual(['one', 6])
})
