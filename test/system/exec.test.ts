import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { exec, type Result } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { quotePosix } from '../../lib/util/format.ts'
import { failureOf } from '../support/failure.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-exec-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a POSIX shell script. `$0` and on are the arguments. */
const sh = (script: string, options: Parameters<typeof exec>[1] = {}, ...args: string[]) =>
  exec(['sh', '-c', script, ...args], options)

const HOSTILE = [
  '',
  ' ',
  "it's",
  '"quoted"',
  '$HOME',
  '$(touch pwned)',
  '`touch pwned`',
  'a\nb',
  'a\\nb',
  '-n',
  '--help',
  '*',
  '~',
  '; touch pwned',
  '| cat',
  '&',
  '../..',
  'tab\there',
  'ü€😀',
  "'''",
  '\\',
  '!!',
  '#no comment',
  'A=b',
]

describe('exec()', () => {
  test('hands every argument over as it is, and nothing of it is executed', async () => {
    const result = await exec(['printf', '%s\\0', ...HOSTILE], { cwd: folder })
    expect(result.stdout.split('\0').slice(0, -1)).toEqual(HOSTILE)
    expect(await Bun.file(join(folder, 'pwned')).exists()).toBe(false)
  })

  test('runs a program whose own name needs quotes', async () => {
    const program = join(folder, "it's $HOME")
    writeFileSync(program, '#!/bin/sh\necho "ran with $1"\n', { mode: 0o755 })
    expect((await exec([program, 'x y'])).stdout).toBe('ran with x y\n')
  })

  test('has the same shape for failure and success', async () => {
    expect(await sh('echo out; echo err >&2; exit 7')).toEqual({
      argv: ['sh', '-c', 'echo out; echo err >&2; exit 7'],
      code: 7,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
    })
    expect(await sh('true')).toEqual({ argv: ['sh', '-c', 'true'], code: 0, stdout: '', stderr: '', timedOut: false })
  })

  test('gives 128 and the number of the signal that ended the child', async () => {
    expect((await sh('kill -KILL $$')).code).toBe(137)
  })

  test('has /dev/null on stdin, or what it is given', async () => {
    expect((await sh('cat; readlink /proc/self/fd/0 || true')).stdout).toMatch(/^(\/dev\/null\n)?$/)
    expect((await exec(['cat'], { input: 'a\n$b' })).stdout).toBe('a\n$b')
  })

  test('survives a child that does not read its input', async () => {
    expect((await exec(['true'], { input: 'x'.repeat(1_000_000) })).code).toBe(0)
  })

  test('adds to the environment, and runs in the given folder', async () => {
    const result = await sh('echo "$A"; pwd', { env: { A: '$x "y"' }, cwd: folder })
    expect(result.stdout).toBe(`$x "y"\n${folder}\n`)
  })

  test('throws unreachable for a program that is not there', async () => {
    const error = await exec(['no-such-program-anywhere']).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StagecraftError)
    expect(error).toMatchObject({
      kind: 'unreachable',
      message: 'Cannot run no-such-program-anywhere: the program is not installed or not in PATH',
    })
  })

  test('says that the folder is gone', async () => {
    expect(await failureOf(exec(['true'], { cwd: '/none/there' }))).toMatchObject({
      kind: 'failed',
      message: 'Cannot run true: the folder /none/there does not exist',
    })
  })

  test('ends the whole process group when time is up', async () => {
    const file = join(folder, 'pid')
    const result = await inTime(
      (timeout) => sh(`sleep 60 & echo $! > "$0"; wait`, { timeout }, file),
      () => pidIn(file) > 0,
    )
    expect([result.timedOut, result.code]).toEqual([true, 143])
    expect(await hasEnded(pidIn(file))).toBe(true)
  })

  test('ends the whole process group when it is aborted', async () => {
    const file = join(folder, 'pid')
    const controller = new AbortController()
    const onLine = () => controller.abort(15)
    const options = { signal: controller.signal, onLine }
    const result = await sh(`sleep 60 & echo $! > "$0"; echo started; wait`, options, file)
    expect([result.timedOut, result.code]).toEqual([false, 143])
    expect(await hasEnded(Number(readFileSync(file, 'utf8')))).toBe(true)
  })

  test('does not wait for who left the process group with the output, past its time', async () => {
    const file = join(folder, 'session')
    let began = 0
    const script = `setsid sh -c 'echo $$ >"$0"; exec sleep 60' "$0" & echo done`
    const result = await inTime(
      (timeout) => {
        began = performance.now()
        return sh(script, { timeout, grace: 100 }, file)
      },
      (ran) => ran.stdout === 'done\n' && pidIn(file) > 0,
    )
    expect(performance.now() - began).toBeLessThan(40_000)
    expect(result).toMatchObject({ stdout: 'done\n', timedOut: true })
    process.kill(pidIn(file))
  })

  test('ends a child when what takes its output fails', async () => {
    const full = new Writable({ write: (_chunk, _encoding, done) => done(new Error('enough')) })
    const result = await sh('while :; do echo more; done', { outputTo: full, limit: 100, timeout: 30_000 })
    expect([result.code, result.timedOut]).toEqual([143, false])
  })

  test('ends at once what is started after an abort', async () => {
    const result = await exec(['sleep', '60'], { signal: AbortSignal.abort(15) })
    expect(result.code).toBe(143)
  })

  test('keeps the last characters of each stream', async () => {
    const result = await sh('seq 1 20000; seq 1 20000 | sed s/^/e/ >&2; echo last', { limit: 100 })
    expect(result.stdout).toHaveLength(100)
    expect(result.stdout).toEndWith('19999\n20000\nlast\n')
    expect(result.stderr).toEndWith('e19999\ne20000\n')
  })

  test('gives every line as it comes, on either stream, and keeps the end of what came', async () => {
    const lines: string[] = []
    const script = 'printf "one\\r\\ntwo\\n\\nthree"; seq 1 20000 >&2'
    const result = await sh(script, { onLine: (line) => lines.push(line), limit: 64 * 1024 })
    expect(lines.filter((line) => !/^\d+$/.test(line))).toEqual(['one', 'two', '', 'three'])
    expect(lines).toHaveLength(20_004)
    expect(result.stdout).toBe('one\r\ntwo\n\nthree')
    expect(result.stderr).toHaveLength(64 * 1024)
  })

  test('merges both streams in the order in which they came, where it is asked to', async () => {
    const seen = (line: string) => join(folder, `seen-${line}`)
    const after = (line: string) => `until [ -e "${seen(line)}" ]; do sleep 0.02; done`
    const script = `echo one; ${after('one')}; echo two >&2; ${after('two')}; echo three`
    const result = await sh(script, { merge: true, onLine: (line) => writeFileSync(seen(line), '') })
    expect(result).toMatchObject({ stdout: 'one\ntwo\nthree\n', stderr: '' })
  })

  test('kills a child that ignores TERM, after its time', async () => {
    const stop = new AbortController()
    const onLine = () => stop.abort()
    const result = await sh('trap "" TERM; echo up; while :; do sleep 0.1; done', {
      signal: stop.signal,
      onLine,
      grace: 200,
    })
    expect(result.code).toBe(137)
  })

  test('does not wait after KILL for a daemon that has left the group and keeps the output open', async () => {
    const file = join(folder, 'daemon')
    let began = 0
    const script = `setsid sh -c 'echo $$ >"$0"; exec sleep 60' "$0" & echo up`
    const result = await inTime(
      (timeout) => {
        began = performance.now()
        return sh(script, { timeout, grace: 100 }, file)
      },
      (ran) => ran.stdout === 'up\n' && pidIn(file) > 0,
    )
    process.kill(pidIn(file))
    expect([result.timedOut, result.stdout]).toEqual([true, 'up\n'])
    expect(performance.now() - began).toBeLessThan(40_000)
  })

  test('puts characters together that arrive in pieces', async () => {
    const lines: string[] = []
    const script = String.raw`printf '\303'; sleep 0.05; printf '\274\n\360\237'; sleep 0.05; printf '\230\200\r'; sleep 0.05; printf '\nend'`
    const result = await sh(script, { onLine: (line) => lines.push(line) })
    expect(lines).toEqual(['ü', '😀', 'end'])
    expect(result.stdout).toBe('ü\n😀\r\nend')
  })

  test('cuts a line that never ends', async () => {
    let [longest, total] = [0, 0]
    const onLine = (line: string) => {
      longest = Math.max(longest, line.length)
      total += line.length
    }
    await sh('head -c 20000000 /dev/zero | tr "\\0" x', { onLine })
    expect(total).toBe(20_000_000)
    expect(longest).toBeLessThan(1_000_000)
  })
})

