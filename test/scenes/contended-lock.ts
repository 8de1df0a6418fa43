import { afterEach, beforeEach } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { withLock } from '../../lib/lock/environment-lock.ts'
import { lockFiles } from '../../lib/lock/files.ts'
import type { LockHolder, LockRequest } from '../../lib/lock/holder.ts'
import { tryLock } from '../../lib/system/flock.ts'
import { formatError } from '../support/failure.ts'

export const NOON = Date.parse('2026-11-22T12:00:00Z')
const ANA = { user: 'ana', machine: 'web-1', pid: 4242, command: 'deploy', since: '2026-11-22T11:57:30.000Z' }
export const RELEASE = { release: 'rel-20261122-115731002', version: 'v2' }

/** A run on another machine, of which only the lock knows that it has ended. */
export const dead = () => ({ ...RELEASE, run: 'f3e1', pid: process.pid })

/** Called at the top of a test file: the lock of an environment, with a folder and a fake clock for each test. */
export function contendedLock(): LockScene {
  const scene = new LockScene()
  beforeEach(() => scene.begin())
  afterEach(() => rmSync(scene.root, { recursive: true }))
  return scene
}

class LockScene {
  root = ''
  stateFile = ''
  /** Milliseconds since the test began, as the fake clock has it. */
  passed = 0
  told: [at: number, message: string][] = []
  /** What happens meanwhile: is called after each sleep. */
  meanwhile = () => {}
  stop = new AbortController()

  readonly clock = {
    now: () => NOON + this.passed,
    sleep: async (ms: number) => {
      this.passed += ms
      this.meanwhile()
    },
  }

  begin(): void {
    this.root = mkdtempSync(join(tmpdir(), 'stagecraft-lock-'))
    this.stateFile = join(this.root, '.stagecraft/releases.json')
    this.passed = 0
    this.told = []
    this.meanwhile = () => {}
    this.stop = new AbortController()
  }

  world() {
    const emit = (event: { type: string; message?: string }) =>
      void this.told.push([this.passed, event.message ?? event.type])
    return { user: 'ben', clock: this.clock, emit, signal: this.stop.signal }
  }

  /** The outcome of a run that wants the lock. */
  attempt(wait = 0, more: Partial<LockRequest> = {}): Promise<unknown> {
    const request = { stateFile: this.stateFile, environment: 'prod', command: 'deploy', wait, ...more }
    return withLock(request, this.world(), async ({ waited }) => (waited ? 'in, later' : 'in')).catch((error) => error)
  }

  /** Takes the lock as another run would, with this description. @returns a way to release it */
  heldBy(holder: Partial<LockHolder> | undefined, file = this.stateFile): () => void {
    const life = tryLock(lockFiles(file, 'prod').alive)
    const letGo = this.keptBy(holder, file)
    return () => {
      letGo()
      life?.release()
    }
  }

  /** The same, of a run that has died: a command of it keeps the lock. */
  keptBy(holder: Partial<LockHolder> | undefined, file = this.stateFile): () => void {
    const files = lockFiles(file, 'prod')
    const lock = tryLock(files.lock)
    if (!lock) throw new Error('it is busy')
    if (holder) this.describeAs(holder, file)
    return () => {
      rmSync(files.holder, { force: true })
      lock.release()
    }
  }

  describeAs(holder: Partial<LockHolder>, file = this.stateFile): void {
    writeFileSync(lockFiles(file, 'prod').holder, JSON.stringify({ ...ANA, ...holder }))
  }

  /** As it is printed, with the machine, the process and the folder as the spec has them. */
  printed(error: unknown): string {
    const pid = /pid \d+/g
    const text = formatError(error).join('\n')
    return text.replaceAll(this.root, '/srv/shop').replaceAll(hostname(), 'web-1').replace(pid, 'pid 4242')
  }
}
