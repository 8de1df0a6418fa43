import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '../../lib/system/exec.ts'
import { until } from '../support/lock-process.ts'

// What becomes of a child, and of the lock that it was handed, when the process that started it is killed.
let folder = ''
let files = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'stagecraft-death-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const fresh = () => join(folder, `file-${++files}`)
const isLocked = (file: string) => Bun.spawnSync(['flock', '-n', file, 'true']).exitCode === 1

/** When the last one was killed. */
let killedAt = 0

/** Starts a process that runs `script` with exec(), and kills it with `signal` once the script has said `up`. */
async function killed(script: string, options: object, { file = '', signal = 'SIGKILL' } = {}): Promise<number> {
  const fixture = join(import.meta.dir, '../fixtures/exec-parent.ts')
  const argv = [process.execPath, fixture, file, JSON.stringify(options), 'sh', '-c', `echo up $$; ${script}`]
  const parent = Bun.spawn(argv, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit', env: process.env })
  const reader = parent.stdout.getReader()
  let said = ''
  while (!said.includes('\n')) said += new TextDecoder().decode((await reader.read()).value)
  killedAt = performance.now()
  parent.kill(signal as 'SIGKILL')
  await parent.exited
  return Number(/^up (\d+)/.exec(said)?.[1])
}

/** Processes of a group that have not ended. */
function membersOf(group: number): string[] {
  const { stdout } = Bun.spawnSync(['ps', '-e', '-o', 'pgid=,stat=,args='])
  const rows = stdout
    .toString()
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  return rows.flatMap(([id, state = '', ...args]) =>
    Number(id) === group && !state.startsWith('Z') ? [args.join(' ')] : [],
  )
}

/** @returns milliseconds since the last one was killed */
async function timeUntil(done: () => boolean): Promise<number> {
  await until(done)
  return performance.now() - killedAt
}

describe('a child that may not outlive us', () => {
  test('gets TERM, with its group, when we are killed', async () => {
    const file = fresh()
    const group = await killed(`trap 'echo TERM >"${file}"; exit' TERM; sleep 60 & wait`, { outlive: 0 })
    await until(() => membersOf(group).length === 0)
    expect(readFileSync(file, 'utf8')).toBe('TERM\n')
  })

  test('gets KILL where it ignores TERM, after its grace', async () => {
    const group = await killed('trap "" TERM; while :; do sleep 0.1; done', { outlive: 0, grace: 1000 })
    const took = await timeUntil(() => membersOf(group).length === 0)
    expect(took).toBeGreaterThan(500)
  })

  test('lives on while we live, and leaves in peace what it started', async () => {
    const said: string[] = []
    const options = { outlive: 0, onLine: (line: string) => said.push(line) }
    const result = await exec(['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $$; sleep 0.2; exit 3'], options)
    const group = Number(said[0])
    expect(result.code).toBe(3)
    await until(() => membersOf(group).length === 1)
    expect(membersOf(group)).toEqual(['sleep 60'])
    process.kill(-group, 'SIGKILL')
  })

  test('is ended with its group by a time limit, like every child', async () => {
    const said: string[] = []
    const options = { outlive: 0, timeout: 300, onLine: (line: string) => said.push(line) }
    expect(await exec(['sh', '-c', 'echo $$; sleep 60 & wait'], options)).toMatchObject({ code: 143, timedOut: true })
    await until(() => membersOf(Number(said[0])).length === 0)
  })
})

describe('a child that may outlive us', () => {
  test('ends, and nothing of it is left', async () => {
    const file = fresh()
    const group = await killed(`sleep 1; echo done >"${file}"`, { outlive: 120_000 })
    await until(() => membersOf(group).length === 0)
    expect(readFileSync(file, 'utf8')).toBe('done\n')
  })

  test('is ended when its time is up', async () => {
    const group = await killed('sleep 60', { outlive: 1000 })
    const took = await timeUntil(() => membersOf(group).length === 0)
    expect(took).toBeGreaterThan(500)
  })
})

describe('a lock that is kept for a child', () => {
  test('is not a descriptor of the child, nor of what it starts', async () => {
    const keep = openSync(fresh(), 'w')
    const script = 'if { true >&3; } 2>/dev/null; then echo open; fi; sh -c "true >&3" 2>/dev/null && echo open; true'
    expect(await exec(['sh', '-c', script], { inheritFd: keep, outlive: 0 })).toMatchObject({ code: 0, stdout: '' })
  })

  test('is held until the child has ended', async () => {
    const [file, go] = [fresh(), fresh()]
    const group = await killed(`until [ -e "${go}" ]; do sleep 0.1; done`, { outlive: 120_000 }, { file })
    expect(isLocked(file)).toBe(true)
    await Bun.write(go, '')
    await until(() => !isLocked(file))
    await until(() => membersOf(group).length === 0)
  })

  test('is not held by what the child leaves behind, in a session of its own or not, and that goes on', async () => {
    const [file, session, go] = [fresh(), fresh(), fresh()]
    const script = `setsid sh -c 'echo $$ >"${session}"; exec sleep 60' & sleep 60 & until [ -e "${go}" ]; do sleep 0.1; done`
    const group = await killed(script, { outlive: 120_000 }, { file })
    const sessionOf = () => (existsSync(session) ? Number(readFileSync(session, 'utf8')) : 0)
    await until(() => sessionOf() > 0 && membersOf(sessionOf()).join() === 'sleep 60')
    expect(isLocked(file)).toBe(true)
    await Bun.write(go, '')
    await until(() => !isLocked(file))
    await until(() => membersOf(group).length < 2)
    const other = sessionOf()
    expect([membersOf(group), membersOf(other)]).toEqual([['sleep 60'], ['sleep 60']])
    for (const left of [group, other]) process.kill(-left, 'SIGKILL')
  })

  test('is held by a plugin of docker that the death of docker has orphaned, until that has ended', async () => {
    const [file, plugin, go] = [fresh(), join(folder, 'docker-compose'), fresh()]
    writeFileSync(plugin, `#!/bin/sh\nuntil [ -e "${go}" ]; do sleep 0.1; done\n`, { mode: 0o755 })
    const group = await killed(`"${plugin}" & wait`, { outlive: 120_000 }, { file })
    await until(() => membersOf(group).some((row) => row.endsWith(plugin))) // `up` is said before it is started
    process.kill(group, 'SIGKILL')
    await until(() => membersOf(group).every((row) => !row.startsWith('sh -c echo up')))
    await Bun.sleep(1500) // a look or two of the watcher
    expect(isLocked(file)).toBe(true)
    await Bun.write(go, '')
    await until(() => !isLocked(file))
  })

  test('is free once the time of the child is up, with all that is in its group', async () => {
    const file = fresh()
    const script = 'trap "" TERM; while :; do sleep 0.1; done'
    const group = await killed(script, { outlive: 1000, grace: 1000 }, { file })
    await until(() => !isLocked(file))
    await until(() => membersOf(group).length === 0)
  })
})
