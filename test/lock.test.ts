import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { tryLock } from '../lib/flock.ts'
import { holdLock, releaseHold } from '../lib/hold.ts'
import { type Held, type Holder, type LockRequest, readLock, withLock } from '../lib/lock.ts'
import { lockFiles } from '../lib/lock-files.ts'
import { formatError } from '../lib/report-lines.ts'
import { expectGolden } from './support/golden.ts'
import { startHolder, until } from './support/lock-process.ts'

const NOON = Date.parse('2026-11-22T12:00:00Z')

let root = ''
let stateFile = ''
/** Milliseconds since the test began, as the fake clock has it. */
let passed = 0
let told: [at: number, message: string][] = []
/** What happens meanwhile: is called after each sleep. */
let meanwhile = () => {}
let stop = new AbortController()

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'stagecraft-lock-'))
  stateFile = join(root, '.stagecraft/releases.json')
  passed = 0
  told = []
  meanwhile = () => {}
  stop = new AbortController()
})
afterEach(() => rmSync(root, { recursive: true }))

const clock = {
  now: () => NOON + passed,
  async sleep(ms: number) {
    passed += ms
    meanwhile()
  },
}

function world() {
  const emit = (event: { type: string; message?: string }) => void told.push([passed, event.message ?? event.type])
  return { user: 'ben', clock, emit, signal: stop.signal }
}

/** What becomes of a run that wants the lock. */
function attempt(wait = 0, more: Partial<LockRequest> = {}): Promise<unknown> {
  const request = { stateFile, environment: 'prod', command: 'deploy', wait, ...more }
  return withLock(request, world(), async ({ waited }) => (waited ? 'in, later' : 'in')).catch((error) => error)
}

const ANA = { user: 'ana', machine: 'web-1', pid: 4242, command: 'deploy', since: '2026-11-22T11:57:30.000Z' }
const RELEASE = { release: 'rel-20261122-115731002', version: 'v2' }

/** Takes the lock as another run would, which says this of itself. @returns a way to let go */
function heldBy(holder: Partial<Holder> | undefined, file = stateFile): () => void {
  const life = tryLock(lockFiles(file, 'prod').alive)
  const letGo = keptBy(holder, file)
  return () => {
    letGo()
    life?.release()
  }
}

/** The same, of a run that has died: a command of it keeps the lock. */
function keptBy(holder: Partial<Holder> | undefined, file = stateFile): () => void {
  const files = lockFiles(file, 'prod')
  const lock = tryLock(files.lock)
  if (!lock) throw new Error('it is busy')
  if (holder) describeAs(holder, file)
  return () => {
    rmSync(files.holder, { force: true })
    lock.release()
  }
}

function describeAs(holder: Partial<Holder>, file = stateFile): void {
  writeFileSync(lockFiles(file, 'prod').holder, JSON.stringify({ ...ANA, ...holder }))
}

/** A run on another machine, of which only the lock knows that it has ended. */
const dead = () => ({ ...RELEASE, run: 'f3e1', pid: process.pid })

/** As it is printed, with the machine, the process and the folder as the spec has them. */
function printed(error: unknown): string {
  const pid = /pid \d+/g
  const text = formatError(error).join('\n')
  return text.replaceAll(root, '/srv/shop').replaceAll(hostname(), 'web-1').replace(pid, 'pid 4242')
}

