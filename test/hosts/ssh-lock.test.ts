import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseHostAddress } from '../../lib/config/host-address.ts'
import { LOCK, OVER } from '../../lib/hosts/scripts/lock.ts'
import { STUCK, shortLock } from '../../lib/hosts/scripts/short-lock.ts'
import { lookAtLock, withRemoteLock } from '../../lib/hosts/ssh/lock.ts'
import { stuckWriter } from '../../lib/hosts/state/errors.ts'
import { type StateExchange, statePlaceOf } from '../../lib/hosts/state/exchange.ts'
import { exec } from '../../lib/system/exec.ts'
import type { StagecraftError } from '../../lib/util/errors.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { until } from '../support/lock-process.ts'

// The lock scripts of a host, run in the sh of this machine.
let folder = ''
let kept = ''
let children: Bun.Subprocess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-remote-lock-'))
  kept = join(folder, 'shop/prod')
  mkdirSync(join(kept, 'locks'), { recursive: true })
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(children.map((child) => child.exited))
  children = []
  rmSync(folder, { recursive: true })
})

const isLocked = (name = 'prod.lock') =>
  Bun.spawnSync(['flock', '-n', '-E', '9', join(kept, 'locks', name), 'true']).exitCode === 9
const lives = (child: Bun.Subprocess) => child.exitCode === null && child.signalCode === null

