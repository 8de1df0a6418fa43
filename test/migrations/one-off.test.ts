import { expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { mayBeAtWork, runOneOff } from '../../lib/migrations/one-off.ts'
import type { Event } from '../../lib/output/events.ts'
import type { Exec } from '../../lib/system/exec.ts'
import type { StagecraftError } from '../../lib/util/errors.ts'
import { failureOf } from '../support/failure.ts'
import { orderedClock } from '../support/ordered-clock.ts'

const NAME = 'shop-migrate-main-1'
const MIGRATION = { database: 'main', service: 'web', command: 'migrate', timeout: 5_000, release: 'rel-1' }

/** An engine with one container, which runs until it is stopped or looked at often enough. */
function engine(refuses: (args: string, at: number) => boolean, looks = 2, exit = 0, slow: readonly string[] = []) {
  let state: 'none' | 'running' | 'exited' = 'none'
  const seen = new Map<string, number>()
  const printed: string[] = []
  const exec: Exec = async (argv, { onLine } = {}) => {
    const args = argv.slice(1).join(' ')
    const verb = args.startsWith('compose') ? 'run' : args.startsWith('container inspect') ? 'inspect' : (argv[1] ?? '')
    const at = (seen.get(verb) ?? 0) + 1
    seen.set(verb, at)
    const result = (stdout = '', code = 0) => ({ argv, code, stdout, stderr: code ? 'no\n' : '', timedOut: false })
    if (refuses(verb, at)) return result('', 1)
    if (verb === 'run') state = 'running'
    if (verb === 'stop' || (verb === 'inspect' && at > looks)) state = 'exited'
    if (verb === 'logs') {
      for (const line of slow) {
        await clock.sleep(9_000)
        onLine?.(line, 'stdout')
      }
      return result(slow.join('\n'))
    }
    if (verb === 'ps') return result(state === 'none' ? '' : 'abc\n')
    if (verb === 'rm') state = 'none'
    if (verb !== 'inspect') return result()
    return result(JSON.stringify([{ Id: 'abc', Name: `/${NAME}`, State: { Status: state, ExitCode: exit } }]))
  }
  const clock = orderedClock()
  const docker = openDocker(exec, (text) => text, { timeout: 1_000 })
  const events: Event[] = []
  const run = (engines = [docker], undoDocker = docker) =>
    runOneOff(
      MIGRATION,
      { model: { name: 'shop', services: { web: { image: 'x' } } }, directory: '/' },
      {
        ...{ docker, undoDocker, engines, emit: (event: Event) => void events.push(event), clock },
        onLine: (line: string) => void printed.push(line),
        onEnd: (output: string) => void printed.push(`in the end: ${output}`),
      },
    )
  const start = () => {
    state = 'running'
  }
  return { docker, run, events, printed, start, state: () => state, seen, now: clock.now }
}

test('it has ended with 0, and its container cannot be removed: the migration is done', async () => {
  const { run, events } = engine((verb) => verb === 'rm')
  await run()
  expect(events).toMatchObject([{ type: 'warning', message: `Cannot remove ${NAME}: docker rm exited with 1` }])
})

test('what it has printed is read to its end, as long as lines come', async () => {
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}`)
  const { run, printed } = engine(() => false, 2, 0, lines)
  await run()
  expect(printed).toEqual([...lines, `in the end: ${lines.join('\n')}`])
})

test('what cannot be ended is said to be at work', async () => {
  const { run, state } = engine((verb, at) => verb === 'ps' && at > 1)
  const error: StagecraftError = await failureOf(run())
  expect(state()).toBe('running')
  expect(error.hint).toBe(`${NAME} may still be at work: the next run waits until it has ended.`)
  expect(mayBeAtWork(error)).toBe(true)
})

test('a look that fails is tried again', async () => {
  const { run, events } = engine((verb, at) => verb === 'inspect' && at > 1 && at < 6, 9)
  await run()
  expect(events).toEqual([])
})

test('an engine that says nothing for half a minute fails it; what was ended then is not at work', async () => {
  let left = 0
  const refused = (verb: string, at: number) => verb === 'inspect' && at > 1 && ++left < 400
  const { run, state, now } = engine(refused, 9)
  const error = await failureOf(run())
  expect(now()).toBeGreaterThanOrEqual(30_000)
  expect([state(), mayBeAtWork(error)]).toEqual(['running', true])
})

test('a signal that ends the looks ends the waiting at once', async () => {
  const cancelled = engine((verb, at) => verb === 'inspect' && at > 1, 9)
  const { docker: undo } = engine(() => false)
  await failureOf(cancelled.run(undefined, undo))
  expect(cancelled.now()).toBeLessThan(2_000)
})

test('a container that ended because its engine stops says so', async () => {
  const stopping = engine((verb, at) => verb === 'inspect' && at > 4, 2, 143)
  const error: StagecraftError = await failureOf(stopping.run())
  expect([error.kind, error.message]).toEqual(['unreachable', 'Cannot migrate main: the engine stopped meanwhile'])
  const own: StagecraftError = await failureOf(engine(() => false, 2, 143).run())
  expect(own.message).toBe('Cannot migrate main: migrate exited with 143')
})

test('a container of an earlier run on another host is waited for', async () => {
  const [here, there] = [engine(() => false), engine(() => false, 3)]
  there.start()
  await here.run([here.docker, there.docker])
  expect(here.events[0]).toMatchObject({ type: 'warning' })
  expect(JSON.stringify(here.events[0])).toContain('is still migrating main, from an earlier run')
  expect([there.state(), here.state()]).toEqual(['none', 'none'])
})
