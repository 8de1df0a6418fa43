import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

const FIXTURE = join(import.meta.dir, '../fixtures/until-signal.ts')
// `env` undoes what the one who runs the tests may ignore.
const PLAINLY = ['env', '--default-signal=HUP,INT,TERM']

/** Sends signals one after the other, each when the one before has been taken. @returns what was said, and the end */
async function sent(signals: readonly Signal[], before: readonly string[] = PLAINLY) {
  const child = Bun.spawn([...before, process.execPath, FIXTURE], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const said: string[] = []
  const text = (async () => {
    for await (const chunk of child.stdout) said.push(...new TextDecoder().decode(chunk).split('\n').filter(Boolean))
  })()
  const until = async (done: () => boolean) => {
    for (let look = 0; look < 500 && !done(); look++) await Bun.sleep(10)
  }
  await until(() => said.length > 0)
  for (const signal of signals) {
    child.kill(signal)
    await Bun.sleep(200) // what must not happen leaves no trace to wait for
  }
  const lives = child.exitCode === null && child.signalCode === null
  child.kill('SIGKILL')
  await child.exited
  await text
  expect(said[0]).toBe('ready')
  return { said: said.slice(1), ended: lives ? undefined : child.signalCode }
}

describe('untilSignal()', () => {
  test.each<[Signal, number]>([
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ])('is fired by %s', async (signal, number) => {
    expect(await sent([signal])).toEqual({ said: [`first ${number}`], ended: undefined })
  })

  test.each<[Signal, Signal]>([
    ['SIGINT', 'SIGINT'],
    ['SIGINT', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
  ])('%s, then %s ends the process at once', async (first, second) => {
    expect((await sent([first, second])).ended).toBe(second)
  })

  test.each<Signal[][]>([
    [['SIGHUP', 'SIGHUP', 'SIGHUP']],
    [['SIGINT', 'SIGHUP', 'SIGHUP']],
    [['SIGHUP', 'SIGTERM', 'SIGHUP']],
  ])('%p end nothing at once', async (signals) => {
    const { said, ended } = await sent(signals)
    expect({ count: said.length, ended }).toEqual({ count: 1, ended: undefined })
  })

  test('HUP, then TERM twice ends the process at once', async () => {
    expect((await sent(['SIGHUP', 'SIGTERM', 'SIGTERM'])).ended).toBe('SIGTERM')
  })

  test.each<[string, Signal, string[]]>([
    ['HUP under nohup', 'SIGHUP', [...PLAINLY, 'nohup']],
    ['INT in a background job of a script', 'SIGINT', [...PLAINLY, 'sh', '-c', 'trap "" INT; exec "$@"', 'sh']],
  ])('leaves %s ignored', async (_, signal, before) => {
    expect(await sent([signal, signal], before)).toEqual({ said: [], ended: undefined })
  })

  test('takes TERM under nohup', async () => {
    expect((await sent(['SIGTERM'], [...PLAINLY, 'nohup'])).said).toEqual(['first 15'])
  })
})
