import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

const FIXTURE = join(import.meta.dir, '../fixtures/until-signal.ts')
// `env` undoes what the one who runs the tests may ignore.
const PLAINLY = ['env', '--default-signal=HUP,INT,TERM']

/** What becomes of a signal: the first is told, one ends the process at once, others have no effect that can be waited for. */
type Effect = 'told' | 'ends' | 'nothing'

/** Sends signals one after the other, each when the one before has been taken. @returns what was said, and the end */
async function sent(signals: readonly (readonly [Signal, Effect])[], before: readonly string[] = PLAINLY) {
  const child = Bun.spawn([...before, process.execPath, FIXTURE], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const said: string[] = []
  const text = (async () => {
    for await (const chunk of child.stdout) said.push(...new TextDecoder().decode(chunk).split('\n').filter(Boolean))
  })()
  const lives = () => child.exitCode === null && child.signalCode === null
  const until = async (done: () => boolean) => {
    for (let look = 0; look < 3000 && lives() && !done(); look++) await Bun.sleep(10)
  }
  await until(() => said.length > 0)
  for (const [signal, effect] of signals) {
    const { length } = said
    child.kill(signal)
    if (effect === 'ends') await until(() => false)
    if (effect === 'told') await until(() => said.length > length)
    // What must not happen leaves no trace to wait for.
    await until(() => !isPending(child.pid))
    await Bun.sleep(200)
  }
  const end = lives() ? undefined : child.signalCode
  child.kill('SIGKILL')
  await child.exited
  await text
  expect(said[0]).toBe('ready')
  return { said: said.slice(1), ended: end }
}

/** Whether a signal waits for a process to take it. */
function isPending(pid: number): boolean {
  const file = `/proc/${pid}/status`
  const status = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*(\w+)/gm)].some(([, mask = '']) => !/^0+$/.test(mask))
}

describe('untilSignal()', () => {
  test.each<[Signal, number]>([
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ])('is fired by %s', async (signal, number) => {
    expect(await sent([[signal, 'told']])).toEqual({ said: [`first ${number}`], ended: undefined })
  })

  test.each<[Signal, Signal]>([
    ['SIGINT', 'SIGINT'],
    ['SIGINT', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
  ])('%s, then %s ends the process at once', async (first, second) => {
    const signals = [[first, 'told'] as const, [second, 'ends'] as const]
    expect((await sent(signals)).ended).toBe(second)
  })

  test.each<Signal[][]>([
    [['SIGHUP', 'SIGHUP', 'SIGHUP']],
    [['SIGINT', 'SIGHUP', 'SIGHUP']],
    [['SIGHUP', 'SIGTERM', 'SIGHUP']],
  ])('%p end nothing at once', async (signals) => {
    const { said, ended } = await sent(signals.map((signal, at) => [signal, at === 0 ? 'told' : 'nothing']))
    expect({ count: said.length, ended }).toEqual({ count: 1, ended: undefined })
  })

  test('HUP, then TERM twice ends the process at once', async () => {
    const signals = [['SIGHUP', 'told'] as const, ['SIGTERM', 'nothing'] as const, ['SIGTERM', 'ends'] as const]
    expect((await sent(signals)).ended).toBe('SIGTERM')
  })

  test.each<[string, Signal, string[]]>([
    ['HUP under nohup', 'SIGHUP', [...PLAINLY, 'nohup']],
    ['INT in a background job of a script', 'SIGINT', [...PLAINLY, 'sh', '-c', 'trap "" INT; exec "$@"', 'sh']],
  ])('leaves %s ignored', async (_, signal, before) => {
    const twice = [[signal, 'nothing'] as const, [signal, 'nothing'] as const]
    expect(await sent(twice, before)).toEqual({ said: [], ended: undefined })
  })

  test('takes TERM under nohup', async () => {
    expect((await sent([['SIGTERM', 'told']], [...PLAINLY, 'nohup'])).said).toEqual(['first 15'])
  })
})
