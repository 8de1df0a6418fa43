import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { allowedFor } from '../campaign/faults.ts'
import { kills } from '../campaign/kills.ts'
import { type Cell, matrix } from '../campaign/matrix.ts'
import { renames } from '../campaign/renames.ts'
import { ROADS, roads } from '../campaign/roads.ts'
import { Site } from '../campaign/site.ts'
import { Subject } from '../campaign/subject.ts'
import { rowOf, writtenRows } from '../campaign/tables.ts'
import { dice } from '../support/dice.ts'
import type { Running } from '../support/engine.ts'
import { host, isUp } from '../support/lab.ts'
import { type App, deploy, deployVersionOne, expectPage, expectPhases, page, until, writeApp } from './app.ts'

// A lab host of its own: its engine is stopped and hung. Without the lab, only faults that stop no engine are tried.
const engine = host(isUp('h4') ? 'h4' : 'h1')

describe('a small part of the campaign', () => {
  const site = isUp('h4') ? new Site(engine) : undefined
  const subjects: Subject[] = []
  const subject = (title: string, where?: Site) => {
    const made = new Subject(engine, title, where)
    subjects.push(made)
    return made
  }
  afterAll(async () => {
    await site?.heal()
    for (const { folder } of subjects) await folder.cleanUp()
  })

  test('kills at random instants, under load', async () => {
    const { done, load } = await kills(subject('kills'), 3, dice(3), '3')
    expect(done.flatMap(({ title, failures }) => failures.map((failure) => `${title}: ${failure}`))).toEqual([])
    expect([done.length, load.requests > 100]).toEqual([3, true])
  })

  test('kills before some of the writes', async () => {
    const some = subject('renames')
    await some.begin()
    const done = await renames(some, 'deploy', [4, 12, 22])
    expect(done.flatMap(({ title, failures }) => failures.map((failure) => `${title}: ${failure}`))).toEqual([])
    expect(done).toHaveLength(3)
  })

  test('kills of a promotion, a deploy of a plan, a first deploy over what runs, and `down --history`', async () => {
    const done = await roads(engine, { count: ROADS.length, roll: dice(5), seed: '5' })
    expect(done.flatMap(({ title, failures }) => failures.map((failure) => `${title}: ${failure}`))).toEqual([])
    expect(done).toHaveLength(4)
  })

  const CELLS = [
    'kill -9 of the process, switch',
    'TERM of the docker command alone, prepare',
    'the engine stops, switch',
    'the disk of the project is full, retire',
    'nobody reads stdout, throughout',
  ]
  test('some faults at some steps: each is as the table of the spec has it', async () => {
    const some = subject('matrix', site)
    await some.begin()
    const cells = await matrix(some, site, (fault, step) => CELLS.includes(`${fault}, ${step}`))
    expect(cells.flatMap(({ fault, step, failures }) => failures.map((what) => `${fault}, ${step}: ${what}`))).toEqual(
      [],
    )
    expect(cells).toHaveLength(site ? CELLS.length : 3)
    // Several may be right, depending on where exactly it hit (each cell was checked): the table has one of them.
    const written = writtenRows('matrix')
    const wrong = cells.filter((cell) => {
      const same = written.filter(([fault, step]) => fault === cell.fault && step === cell.step)
      return same.length !== 1 || !same.every((row) => isRight(row, cell))
    })
    expect(wrong.map(rowOf)).toEqual([])
  })
})

/** @returns whether a row of the table says what may come of the cell's fault at its step. */
function isRight(row: readonly string[], cell: Cell): boolean {
  if (cell.step === 'throughout') return row.join() === rowOf(cell).join()
  const [, , exit, serves = '', found = ''] = row
  const { exits, serves: served, found: outcomes } = allowedFor(cell.fault, cell.step)
  return exits.includes(Number(exit)) && served.includes(serves) && outcomes.includes(found)
}

// The engine is stopped by SIGSTOP: it accepts connections, and never answers. Its containers keep running.
describe.skipIf(!isUp('h4'))('an engine that hangs', () => {
  const folder = engine.folder('hung')
  const patience = { env: { STAGECRAFT_ENGINE_TIMEOUT: '10s' } }
  const said = 'Cannot reach the Docker engine: it has not answered for 10 s\n'
  let port = 0
  let app: App
  beforeAll(async () => {
    port = await engine.freePort()
    app = { services: { web: page(port) } }
    await deployVersionOne(folder, app)
  })
  afterAll(() => folder.cleanUp())

  /** Stops the engine while `act` runs. */
  async function whileHung<T>(act: () => Promise<T>): Promise<T> {
    const pid = (await engine.exec(['pgrep', '-x', 'dockerd'])).stdout.trim()
    expect(pid).toMatch(/^\d+$/)
    await engine.exec(['kill', '-STOP', pid])
    try {
      return await act()
    } finally {
      await engine.exec(['kill', '-CONT', pid])
    }
  }

  const start = (version: string) => folder.startStagecraft(['deploy', '--version', version, '--verbose'], patience)
  const prints = (running: Running, text: string) =>
    until(`it prints ${text}`, () => running.output().includes(text) || running.output())

  test('is reported by commands that only read', async () => {
    const { code, stderr } = await whileHung(() => folder.stagecraft(['plan', '--version', 'v2'], patience))
    expect({ code, stderr }).toMatchObject({ code: 8 })
    expect(stderr).toStartWith(said)
  })

  test('ends a build, and the previous release stays live', async () => {
    folder.write('web/Dockerfile', `FROM busybox:1\nRUN printf 'under %s\\n' way; sleep 300\n`)
    const running = start('v-build')
    await prints(running, 'under way')
    const { code, stderr } = await whileHung(() => running.done)
    expect({ code, stderr }).toMatchObject({ code: 8 })
    expect(stderr).toContain(said)
    expectPhases(folder, 'v-build', 'build')
    await expectPage(folder, port, 'version one')
  })

  test('does not end a build that takes longer than the engine may take to answer', async () => {
    folder.write('web/index.html', 'version two')
    // the name keeps the step out of the cache of an earlier run
    const dockerfile = `FROM busybox:1\nRUN echo ${folder.name}; sleep 15\nCOPY index.html /www/\nCMD ["httpd", "-f", "-p", "80", "-h", "/www"]\n`
    folder.write('web/Dockerfile', dockerfile)
    const { code, stderr } = await start('v2').done
    expect({ code, stderr }).toMatchObject({ code: 0 })
    await expectPage(folder, port, 'version two')
  })

  test('ends a rollout, and the next deploy finishes the work', async () => {
    const healthcheck = { test: ['CMD', 'false'], interval: '1s', retries: 100 }
    const first = (await folder.containers())[0]?.id
    writeApp(folder, { services: { web: page(port, { healthcheck }) } })
    const running = start('v-rollout')
    await until('the new web runs', async () => {
      const [web] = await folder.containers()
      return (web?.id !== first && web?.state === 'running') || `${web?.id} ${web?.state}`
    })
    const { code, stderr } = await whileHung(() => running.done)
    expect({ code, stderr }).toMatchObject({ code: 6 })
    expect(stderr).toContain(said)
    expectPhases(folder, 'v-rollout', 'rollout')
    writeApp(folder, app)
    await deploy(folder, 'v3')
    expectPhases(folder, 'v3')
    await expectPage(folder, port, 'version two')
    expect(await folder.containers()).toHaveLength(1)
  })
})
