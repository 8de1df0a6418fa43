import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { lockFiles } from '../../../lib/lock/files.ts'
import { type Printed, scratch, stagecraft, stagecraftHere } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'
import { startHolder, until } from '../../support/lock-process.ts'

/** Says what it is asked about the Compose file, and nothing else. */
const DOCKER = `#!/bin/sh
case "$*" in
*"config --format json"*) echo '{"name":"shop","services":{"web":{"image":"busybox:1"}}}' ;;
*) echo "not asked for: $*" >&2; exit 1 ;;
esac
`

let folder = scratch()
let files = lockFiles('', '')
let holders: Bun.Subprocess[] = []
beforeEach(() => {
  folder = scratch({
    'stagecraft.yml': 'environments: {prod: {}, test: {}}\n',
    'compose.yml': 'services: {web: {image: "busybox:1"}}\n',
    '.bin/docker': DOCKER,
  })
  chmodSync(join(folder.path, '.bin/docker'), 0o755)
  files = lockFiles(join(folder.path, '.stagecraft/releases.json'), 'prod')
})
afterEach(async () => {
  for (const child of holders) child.kill('SIGKILL')
  await Promise.all(holders.map((child) => child.exited))
  holders = []
  folder.remove()
})

const as = (user: string) => ({ SUDO_USER: '', USER: user, STAGECRAFT_ENV: 'prod' })
const lock = (action: string, ...args: string[]) =>
  stagecraftHere(['lock', action, ...args], { cwd: folder.path, env: as('ana') })
const hold = (user: string, message = 'moving the database') =>
  stagecraftHere(['lock', 'hold', '--message', message], { cwd: folder.path, env: as(user) })

/** Another process takes the lock of prod, and says that it is a deploy. */
async function startRun(): Promise<Bun.Subprocess> {
  const { child, said } = await startHolder('hold', files.lock)
  holders.push(child)
  expect(said).toBe('locked')
  const since = new Date(Date.now() - 150_000).toISOString()
  const release = { release: 'rel-20261122-115731002', version: 'v2' }
  const run = { user: 'ben', machine: hostname(), pid: child.pid, command: 'deploy', since, ...release }
  writeFileSync(files.holder, JSON.stringify(run))
  return child
}

/** As the spec shows it: with its machine, times and numbers. */
function shown({ stdout, stderr }: Printed): string {
  return (stdout + stderr)
    .replaceAll(hostname(), 'web-1')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, '2026-11-22 11:57:30')
    .replace(/\([2-5]m\d\ds\)|\(\d+\.\ds\)/g, '(2m30s)') // later, on a busy machine
    .replace(/pid \d+|-INT \d+/g, (text) => text.replace(/\d+/, '4242'))
}

describe('stagecraft lock status', () => {
  test('says that it is free, and makes nothing', async () => {
    expect(await lock('status')).toEqual({ exit: 0, stdout: 'prod is free\n', stderr: '' })
    expect(existsSync(join(folder.path, '.stagecraft'))).toBe(false)
  })

  test('says who is at work, and who holds it: exit 7', async () => {
    await startRun()
    await hold('ana')
    const status = await lock('status')
    expect(status.exit).toBe(7)
    expectGolden('commands/lock.md', 'locked', shown(status))
    expect(await lock('status', '--env', 'test')).toMatchObject({ exit: 0, stdout: 'test is free\n' })
  })

  test('of a run that died says that its last command works: --json too, and lock release', async () => {
    await startRun()
    const died = { pid: process.pid, run: 'f3e1', since: '2026-11-22T11:57:30.000Z' }
    const holder = { user: 'ben', machine: hostname(), command: 'deploy', ...died }
    writeFileSync(files.holder, JSON.stringify(holder))
    const status = await lock('status')
    expectGolden('commands/lock.md', 'died', shown(status).replace(/\([^)]*\)/, '(2m30s)'))
    const [json = ''] = (await lock('status', '--json')).stdout.split('\n')
    const what = { locked: true, holder, holderDied: true }
    const refused = await lock('release')
    expect(refused.exit).toBe(7)
    expectGolden('commands/lock.md', 'not-held-died', shown(refused).replace(/\(\d[^)]*\)/, '(2m30s)'))
    expect(JSON.parse(json)).toEqual({ v: 1, type: 'lock', environment: 'prod', ...what })
  })

  test('--json has what it is of itself, and the exit code', async () => {
    await hold('ana')
    const lines = (await lock('status', '--json')).stdout.trim().split('\n')
    const held = { user: 'ana', machine: hostname(), since: expect.any(String), message: 'moving the database' }
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { v: 1, type: 'lock', environment: 'prod', locked: false, hold: held },
      { v: 1, type: 'finished', exit: 7 },
    ])
  })
})

