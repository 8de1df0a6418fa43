import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { bundleFolder, modelFile } from '../../lib/record/bundle/ref.ts'
import { contentFolder, readBundle } from '../../lib/record/bundle.ts'
import { openState } from '../../lib/record/releases.ts'
import type { RollbackRequest } from '../../lib/record/rollback-target.ts'
import { whyNoTarget } from '../../lib/record/rollback-target.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import {
  change,
  edit,
  newApplication,
  refused,
  released,
  threeReleases,
  told,
  toVersion,
  web,
  webOf,
} from '../scenes/rollbacks.ts'
import { stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>) => temporary(newApplication(services))

/** A deploy whose container does not start. */
async function failedDeploy(project: FakeProject): Promise<Outcome> {
  const { behave } = project.engine
  project.engine.sources = { web: 'bad' }
  project.engine.behave = ({ content }) => (content === 'bad' ? { exit: 1 } : undefined)
  const outcome = await project.deploy({ version: 'bad' })
  project.engine.behave = behave
  expect(outcome.error?.kind).toBe('failed')
  return outcome
}

const toRelease = (reference: string): RollbackRequest => ({ to: 'release', reference })

function reason(project: FakeProject, id: string): string | undefined {
  const state = openState(project.stateFile, { clock: project.engine.clock.now })
  const serving = project
    .releases()
    .map((release) => readBundle(project.stateFile, release.id))
    .find((one) => one?.switched_at)
  const release = state.getRelease(id)
  return release && whyNoTarget({ state, environment: 'local', serving }, release)
}

describe('a rollback', () => {
  test('twice in a row goes further back, and a third time there is nothing', async () => {
    const project = shop()
    await threeReleases(project)
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('B')])
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('A')])
    expect(await refused(project)).toStartWith('Cannot roll back local: no release before A (')
  })

  test('is undone by a rollback to the release that was live before it', async () => {
    const project = shop()
    const ids = await threeReleases(project)
    await project.rollback()
    const prepared = await project.prepareRollback(toRelease(ids[2] ?? ''))
    expect(prepared.target.bundle.version).toBe('C')
    expect([told(await project.rollback(toRelease(ids[2] ?? ''))), webOf(project)]).toEqual(['no error', web('C')])
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('B')])
  })

  test('after a deploy on top of a rollback goes back to what that rollback restored', async () => {
    const project = shop()
    await threeReleases(project)
    await project.rollback()
    await released(project, 'D')
    await project.rollback()
    expect(webOf(project)).toBe(web('B'))
    await project.rollback()
    expect(webOf(project)).toBe(web('A'))
  })

  test('never goes forward if the release that it restored has been pruned since', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {keep: 1}}')
    await threeReleases(project)
    await project.rollback()
    expect(existsSync(bundleFolder(project.stateFile, project.releases()[2]?.id ?? ''))).toBe(false)
    expect(await refused(project)).toContain('no release before B (')
  })

  test('is not changed by failed attempts in between', async () => {
    const project = shop()
    await threeReleases(project)
    await failedDeploy(project)
    await project.rollback()
    expect(webOf(project)).toBe(web('B'))
    await failedDeploy(project)
    await failedDeploy(project)
    await project.rollback()
    expect(webOf(project)).toBe(web('A'))
  })

  test('skips a release that was live but did not complete', async () => {
    const project = shop()
    await released(project, 'A')
    const { behave } = project.engine
    project.engine.sources = { web: 'B' }
    project.engine.behave = () => ({ exit: 3, after: 5_500 })
    // It passes the gate, and ends before the finalize phase looks at it.
    const broken = await project.deploy({
      version: 'B',
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === 'finalize') project.engine.state.now += 60_000
      },
    })
    project.engine.behave = behave
    expect(told(broken)).toStartWith('10 ')
    await released(project, 'C')
    const outcome = await project.rollback()
    expect([told(outcome), webOf(project)]).toEqual(['no error', web('A')])
    expect(await refused(project, toVersion('B'))).toContain('it never completed in local')
    expect(await refused(project, toRelease(broken.release?.id ?? ''))).toEndWith(
      'it did not complete (failed in finalize)',
    )
  })

  test('to a version takes the newest of its releases that completed', async () => {
    const project = shop()
    change(project, { web: { build: { context: project.folder }, environment: { TRY: '1' } } })
    await released(project, 'A')
    change(project, { web: { build: { context: project.folder }, environment: { TRY: '2' } } })
    const second = await released(project, 'A')
    change(project, { web: { build: { context: project.folder }, environment: { TRY: '3' } } })
    project.engine.behave = () => ({ exit: 1 })
    project.engine.sources = { web: 'A' }
    expect((await project.deploy({ version: 'A' })).error?.kind).toBe('not-restored')
    project.engine.behave = () => undefined
    await released(project, 'B')
    const outcome = await project.rollback(toVersion('A'))
    expect(told(outcome)).toBe('no error')
    expect(outcome.bundle?.rollback_to).toBe(second)
    expect(webOf(project)).toBe('web of A TRY=2 running on shop_default')
  })
})

