import { describe, expect, test } from 'bun:test'
import { readBundle, writeBundle } from '../../lib/record/bundle.ts'
import { openState } from '../../lib/record/releases.ts'
import { isAsReleased } from '../../lib/status/environment.ts'
import type { FakeProject } from '../fakes/project.ts'
import { addHand, containers, deployed, dieIn, look, printed, shops } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'

const shop = shops()

describe('an interrupted release', () => {
  /** v1 and v2 are deployed; then a minute passes. */
  async function twice(): Promise<FakeProject> {
    const project = await deployed(shop())
    project.engine.sources = { web: 'web two' }
    await deployed(project)
    project.engine.state.now += 60_000
    return project
  }

  test('that is live is finished by the next run', async () => {
    const project = await twice()
    dieIn(project, project.releases()[0]?.id ?? '', 'finalize')
    const status = await look(project)
    expectGolden('commands/status.md', 'finish', printed(project, status).split('\n').slice(0, 2).join('\n'))
    expect(isAsReleased(status)).toBe(false)
    expect(status.interrupted).toMatchObject([
      { version: 'v2', status: 'interrupted', phase: 'finalize', next: 'finish' },
    ])
  })

  test('that had not switched is undone, and its containers are distinguished from those of no release', async () => {
    const project = await twice()
    const [newest] = project.releases()
    const { switched_at: _, ...bundle } = readBundle(project.stateFile, newest?.id ?? '') ?? {}
    writeBundle(project.stateFile, bundle as NonNullable<ReturnType<typeof readBundle>>) // as it was before the switch
    dieIn(project, newest?.id ?? '', 'rollout')
    addHand(project, 'cache', {
      name: 'shop-extra-1',
      service: 'extra',
      file: containers(project, 'web')[0]?.file ?? '',
    })
    const status = await look(project)
    expectGolden('commands/status.md', 'interrupted', printed(project, status))
    expect(status.interrupted).toMatchObject([{ version: 'v2', status: 'interrupted', phase: 'rollout', next: 'undo' }])
  })

  test('is no such thing while a run is at work on it', async () => {
    const project = await twice()
    const [newest] = project.releases()
    dieIn(project, newest?.id ?? '', 'finalize')
    const since = new Date(project.engine.clock.now() - 60_000).toISOString()
    const run = { user: 'ana', machine: 'web-1', pid: 4711, command: 'deploy', since }
    const holder = { ...run, release: newest?.id ?? '', version: 'v2' }
    const status = await look(project, { locked: true, holder })
    expectGolden('commands/status.md', 'under-way', printed(project, status).split('\n').slice(0, 2).join('\n'))
    expectGolden('commands/status.md', 'held', printed(project, status).split('\n').at(-1) ?? '')
    expect([isAsReleased(status), status.interrupted]).toEqual([true, []])
  })

  test('a release that failed and could not be undone is reported as well', async () => {
    const project = await twice()
    const [newest] = project.releases()
    const bundle = readBundle(project.stateFile, newest?.id ?? '')
    if (!bundle) throw new Error('it has a bundle')
    const { switched_at: _, ...unswitched } = bundle
    const began_at = new Date(project.engine.clock.now()).toISOString()
    const lists = { before: [], made: [], touched: [], replaced: [], unused: [] }
    writeBundle(project.stateFile, { ...unswitched, journal: { step: 'switch', began_at, handover: false, ...lists } })
    const state = openState(project.stateFile, { clock: project.engine.clock.now })
    state.updatePhases(bundle.id, { rollout: 'failed', migrate_post: 'skipped', finalize: 'skipped' })
    const status = await look(project)
    expect(printed(project, status).split('\n')[1]).toBe(
      `v2 (${bundle.id}) failed in rollout, and left something behind: the next deploy, rollback or prune undoes it`,
    )
    expect(isAsReleased(status)).toBe(false)
  })
})