describe('withLock()', () => {
  test('keeps others out, says whose it is, and lets go when the work throws', async () => {
    const request = { stateFile, environment: 'prod', command: 'deploy', wait: 0 }
    const failing = withLock(request, world(), async (held) => {
      held.nameRelease({ id: 'rel-1', version: 'v2' })
      const holder = { user: 'ben', machine: hostname(), pid: process.pid, release: 'rel-1', version: 'v2' }
      expect(readLock(stateFile, 'prod')).toMatchObject({ locked: true, holder })
      expect(await attempt()).toMatchObject({ kind: 'locked' })
      expect(await attempt(0, { environment: 'test' })).toBe('in')
      throw new Error('no luck')
    })
    expect(await failing.catch(String)).toBe('Error: no luck')
    expect(readLock(stateFile, 'prod')).toEqual({ locked: false })
    expect(existsSync(lockFiles(stateFile, 'prod').holder)).toBe(false)
    expect(readFileSync(join(root, '.stagecraft/.gitignore'), 'utf8')).toBe('*\n')
    expect(await attempt()).toBe('in')
  })

  test('refuses with whose it is, as far as that is known', async () => {
    const refusals: unknown[] = []
    for (const holder of [{ ...RELEASE }, undefined]) {
      const letGo = heldBy(holder)
      refusals.push(await attempt())
      letGo()
    }
    const letGo = keptBy(dead())
    refusals.push(await attempt())
    letGo()
    const earlier = { ...clock, now: () => NOON - 60_000 }
    holdLock({ stateFile, environment: 'prod', message: 'moving the database' }, { user: 'ana', clock: earlier })
    refusals.push(await attempt(0, { command: 'rollback' }))
    const text = refusals.map(printed).join('\n')
    expect(refusals).toMatchObject(Array(4).fill({ kind: 'locked' }))
    expectGolden('core/lock.md', 'refusals', text)
  })

  test('takes what is no description for none, and still refuses', async () => {
    for (const text of ['', '{', '[1]', '{"user":"ana","pid":"4242"}']) {
      const letGo = heldBy(undefined)
      writeFileSync(lockFiles(stateFile, 'prod').holder, text)
      expect(printed(await attempt())).toStartWith('Cannot deploy to prod: another run is under way\n')
      letGo()
    }
  })

  test('a hold that cannot be read still holds', async () => {
    mkdirSync(join(root, '.stagecraft/locks'), { recursive: true })
    writeFileSync(lockFiles(stateFile, 'prod').hold, '{"user":')
    expect(printed(await attempt())).toContain('it is held by somebody on an unknown machine since when is unknown')
  })

  test('waits until it is let go, and says for whom; once, though the run names its release meanwhile', async () => {
    const letGo = heldBy({})
    meanwhile = () => {
      if (passed >= 1000) describeAs(RELEASE)
      if (passed >= 3000) letGo()
    }
    expect(await attempt(300_000)).toBe('in, later')
    expect(passed).toBeLessThan(3300)
    expectGolden('core/lock.md', 'waiting', told.map(([, message]) => `waiting: ${message}`).join('\n'))
  })

  test('says it again when another run is waited for', async () => {
    let letGo = heldBy({})
    meanwhile = () => {
      if (passed > 2000) return
      letGo()
      letGo = heldBy(passed < 1000 ? {} : { user: 'cleo', since: '2026-11-22T12:00:01.000Z' })
    }
    const refused = await attempt(5000)
    letGo()
    expect(told.map(([, message]) => message.split(' ')[1])).toEqual(['ana', 'cleo'])
    expect(printed(refused)).toContain('by cleo on web-1')
  })

  test('gives up when the time is over', async () => {
    const letGo = heldBy(RELEASE)
    const refused = await attempt(90_000)
    letGo()
    expect(passed).toBe(90_000)
    expect(printed(refused).split('\n')[0]).toEndWith('since 2026-11-22 11:57:30 (4m00s) (waited 90s)')
  })

  test('a hold is waited for like a run', async () => {
    holdLock({ stateFile, environment: 'prod', message: 'moving the database' }, { user: 'ana', clock })
    meanwhile = () => {
      if (passed >= 10_000) releaseHold(stateFile, 'prod')
    }
    expect(await attempt(60_000)).toBe('in, later')
    const message = '2026-11-22 12:00:00: "moving the database", for at most 1m'
    expect(told).toEqual([[0, `for ana on ${hostname()} to release the hold of ${message}`]])
  })

  test('a signal ends the waiting', async () => {
    const letGo = heldBy(RELEASE)
    meanwhile = () => {
      if (passed >= 2000) stop.abort(15)
    }
    const ended = await attempt(60_000)
    letGo()
    expect(ended).toMatchObject({ kind: 'locked', signal: 15 })
    expectGolden('core/lock.md', 'wait-ended', printed(ended))
  })

  test('a dead run is waited for without being asked, for 150 s', async () => {
    const letGo = keptBy(dead())
    const refused = await attempt()
    letGo()
    expect(refused).toMatchObject({ kind: 'locked' })
    expect(passed).toBe(150_000)
    expect(told.map(([, message]) => message.replace(/.*( for at most)/, '$1'))).toEqual([' for at most 150s'])
    const letGoSooner = keptBy(dead())
    meanwhile = () => {
      if (passed >= 200_000) letGoSooner()
    }
    expect(await attempt()).toBe('in, later')
  })

  test('the 150 s count from when the death is seen', async () => {
    const life = tryLock(lockFiles(stateFile, 'prod').alive)
    const letGo = keptBy(dead())
    meanwhile = () => {
      if (passed >= 60_000 && passed < 60_200) life?.release()
    }
    const refused = await attempt(61_000)
    letGo()
    expect(printed(refused)).toContain('the last docker command of a run that died has not ended')
    expect(passed).toBeWithin(209_900, 210_300)
  })

  test('what a dead run left says nothing where nobody has the lock', async () => {
    mkdirSync(join(root, '.stagecraft/locks'), { recursive: true })
    describeAs(dead())
    expect(readLock(stateFile, 'prod')).toEqual({ locked: false })
    expect(await attempt()).toBe('in')
    expect(told).toEqual([])
  })

  test('all who reach the state file by a symlink share its lock', async () => {
    const link = join(root, 'elsewhere/state.json')
    mkdirSync(dirname(link))
    mkdirSync(dirname(stateFile))
    symlinkSync(stateFile, link)
    const letGo = heldBy(RELEASE, link)
    expect(await attempt()).toMatchObject({ kind: 'locked' })
    expect(existsSync(join(dirname(link), 'locks'))).toBe(false)
    letGo()
  })

  test('a folder where nothing can be made is a state error', async () => {
    writeFileSync(join(root, 'file'), '')
    const below = await attempt(0, { stateFile: join(root, 'file/releases.json') })
    chmodSync(root, 0o555)
    const isRoot = process.getuid?.() === 0
    if (isRoot) process.seteuid?.(65534)
    const readOnly = await attempt().finally(() => isRoot && process.seteuid?.(0))
    chmodSync(root, 0o755)
    expect([below, readOnly]).toMatchObject([{ kind: 'state' }, { kind: 'state' }])
    expectGolden('core/lock.md', 'no-lock', [readOnly, below].map(printed).join('\n'))
    expect(existsSync(join(root, '.stagecraft'))).toBe(false)
  })

  test('check() throws once the lock was removed; the lock of the next run is left alone', async () => {
    const files = lockFiles(stateFile, 'prod')
    const work = async (held: Held) => {
      held.check()
      rmSync(files.lock)
      const next = tryLock(files.lock)
      describeAs({ user: 'cleo' })
      try {
        held.check()
      } finally {
        next?.release()
      }
    }
    const request = { stateFile, environment: 'prod', command: 'deploy', wait: 0 }
    const lost = await withLock(request, world(), work).catch((error) => error)
    expect(lost).toMatchObject({ kind: 'state' })
    expectGolden('core/lock.md', 'lost', printed(lost))
    expect(JSON.parse(readFileSync(files.holder, 'utf8'))).toMatchObject({ user: 'cleo' })
  })

  test.each([
    ['nobody has its pid here', { run: 'f3e1', machine: hostname(), pid: 2 ** 22 }],
    ['somebody else has its pid', { run: 'f3e1', machine: hostname(), pid: process.pid }],
    ['it is of a release that has no lock of its own', { machine: hostname(), pid: 2 ** 22 }],
  ])('a run that lives is not taken for dead: %s', async (_, holder) => {
    const letGo = heldBy(holder)
    expect(readLock(stateFile, 'prod')).not.toHaveProperty('holderDied')
    expect(String(await attempt())).toContain('another run is under way: deploy by ana')
    letGo()
    expect(passed).toBeLessThan(1000)
  })

  test('a process that is killed lets go', async () => {
    const { child, said } = await startHolder('hold', lockFiles(stateFile, 'prod').lock)
    describeAs({ machine: hostname(), pid: child.pid })
    expect([said, readLock(stateFile, 'prod')]).toMatchObject(['locked', { locked: true, holder: { pid: child.pid } }])
    child.kill('SIGKILL')
    await child.exited
    await until(() => !readLock(stateFile, 'prod').locked)
    expect(await attempt()).toBe('in')
  })

  test('a command of a killed run keeps it until it ends: its death is seen', async () => {
    const { child, said } = await startHolder('lend', lockFiles(stateFile, 'prod').lock)
    const command = Number(said.split(' ')[1])
    describeAs({ machine: hostname(), pid: child.pid, run: 'f3e1' })
    child.kill('SIGKILL')
    await child.exited
    expect(readLock(stateFile, 'prod')).toMatchObject({ locked: true, holderDied: true })
    meanwhile = () => {
      if (passed < 1000) return
      process.kill(command, 'SIGKILL')
      meanwhile = () => Bun.sleepSync(20) // the kernel closes its descriptors in a moment
    }
    expect(await attempt()).toBe('in, later')
  })
})