function start(argv: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn(argv, { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit', env: { ...process.env, ...env } })
  children.push(child)
  return child
}

/** A program that is called sshd, with `title` as its process title; it runs LOCK, and continues after that ends. */
async function carrier(title: string) {
  const program = join(folder, 'sshd')
  copyFileSync('/bin/sh', program)
  chmodSync(program, 0o755)
  const args = [kept, 'prod', 'token', '{"user":"ana"}', '', 'conn-1']
  const script = 'sh -c "$0" stagecraft "$@"; echo "ended with $?"; sleep 60'
  const child = start(['bash', '-c', 'exec -a "$0" "$@"', title, program, '-c', script, LOCK, ...args])
  child.stdin.write('.')
  child.stdin.flush()
  const reader = child.stdout.getReader()
  const next = async () => new TextDecoder().decode((await reader.read()).value).trim()
  expect(await next()).toBe('locked')
  return { child, next }
}

describe('a lock on a host', () => {
  test('of a run that disappears is free only once its sshd session, and its bridges, have ended', async () => {
    const { child } = await carrier('sshd: ana@notty')
    const bridge = start(['sleep', '60'], { STAGECRAFT_CONNECTION: 'conn-1' })
    const other = start(['sleep', '60'], { STAGECRAFT_CONNECTION: 'conn-2' })
    expect(isLocked()).toBe(true)
    child.stdin.end()
    await child.exited
    expect(child.signalCode).toBe('SIGKILL')
    await until(() => !isLocked())
    expect([lives(bridge), lives(other)]).toEqual([false, true])
  })

  test('of a run that reports its end leaves the connection as it is', async () => {
    const { child, next } = await carrier('sshd: ana@notty')
    child.stdin.write(OVER)
    child.stdin.end()
    expect(await next()).toBe('ended with 0')
    expect([lives(child), isLocked()]).toEqual([true, false])
  })

  test('whose file is removed is lost', async () => {
    const { child } = await carrier('sshd-session: ana@notty')
    rmSync(join(kept, 'locks/prod.lock'))
    child.stdin.write('.')
    child.stdin.flush()
    await child.exited
    expect(child.signalCode).toBe('SIGKILL')
  })

  test.each(['sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups', '/usr/sbin/sshd', 'sshd: ana [priv]'])(
    'is let go without an end of what carries others too: %s',
    async (title) => {
      const { child, next } = await carrier(title)
      child.stdin.end()
      expect(await next()).toBe('ended with 0')
      expect([lives(child), isLocked()]).toEqual([true, false])
    },
  )
})

describe('the short lock', () => {
  const hold = async () => {
    const holder = start(['flock', join(kept, 'locks/state'), 'sh', '-c', 'echo held; read -r line'])
    await holder.stdout.getReader().read()
    return holder
  }

  test('is waited for up to a limit, and its holder is named', async () => {
    const holder = await hold()
    const took = await exec(['sh', '-c', `${shortLock(2)}\nshort; echo got it`], { cwd: kept })
    expect(took.code).toBe(STUCK)
    const [first = '', last = ''] = [took.stdout.split('\n')[0], took.stdout.trim().split('\n').at(-1)]
    expect(first).toMatch(new RegExp(`^waits flock \\(pid ${holder.pid}, \\w+\\), sh \\(pid \\d+, \\w+\\)$`))
    expect(last).toBe(first.replace('waits', 'stuck'))
    holder.kill('SIGKILL')
  })

  test('is taken once it is free', async () => {
    const holder = await hold()
    const taken = exec(['sh', '-c', `${shortLock(20)}\nshort; echo got it`], { cwd: kept })
    await Bun.sleep(300) // it has to find it taken
    holder.stdin.end()
    expect(await taken).toMatchObject({ code: 0, stdout: expect.stringMatching(/got it\n$/) })
  })
})

describe('withRemoteLock()', () => {
  const printed: string[] = []
  const stop = new AbortController()
  const clock = { now: () => Date.now(), sleep: (ms: number) => Bun.sleep(ms) }
  const world = {
    user: 'ana',
    clock,
    emit: (event: object) => printed.push(JSON.stringify(event)),
    signal: stop.signal,
  }

  test('reports who holds the lock that it waits for; a signal ends the wait', async () => {
    const holder = start(['flock', join(kept, 'locks/state'), 'sleep', '60'])
    await until(() => isLocked('state'))
    const request = { stateFile: join(folder, 'copy/releases.json'), environment: 'prod', command: 'deploy', wait: 0 }
    const running = withRemoteLock(remote(), request, world as never, async () => 'in').catch((error) => error)
    await until(() => printed.length > 0)
    const began = performance.now()
    stop.abort(15)
    const error = (await running) as StagecraftError
    expect(performance.now() - began).toBeLessThan(30_000)
    expect(error).toMatchObject({ kind: 'locked', signal: 15 })
    const stuck = stuckWriter(statePlaceOf(remote()), 'tar (pid 81, root)')
    const { message } = JSON.parse(printed[0] ?? '')
    const shown = [`waiting: ${message}`, ...formatError(stuck), ...formatError(error)].join('\n')
    expectGolden(
      'core/lock.md',
      'stuck',
      shown
        .replaceAll(/flock \(pid \d+, .*?\) on/g, 'tar (pid 81, root) on')
        .replaceAll(kept, '/srv/stagecraft/shop/prod'),
    )
    await until(() => !isLocked())
    holder.kill('SIGKILL')
  })

  test('lookAtLock() reports the current lock and freeze', async () => {
    expect(await lookAtLock(remote())).toEqual({ locked: false })
    const ana = { user: 'ana', machine: 'web-1', pid: 4242, command: 'deploy', since: '2026-11-22T11:57:30.000Z' }
    writeFileSync(join(kept, 'locks/prod.json'), JSON.stringify(ana, null, 2))
    const hold = { user: 'ben', machine: 'web-1', since: '2026-11-22T11:57:30.000Z', message: 'a "b"' }
    writeFileSync(join(kept, 'locks/prod.hold.json'), JSON.stringify(hold, null, 2))
    start(['flock', join(kept, 'locks/prod.lock'), 'sleep', '60'])
    await until(() => isLocked())
    expect(await lookAtLock(remote())).toEqual({ locked: true, holder: ana, hold })
  })

  /** This machine, as a host. */
  function remote(): StateExchange {
    const host = parseHostAddress('web-1')
    const run: StateExchange['connection']['run'] = (script, args = [], options = {}) =>
      exec(['sh', '-c', script, 'stagecraft', ...args], options)
    const connection = { host, id: 'conn-1', lost: new AbortController().signal, run }
    return { connection, looked: { folder: kept, socket: '' }, environment: 'prod', generation: '' } as never
  }
})