describe('there is nothing to roll back to, exit 4,', () => {
  test('if no release is live', async () => {
    const project = shop()
    const prepared = project.prepareRollback()
    await expect(prepared).rejects.toThrow('Cannot roll back local: no release is live there')
  })

  test('if the release is live, did not complete, is unknown, or its abbreviated id is ambiguous', async () => {
    const project = shop()
    const [a = '', , c = ''] = await threeReleases(project)
    const bad = (await failedDeploy(project)).release?.id ?? ''
    expect(await refused(project, toRelease(c))).toBe(`Cannot roll back to ${c} (C): it is live now`)
    expect(await refused(project, toVersion('C'))).toBe(`Cannot roll back to ${c} (C): it is live now`)
    expect(await refused(project, toRelease(bad))).toBe(
      `Cannot roll back to ${bad} (bad): it did not complete (failed in rollout)`,
    )
    expect(await refused(project, toVersion('bad'))).toContain('it never completed in local')
    expect(await refused(project, toVersion('Z'))).toBe('Cannot roll back to version "Z": local never had it')
    expect(await refused(project, toRelease('rel-2026'))).toBe(
      'Cannot find release "rel-2026" of local: 4 ids begin with that',
    )
    expect(await refused(project, toRelease('rel-1999'))).toContain('no release has an id that begins with that')
    expect(await refused(project, toRelease('../../x'))).toContain('no release has an id that begins with that')
    expect((await project.prepareRollback(toRelease(a.slice(0, -1)))).target.bundle.id).toBe(a)
  })

  test('if it is of another environment', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {}, prod: {}}')
    const local = await released(project, 'A', 'local')
    await released(project, 'B', 'prod')
    await released(project, 'C', 'prod')
    expect(await refused(project, toRelease(local), 'prod')).toContain('it is a release of local')
    expect(await refused(project, toVersion('A'), 'prod')).toBe('Cannot roll back to version "A": prod never had it')
    expect(await refused(project, { to: 'previous' }, 'local')).toContain('no release before A (')
    expect(told(await project.rollback(undefined, 'prod'))).toBe('no error')
    expect(project.engine.view('shop-prod')).toContain('web of B running on shop-prod_default')
    expect(project.engine.view('shop')).toContain(web('A'))
  })

  test('if its bundle is missing, or a part of it', async () => {
    const project = shop()
    change(
      project,
      { web: { build: { context: project.folder }, configs: [{ source: 'site', target: '/site' }] } },
      { configs: { site: { content: 'one' } } },
    )
    const [a = '', b = ''] = await threeReleases(project)
    change(project, {})
    const d = await released(project, 'D')
    const why = (id: string) => reason(project, id)
    expect([why(d), why(b)]).toEqual(['it is live now', undefined])
    rmSync(bundleFolder(project.stateFile, a), { recursive: true })
    expect(await refused(project, toRelease(a))).toEndWith('its bundle is gone: it was pruned, or removed by hand')
    rmSync(modelFile(project.stateFile, b))
    expect(await refused(project, toRelease(b))).toEndWith('its bundle is incomplete: compose.json is missing')
    const [hash = ''] = readdirSync(contentFolder(project.stateFile))
    rmSync(join(contentFolder(project.stateFile), hash))
    expect(await refused(project, toVersion('C'))).toEndWith(
      'its bundle is incomplete: the content of config site is missing',
    )
    expect(await refused(project)).toContain('no release before D (')
  })
})

const ran = (...names: string[]) =>
  names.map((name) => ({
    ...({ database: 'main', engine: 'raw', name, at: '2026-11-22T08:02:25.643Z', duration_ms: 12 } as const),
  }))

describe('migrations that ran since', () => {
  test('are those of later releases only, oldest first, whether or not these completed', async () => {
    const project = shop()
    const [a = '', b = '', c = ''] = await threeReleases(project)
    edit(project, a, { migrations: ran('001') })
    edit(project, b, { migrations: ran('002', '003') })
    const bad = (await failedDeploy(project)).release?.id ?? ''
    edit(project, bad, { migrations: ran('004'), migrating: { database: 'main', name: '005' } })
    const { migrations } = await project.prepareRollback(toRelease(a))
    expect(migrations).toEqual([
      { release: b, database: 'main', name: '002' },
      { release: b, database: 'main', name: '003' },
      { release: bad, database: 'main', name: '004' },
      { release: bad, database: 'main', name: '005' }, // its run died: it may have been applied
    ])
    expect((await project.prepareRollback()).migrations.map(({ name }) => name)).toEqual(['004', '005'])
    expect(c).not.toBe('')
  })

  test('are listed, and need --yes without a terminal', async () => {
    const project = shop()
    const [a = '', b = ''] = await threeReleases(project)
    edit(project, b, { migrations: ran('002-add-price') })
    const state = readFileSync(project.stateFile, 'utf8')
    const args = ['rollback', '--to-release', a]
    const { exit, stdout, stderr } = await stagecraftHere(args, { cwd: project.folder })
    expect([exit, stdout]).toEqual([2, ''])
    expectGolden('commands/rollback.md', 'migrations', stderr.replace(b, '<id>'))
    expect(readFileSync(project.stateFile, 'utf8')).toBe(state)
  })
})
