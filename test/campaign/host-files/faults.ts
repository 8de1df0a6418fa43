import type { States, Written } from './state.ts'
import type { Spot } from './strace.ts'
import { injecting, isChange, processSpots, recording, spotsOf } from './strace.ts'

/** What was done, and every failed check. */
export interface Fault {
  readonly group: string
  readonly title: string
  /** it was acknowledged */
  readonly kept: boolean
  readonly failures: readonly string[]
}

/** Folders of a machine: `template` holds the state `old`; `folder` is where things are done. */
export interface Bench {
  readonly states: States
  readonly template: string
  readonly folder: string
}

/** Before the rename of `head` an error that is not seen is one too many: what was promised might not be on the disk. */
const MUST_BE_SEEN = ['fsync', 'fdatasync', 'syncfs', 'write']

export const ERRORS = ['ENOSPC', 'EDQUOT', 'EIO'] as const

/** A write from `old` to `new`. @returns the spots of it, in order */
export async function recordedSpots({ states, template, folder }: Bench): Promise<Spot[]> {
  await states.copy(template, folder)
  return spotsOf(folder, (wrap) => states.write(folder, 'new', wrap))
}

/** One call of the write fails, or its process is killed. */
export async function hitWrite(bench: Bench, spot: Spot, what: string): Promise<Fault> {
  const { states, template, folder } = bench
  await states.copy(template, folder)
  const written = await states.write(folder, 'new', injecting(spot, what))
  const title = `${spot.call} ${spot.path ?? 'of every process'} (${spot.when}): ${what}`
  const failures = await checkWritten(bench, written)
  if (written.kept && what.startsWith('error') && mustBeSeen(spot)) failures.push('it was acknowledged all the same')
  return {
    group: what.startsWith('signal') ? 'a process is killed' : `a call fails: ${what.slice('error='.length)}`,
    title,
    kept: written.kept,
    failures,
  }
}

/** What follows `head` may fail. */
function mustBeSeen({ call, path = '' }: Spot): boolean {
  return MUST_BE_SEEN.includes(call) && /\.in-\d+\/(blobs|head|content)/.test(path)
}

/** An acknowledged write is kept, any other is kept whole or not at all; the next write succeeds and leaves no rest. */
export async function checkWritten(
  { states, folder }: Bench,
  written: Written,
  room: () => Promise<unknown> = async () => {},
): Promise<string[]> {
  const found = await states.read(folder)
  const failures: string[] = []
  if (written.code === 124) failures.push('it did not end in 30 s')
  if (written.kept ? found !== 'new' : !['old', 'new'].includes(found))
    failures.push(
      `${written.kept ? 'acknowledged, but ' : ''}what is there is ${found} (exit ${written.code}: ${written.stderr.trim().slice(0, 300)})`,
    )
  await room()
  const next = found === 'new' ? 'newer' : 'new'
  const again = await states.write(folder, next)
  if (!again.kept) failures.push(`the next write: exit ${again.code}: ${again.stderr.trim().slice(0, 300)}`)
  const after = await states.read(folder)
  if (after !== next) failures.push(`after the next write there is ${after}`)
  return [...failures, ...(await states.differences(folder)).map((what) => `after the next write: ${what}`)]
}

/** Kills all processes of a write at once, at every n-th call that changes something. */
export async function killWrite(bench: Bench, at: number): Promise<Fault & { readonly over: boolean }> {
  const { states, template, folder } = bench
  await states.copy(template, folder)
  const [mark] = [`${folder}.pid`]
  let calls = 0
  let killed = false
  const wrap = ['sh', '-c', 'echo $$ >"$0"; exec "$@"', mark, ...recording()]
  const written = await states.write(folder, 'new', wrap, {
    async onLine(line) {
      if (!isChange(line, folder) || ++calls !== at) return
      killed = true
      await states.machine.run(['sh', '-c', 'kill -9 "$(cat "$0")"', mark])
    },
  })
  const failures = await checkWritten(bench, { ...written, stderr: '' })
  return { group: 'all of it is killed', title: `at call ${at}`, kept: written.kept, failures, over: !killed }
}

/** While a write stands still, at each of its calls in turn: a reader gets one state, and the next reader gets the same. */
export async function readDuring({ states, template, folder }: Bench, every: number): Promise<Fault[]> {
  await states.copy(template, folder)
  const mark = `${folder}.pid`
  const done: Fault[] = []
  let [calls, last] = [0, 'old']
  const send = (name: string) =>
    states.machine.run(['sh', '-c', 'for one in $(pgrep -P "$(cat "$1")"); do kill -"$0" "$one"; done', name, mark])
  const wrap = ['sh', '-c', 'echo $$ >"$0"; exec "$@"', mark, ...recording()]
  const written = await states.write(folder, 'new', wrap, {
    timeout: 900,
    async onLine(line) {
      if (!isChange(line, folder) || ++calls % every !== 0) return
      await send('STOP')
      const found = await states.read(folder)
      await send('CONT')
      const failures =
        found === last || (found === 'new' && last === 'old') ? [] : [`a reader has ${found} after ${last}`]
      last = found
      done.push({ group: 'read in the midst of a write', title: `at call ${calls}`, kept: true, failures })
    },
  })
  return [
    ...done,
    {
      group: 'read in the midst of a write',
      title: 'its end',
      kept: written.kept,
      failures: await checkWritten({ states, template, folder }, { ...written, stderr: '' }),
    },
  ]
}

/** A call of the reader fails, or its process is killed: it gets the whole state, or says what is wrong. */
export async function hitRead({ states, template }: Bench, spot: Spot, what: string): Promise<Fault> {
  const found = await states.read(template, injecting(spot, what))
  const fine = found === 'old' || /^(unreadable|damaged): |^exit /.test(found)
  return {
    group: 'a call of a reader fails',
    title: `${spot.call} ${spot.path ?? 'of every process'} (${spot.when}): ${what}`,
    kept: false,
    failures: fine ? [] : [`it has ${found}`],
  }
}

export { processSpots }
