import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { openState } from '../../lib/record/releases.ts'
import type { Damage } from '../fakes/engine.ts'
import type { Outcome } from '../fakes/project.ts'
import { passing, prepared, recoveries, removeProjects, unfinished } from '../scenes/dead-run.ts'
import { edit } from '../scenes/rollbacks.ts'
import { NEW, newShop, OLD, serving, told } from '../scenes/shop.ts'
import { expectGolden } from '../support/golden.ts'
import { DEAD_PID } from '../support/temporary.ts'

afterEach(removeProjects)

const SPEC = 'core/recovery.md'

const starts = (service: string) => (argv: readonly string[]) => argv.includes('up') && argv.includes(service)

describe('what is reported', () => {
  /** A deploy of v2 that dies at the first command that `which` chooses. */
  async function died(which: (argv: readonly string[]) => boolean, damage: Damage = 'half') {
    const { start } = await prepared()
    const project = start()
    expect(await project.dieAt(which, damage, () => project.deploy({ version: 'v2' }))).toBe(true)
    return project
  }
  const text = (outcome: Outcome) =>
    recoveries(outcome)
      .map(({ message }) => `recovery: ${message}`)
      .join('\n')
      .replaceAll(/rel-\d+-\d+/g, '<id>')
      .replace(/tester on \S+ died/, 'ana on web-1 died')

  test('of one that had changed nothing', async () => {
    const project = await died((argv) => argv.includes('build'))
    expectGolden(SPEC, 'nothing', text(await project.recover()))
  })

  test('of one that is undone', async () => {
    const project = await died(starts('web'))
    expectGolden(SPEC, 'undone', text(await project.recover()))
  })

  test('of one that had switched', async () => {
    const project = await died((argv) => argv[1] === 'rm', 'none')
    expectGolden(SPEC, 'finished', text(await project.recover()))
  })

  test('of a first one, after which nothing is left', async () => {
    const project = newShop('recovery')
    passing(project)
    await project.dieAt(starts('web'), 'half', () => project.deploy({ version: 'v1' }))
    const outcome = await project.recover()
    expectGolden(SPEC, 'first', text(outcome))
    expect(project.view()).toEqual([])
    expect(project.engine.state.networks).toEqual({})
  })

  test('of one that cannot be undone, and a command that repairs nothing ends with that error', async () => {
    const project = await died(starts('web'), 'all')
    project.engine.behave = ({ content }) => (content === 'web one' ? { exit: 3, logs: 'no' } : undefined)
    const { error } = await project.moveState()
    expect(error).toMatchObject({
      kind: 'not-restored',
      message: 'Cannot state move: v2 could not be undone completely',
    })
  })

  test('of one that cannot be undone, and the command continues', async () => {
    const project = await died(starts('web'), 'all')
    project.engine.behave = ({ content }) => (content === 'web one' ? { exit: 3, logs: 'no' } : undefined)
    const outcome = await project.recover()
    expect(told(outcome)).toBe('no error')
    expectGolden(SPEC, 'not-undone', text(outcome))
    expect(outcome.events.find(({ type }) => type === 'warning')).toMatchObject({
      message: 'Cannot restore the previous release: the rollout failed, and undoing it failed too',
      hint: expect.stringContaining('Running now:'),
    })
    project.engine.behave = () => undefined
    const next = await project.deploy()
    expect([told(next), serving(project)]).toEqual(['no error', NEW])
  })
})

test('a migration of the live release whose run died is named until another one has run', async () => {
  const project = passing(newShop('recovery'))
  const { release } = await project.deploy({ version: 'v1' })
  edit(project, release?.id ?? '', { migrating: { database: 'main', name: '001.sql' } })
  const { events } = await project.recover()
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event] : []))
  const text = warnings.map(({ message, hint }) => `warning: ${message}\n  hint: ${hint}`).join('\n')
  expectGolden(SPEC, 'migrate-run', text.replace(release?.id ?? '', '<id>'))
})

describe('never more than is known', () => {
  test('a container that was created by hand meanwhile is left alone', async () => {
    const { start } = await prepared()
    const project = start()
    await project.dieAt(starts('api'), 'all', () => project.deploy())
    const [api] = project.engine.containersOf('shop').filter(({ service }) => service === 'api')
    if (api === undefined) throw new Error('api was not made')
    const byHand = { ...api, id: 'f'.repeat(64), name: 'shop-api-2', file: '/home/ana/compose.yaml' }
    project.engine.state.containers.push(byHand)
    await project.recover()
    expect(project.engine.ids('shop', 'api')).toEqual([byHand.id])
  })

  test('an engine that does not answer leaves everything as it is for the next command', async () => {
    const { start } = await prepared()
    const project = start()
    await project.dieAt(starts('web'), 'half', () => project.deploy())
    const stderr = 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?'
    for (let call = 1; call < 12; call++) {
      project.engine.calls = []
      project.engine.intercept = (_, count) => (count >= call ? { damage: 'none', result: { stderr } } : undefined)
      const gone = await project.recover()
      if (gone.error === undefined) break
      expect([gone.error.kind, unfinished(project).length]).toEqual(['unreachable', 1])
    }
    project.engine.intercept = () => undefined
    await project.recover()
    expect([serving(project), unfinished(project)]).toEqual([OLD, []])
  })

  test('a release of another environment, or one that has ended, is not touched', async () => {
    const { start } = await prepared()
    const project = start()
    const state = openState(project.stateFile, { clock: () => project.engine.state.now })
    const other = state.createRelease({ environment: 'prod', version: 'v9', commit_sha: '' })
    state.updatePhase(other.id, 'build', 'running')
    const bytes = await Bun.file(project.stateFile).text()
    expect(recoveries(await project.recover())).toEqual([])
    expect(await Bun.file(project.stateFile).text()).toBe(bytes)
  })

  test('a release that another tool left running, without a bundle, is marked', async () => {
    const { start } = await prepared()
    const project = start()
    const state = openState(project.stateFile, { clock: () => project.engine.state.now })
    const dead = state.createRelease({ environment: 'local', version: 'v9', commit_sha: '' })
    state.updatePhases(dead.id, { build: 'completed', push: 'running' })
    const repaired = await project.recover()
    expect(recoveries(repaired).map(({ outcome }) => outcome)).toEqual(['nothing'])
    const phases = project.releases()[0]?.phases
    expect(PHASES.map((phase) => phases?.[phase])).toEqual([
      ...['completed', 'failed', 'skipped', 'skipped', 'skipped', 'skipped'],
    ])
  })

  test('half-written files of dead processes are removed, those of running ones are kept', async () => {
    const { start } = await prepared()
    const project = start()
    await project.dieAt(8, 'none', () => project.deploy())
    const dead = DEAD_PID
    const names = (pid: number) => [`.compose-${pid}-1.tmp`, `.release-${pid}-2.tmp`]
    const folder = join(project.folder, '.stagecraft/releases', project.releases()[0]?.id ?? '')
    const content = join(project.folder, '.stagecraft/content')
    mkdirSync(join(content, `.content-${dead}-1.tmp`), { recursive: true, mode: 0o500 })
    for (const name of [...names(dead), ...names(process.ppid)]) writeFileSync(join(folder, name), 'half')
    await project.recover()
    expect(names(dead).filter((name) => existsSync(join(folder, name)))).toEqual([])
    expect(names(process.ppid).filter((name) => !existsSync(join(folder, name)))).toEqual([])
    expect(existsSync(join(content, `.content-${dead}-1.tmp`))).toBe(false)
  })
})