describe('stagecraft lock hold', () => {
  test('shows the hold and how to end it; the same user may say something else, another one may not', async () => {
    const [first, second, other] = [await hold('ana'), await hold('ana', 'still moving it'), await hold('ben')]
    expect([first, second, other].map(({ exit }) => exit)).toEqual([0, 0, 7])
    expectGolden('commands/lock.md', 'hold', shown(first))
    expectGolden('commands/lock.md', 'hold-refused', shown(other))
    expect(shown(await lock('status'))).toContain('"still moving it"')
  })

  test('names the run that is under way: exit 7, and it is held', async () => {
    await startRun()
    const held = await hold('ana')
    expect(held.exit).toBe(7)
    expectGolden('commands/lock.md', 'hold-running', shown(held))
    expect(JSON.parse(readFileSync(files.hold, 'utf8'))).toMatchObject({ user: 'ana' })
  })

  test('waits for it, as long as it is asked to', async () => {
    const run = await startRun()
    const message = ['--message', 'moving the database']
    const late = await lock('hold', ...message, '--wait', '1s')
    expect(late.exit).toBe(7)
    expectGolden('commands/lock.md', 'hold-late', shown(late))
    const said: string[] = []
    const waiting = ['lock', 'hold', ...message, '--wait', '5m']
    const holding = stagecraftHere(waiting, { cwd: folder.path, env: as('ana'), said })
    await until(() => said.join('').includes('waiting: '))
    run.kill('SIGKILL')
    const held = await holding
    expect(held).toMatchObject({ exit: 0, stderr: expect.stringContaining('waiting: for ben on ') })
    expect(shown({ ...held, stderr: '' })).toStartWith('prod is held by ana on web-1 since')
  })

  test('wants a message', async () => {
    for (const args of [[], ['--message', ' ']]) expect((await lock('hold', ...args)).exit).toBe(2)
    expect(existsSync(files.hold)).toBe(false)
  })

  test('a message cannot move the cursor', async () => {
    const held = await hold('ana', 'a\u001b[2Jb\nprod is free')
    expect(held.stdout).not.toContain('\u001b')
    expect(held.stdout.split('\n')).toHaveLength(3)
  })
})

describe('stagecraft lock release', () => {
  test('ends the hold once, whichever user has it', async () => {
    await hold('ben')
    const [released, again] = [await lock('release'), await lock('release')]
    expect([released.exit, again.exit, (await lock('status')).exit]).toEqual([0, 0, 0])
    expectGolden('commands/lock.md', 'released', shown(released))
    expect(again.stdout).toBe('prod was not held.\n')
  })

  test('does not end a run', async () => {
    const run = await startRun()
    const refused = await lock('release')
    expect([refused.exit, run.exitCode, (await lock('status')).exit]).toEqual([7, null, 7])
    expectGolden('commands/lock.md', 'not-held', shown(refused))
  })

  test('--json', async () => {
    const [free = ''] = (await lock('release', '--json')).stdout.split('\n')
    expect(JSON.parse(free)).toEqual({ v: 1, type: 'lock-released', environment: 'prod' })
    await hold('ben')
    const [held = ''] = (await lock('release', '--json')).stdout.split('\n')
    expect(JSON.parse(held)).toMatchObject({ environment: 'prod', hold: { user: 'ben' } })
  })
})

test('each ends with what is wrong with the call, the configuration or the folder', async () => {
  const all = [['status'], ['hold', '--message', 'x'], ['release']]
  const exits = async (...more: string[]) => {
    const ended = await Promise.all(all.map(([action = '', ...args]) => lock(action, ...args, ...more)))
    return ended.map(({ exit }) => exit)
  }
  expect([await exits('--env', 'live'), await exits('--since', '1s')]).toEqual([
    [4, 4, 4],
    [2, 2, 2],
  ])
  expect((await lock('hold', '--message', 'x', '--wait', 'long')).exit).toBe(2)
  writeFileSync(join(folder.path, '.stagecraft'), '')
  expect((await lock('hold', '--message', 'x')).exit).toBe(9)
  rmSync(join(folder.path, '.stagecraft'))
  writeFileSync(join(folder.path, 'stagecraft.yml'), 'environment: {}')
  expect(await exits()).toEqual([3, 3, 3])
})

describe('a command that would change something', () => {
  const PATH = () => `${join(folder.path, '.bin')}:${process.env['PATH']}`
  const run = (...args: string[]) =>
    stagecraft(args, { cwd: folder.path, env: { ...as('ana'), USER: 'ana', PATH: PATH() } })

  test('is refused while another run is at it', async () => {
    await startRun()
    const refused = [await run('deploy', '--version', 'v3'), await run('rollback'), await run('prune')]
    expect(refused.map(({ exit }) => exit)).toEqual([7, 7, 7])
    expectGolden('commands/lock.md', 'deploy-refused', shown(refused[0] as Printed))
    expect(existsSync(join(folder.path, '.stagecraft/releases.json'))).toBe(false)
  })

  test('is shown the message of a hold', async () => {
    await hold('ben')
    const refused = [await run('deploy', '--version', 'v3'), await run('rollback'), await run('prune')]
    expect(refused.map(({ exit }) => exit)).toEqual([7, 7, 7])
    expectGolden('commands/lock.md', 'deploy-held', shown(refused[0] as Printed))
    for (const { stderr } of refused) expect(stderr).toContain('"moving the database"')
  })

  test('--wait says for whom it waits, and how long it has waited', async () => {
    await startRun()
    const refused = await run('prune', '--wait', '1s')
    expect(refused.exit).toBe(7)
    expectGolden('commands/lock.md', 'waited', shown(refused))
  })
})