describe('quotePosix()', () => {
  test.each([
    ['plain', 'plain'],
    ['a/b:c=d,e@f%g+h-1.2_3', 'a/b:c=d,e@f%g+h-1.2_3'],
    ['', "''"],
    ["it's", "'it'\\''s'"],
    ['$a', "'$a'"],
    ['a\nb', "'a\nb'"],
  ])('of %j is %j', (text, quoted) => {
    expect(quotePosix(text)).toBe(quoted)
  })
})

/** What a file says, as a number; 0 if it says nothing yet. */
const pidIn = (file: string) => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0)

/** Runs something that is ended by its time, with more of it until what it is to do by then is done: a busy machine is slow. */
async function inTime(run: (timeout: number) => Promise<Result>, isDone: (result: Result) => boolean): Promise<Result> {
  for (const timeout of [300, 3_000]) {
    const result = await run(timeout)
    if (isDone(result)) return result
  }
  return run(30_000)
}

/** Waits for the end of a process that was sent a signal. @returns false if it lives on for ten seconds */
async function hasEnded(pid: number): Promise<boolean> {
  for (let look = 0; look < 1000; look++) {
    const { stdout } = Bun.spawnSync(['ps', '-o', 'stat=', '-p', String(pid)])
    const state = stdout.toString().trim()
    if (state === '' || state.startsWith('Z')) return true // a zombie: nobody has waited for it yet
    await Bun.sleep(10)
  }
  return false
}
