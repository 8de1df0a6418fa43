import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Bundle, bundleFolder, contentFolder, modelFile, readBundle, writeBundle } from '../lib/bundle.ts'
import type { Service } from '../lib/compose.ts'
import { exitCodeOf } from '../lib/errors.ts'
import { createMask } from '../lib/mask.ts'
import { errorLines } from '../lib/report-lines.ts'
import type { RollbackRequest } from '../lib/rollback-target.ts'
import { whyNoTarget } from '../lib/rollback-target.ts'
import { openState } from '../lib/state.ts'
import { stagecraftHere } from './support/command-line.ts'
import { composeModel, isQuestion } from './support/fake-engine.ts'
import { FakeProject, type Outcome, story } from './support/fake-project.ts'
import { expectGolden } from './support/golden.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

/** An application of a built `web`, a `db` from a registry, and what else a test gives it. */
function shop(services: Record<string, Service> = {}): FakeProject {
  const project = new FakeProject('rollback')
  projects.push(project)
  project.write('.dockerignore', '.stagecraft\n')
  project.engine.registry = { 'postgres:16': 'postgres' }
  change(project, services)
  return project
}

function change(project: FakeProject, services: Record<string, Service>, more: object = {}): void {
  const web = { build: { context: project.folder } }
  const db = { image: 'postgres:16', volumes: [{ type: 'volume', source: 'data', target: '/data' }] }
  project.engine.model = composeModel('shop', { services: { web, db, ...services }, volumes: { data: {} }, ...more })
}

/** Deploys `web` with this content; its version is the content. @returns the release's id */
async function released(project: FakeProject, content: string, environment?: string): Promise<string> {
  project.engine.sources = { web: content }
  const outcome = await project.deploy({ version: content, ...(environment ? { environment } : {}) })
  if (outcome.error) throw outcome.error
  return outcome.release?.id ?? ''
}

/** Three versions, one after the other. @returns their ids */
async function threeReleases(project: FakeProject): Promise<string[]> {
  return [await released(project, 'A'), await released(project, 'B'), await released(project, 'C')]
}

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

const webOf = (project: FakeProject) => project.view().find((line) => line.startsWith('web '))
const web = (content: string) => `web of ${content} running on shop_default`
const toRelease = (reference: string): RollbackRequest => ({ to: 'release', reference })
const toVersion = (version: string): RollbackRequest => ({ to: 'version', version })

function told({ error }: Pick<Outcome, 'error'>): string {
  return error ? `${exitCodeOf(error)} ${error.message}` : 'no error'
}

/** Fails unless the rollback is refused with exit 4, and leaves everything as it is. @returns what it says */
async function refused(project: FakeProject, request?: RollbackRequest, environment?: string): Promise<string> {
  const [state, view] = [readFileSync(project.stateFile, 'utf8'), project.view()]
  project.engine.calls = []
  const outcome = await project.rollback(request, environment)
  expect(readFileSync(project.stateFile, 'utf8')).toBe(state)
  expect(project.view()).toEqual(view)
  expect(outcome.error && exitCodeOf(outcome.error)).toBe(4)
  return outcome.error?.message ?? ''
}

function edit(project: FakeProject, id: string, changes: Partial<Bundle>): void {
  const bundle = readBundle(project.stateFile, id)
  if (bundle) writeBundle(project.stateFile, { ...bundle, ...changes })
}

describe('a rollback', () => {
  test('puts the release back that served before, as a new release through six phases', async () => {
    const project = shop()
    const [a, b] = await threeReleases(project)
    project.engine.sources = { web: 'an edit that nobody committed' }
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('no error')
    expect(story(outcome.events)).toMatchInlineSnapshot(`
      [
        "build completed: nothing is built: the 2 images are here",
        "push completed: nothing to push: the engine has the images",
        "migrate_pre completed: databases are not rolled back",
        "  web recreate",
        "  web ready",
        "rollout completed: 1 recreated, 1 unchanged",
        "migrate_post completed: databases are not rolled back",
        "finalize completed: 2 services run as released",
      ]
    `)
    expect(webOf(project)).toBe(web('B'))
    expect(outcome.release).toMatchObject({ version: 'B', environment: 'local' })
    expect(outcome.bundle).toMatchObject({ rollback_to: b ?? '', served_before: project.releases()[1]?.id ?? '' })
    expect(outcome.bundle?.images).toEqual(readBundle(project.stateFile, b ?? '')?.images ?? {})
    expect(project.releases()).toHaveLength(4)
    expect(a).not.toBe(b)
  })

  test('twice in a row goes further back, and a third time there is nothing', async () => {
    const project = shop()
    await threeReleases(project)
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('B')])
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('A')])
    expect(await refused(project)).toStartWith('Cannot roll back local: nothing that can be put back served before A (')
  })

  test('is undone by a rollback to the release that served before it', async () => {
    const project = shop()
    const ids = await threeReleases(project)
    await project.rollback()
    const prepared = await project.prepareRollback(toRelease(ids[2] ?? ''))
    expect(prepared.target.bundle.version).toBe('C')
    expect([told(await project.rollback(toRelease(ids[2] ?? ''))), webOf(project)]).toEqual(['no error', web('C')])
    expect([told(await project.rollback()), webOf(project)]).toEqual(['no error', web('B')])
  })

  test('after a deploy on top of a rollback goes back to what that rollback put there', async () => {
    const project = shop()
    await threeReleases(project)
    await project.rollback()
    await released(project, 'D')
    await project.rollback()
    expect(webOf(project)).toBe(web('B'))
    await project.rollback()
    expect(webOf(project)).toBe(web('A'))
  })

  test('never goes forward where the release that it put back has been pruned since', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {keep: 1}}')
    await threeReleases(project)
    await project.rollback()
    expect(existsSync(bundleFolder(project.stateFile, project.releases()[2]?.id ?? ''))).toBe(false)
    expect(await refused(project)).toContain('nothing that can be put back served before B')
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

  test('passes over a release that served but did not complete', async () => {
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

  test('brings services back that are gone, and takes away those that came since', async () => {
    const project = shop({ old: { image: 'postgres:16' } })
    await released(project, 'A')
    change(project, { fresh: { image: 'postgres:16' } })
    await released(project, 'B')
    await project.rollback()
    expect(project.view()).toEqual([
      'db of postgres running on shop_default',
      'old of postgres running on shop_default',
      web('A'),
    ])
  })

  test('brings the content of files back, and recreates their service alone', async () => {
    const project = shop()
    const mount = { type: 'bind', source: join(project.folder, 'site.conf'), target: '/site.conf', read_only: true }
    change(project, { db: { image: 'postgres:16', volumes: [mount] } })
    project.write('site.conf', 'one')
    await released(project, 'A')
    const before = project.engine.ids('shop', 'web')
    project.write('site.conf', 'two')
    await released(project, 'A')
    rmSync(join(project.folder, 'site.conf'))
    await project.rollback()
    const source = project.engine.containersOf('shop').find(({ service }) => service === 'db')?.definition.volumes?.[0]
    expect(readFileSync(source?.source ?? '', 'utf8')).toBe('one')
    expect(project.engine.ids('shop', 'web')).toEqual(before)
  })

  test('asks Compose neither to read the Compose file nor to build, although both would fail', async () => {
    const project = shop()
    await threeReleases(project)
    project.engine.model = undefined
    project.engine.sources = {}
    project.engine.registry = {}
    project.engine.calls = []
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('no error')
    const verbs = project.engine.calls
      .map((argv) => argv.join(' '))
      .filter((call) => / (build|config|pull) ?/.test(call))
    expect(verbs.filter((call) => !call.includes('config --hash'))).toEqual([])
    project.engine.model = composeModel('shop', { services: {} })
    expect(webOf(project)).toBe(web('B'))
  })

  test('runs no job again, whether it was another one or not', async () => {
    const job = (code: string): Record<string, Service> => ({
      seed: { image: 'postgres:16', command: ['exit', '0', code] },
      web: { build: { context: '/nowhere' }, depends_on: { seed: { condition: 'service_completed_successfully' } } },
    })
    const project = shop(job('one'))
    await released(project, 'A')
    await released(project, 'B')
    change(project, job('two'))
    await released(project, 'B')
    for (let count = 0; count < 2; count++) {
      const lines = story((await project.rollback()).events)
      expect(lines).toContain('  seed keep')
      expect(lines).not.toContain('  seed run')
    }
    expect(webOf(project)).toBe(web('A'))
  })

  test('leaves a held service as it is: held today, or held then', async () => {
    const project = shop()
    const held = 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}'
    const db = (value: string): Record<string, Service> => ({
      db: { image: 'postgres:16', environment: { DB: value } },
    })
    change(project, db('1'))
    await released(project, 'A')
    change(project, db('2'))
    await released(project, 'B')
    const before = project.engine.ids('shop', 'db')
    project.write('stagecraft.yml', held)
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('no error')
    expect([project.engine.ids('shop', 'db'), webOf(project)]).toEqual([before, web('A')])
    project.write('stagecraft.yml', 'environments: {local: {}}')
    change(project, db('3'))
    await released(project, 'C')
    const later = project.engine.ids('shop', 'db')
    await project.rollback()
    expect(project.engine.ids('shop', 'db')).toEqual(later)
  })

  test('waits as long as the release that it puts back did, whatever stagecraft.yml says now', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {web: {rollout: {min_ready: 1s}}}}}')
    await threeReleases(project)
    project.write('stagecraft.yml', 'environments: {local: {services: {web: {rollout: {min_ready: 50s}}}}}')
    const before = project.engine.clock.now()
    await project.rollback()
    expect(project.engine.clock.now() - before).toBeLessThan(10_000)
  })

  test('puts back what served when it fails', async () => {
    const project = shop()
    const ids = await threeReleases(project)
    const before = project.view()
    project.engine.behave = ({ content }) => (content === 'B' ? { exit: 1, logs: 'the data is too new' } : undefined)
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('5 Cannot start web: it ended with exit code 1')
    expect(outcome.error?.hint).toContain(`C (${ids[2]}) still serves.`)
    expect(outcome.error?.detail).toContain('the data is too new')
    expect(project.view()).toEqual(before)
    expect(outcome.release?.phases).toMatchObject({ rollout: 'failed', finalize: 'skipped' })
    project.engine.behave = () => undefined
    await project.rollback()
    expect(webOf(project)).toBe(web('B'))
  })

  test('plans without writing anything, anywhere', async () => {
    const project = shop()
    await threeReleases(project)
    const snapshot = () =>
      readdirSync(join(project.folder, '.stagecraft'), { recursive: true })
        .map(String)
        .toSorted()
        .map((name) => `${name} ${statSync(join(project.folder, '.stagecraft', name)).mtimeMs}`)
    const [before, engine] = [snapshot(), structuredClone(project.engine.state)]
    project.engine.calls = []
    const plan = await project.planRollback()
    expect(plan.services.map(({ service, action }) => `${service} ${action}`)).toEqual(['db unchanged', 'web recreate'])
    expect([plan.version, plan.serving?.version]).toEqual(['B', 'C'])
    expect(snapshot()).toEqual(before)
    expect(project.engine.state).toEqual(engine)
    expect(project.engine.calls.filter((argv) => !isQuestion(argv))).toEqual([])
  })

  test('keeps the events with their times, and no secret among them', async () => {
    const project = shop()
    const secret = 'hunter2-and-more'
    const logs = `cannot log in with ${secret}`
    change(project, { web: { build: { context: project.folder }, environment: { PASSWORD: secret } } })
    await released(project, 'A')
    change(project, {})
    await released(project, 'B')
    project.engine.behave = ({ content }) => (content === 'A' ? { exit: 1, logs } : undefined)
    const outcome = await project.rollback()
    expect(outcome.error?.kind).toBe('failed')
    const folder = bundleFolder(project.stateFile, outcome.release?.id ?? '')
    const text = readFileSync(join(folder, 'events.jsonl'), 'utf8')
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines[0]).toEqual({
      at: expect.stringMatching(/^2026-11-22T08:\d\d:\d\d\.\d{3}Z$/),
      event: expect.objectContaining({ type: 'release', id: outcome.release?.id ?? '', version: 'A' }),
    })
    expect(lines.map(({ event }) => `${event.phase} ${event.status}`)).toContain('rollout failed')
    expect(lines.map(({ at }) => at)).toEqual(lines.map(({ at }) => at).toSorted())
    expect((statSync(join(folder, 'events.jsonl')).mode & 0o777).toString(8)).toBe('600')
    for (const name of ['events.jsonl', 'release.json'])
      expect(readFileSync(join(folder, name), 'utf8')).not.toContain(secret)
  })
})

describe('images', () => {
  test('that are gone end it before a release is made, and are named', async () => {
    const project = shop()
    const [a = ''] = await threeReleases(project)
    const id = readBundle(project.stateFile, a)?.images['web']?.id ?? ''
    delete project.engine.state.images[id]
    for (const [tag, of] of Object.entries(project.engine.state.tags))
      if (of === id) delete project.engine.state.tags[tag]
    expect(await refused(project, toVersion('A'))).toBe(
      `Cannot roll back to ${a} (A): the image of web is gone (shop-web:A)`,
    )
    const { error } = await project.rollback(toVersion('A'))
    const text = error
      ? errorLines({ kind: error.kind, message: error.message, hint: error.hint }, { mask: createMask([]) })
      : []
    const shown = text.join('\n').replace(id.slice(0, 19), 'sha256:0123456789ab').replace(a, 'rel-20261122-080225643')
    expectGolden(
      'commands/rollback.md',
      'image-gone',
      shown.replaceAll('(A)', '(v1)').replace('shop-web:A', 'shop-web:v1'),
    )
    await expect(project.planRollback(toVersion('A'))).rejects.toThrow('the image of web is gone')
  })

  test('are fetched by digest where the registry has them', async () => {
    const project = shop()
    await threeReleases(project)
    const { id = '', reference = '' } = project.releases()[0] ? (newest(project)?.images['db'] ?? {}) : {}
    expect(reference).toStartWith('postgres@sha256:')
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry['mysql:9'] = 'mysql'
    await released(project, 'D')
    delete project.engine.state.images[id]
    for (const [tag, of] of Object.entries(project.engine.state.tags))
      if (of === id) delete project.engine.state.tags[tag]
    expect(await refused(project)).toContain('the image of db is gone (postgres:16)')
    project.engine.registry[reference] = 'postgres'
    expect(told(await project.rollback())).toBe('no error')
    expect(project.view()).toContain('db of postgres running on shop_default')
    expect(project.engine.changes()).toContain(`docker pull ${reference}`)
  })

  test('are fetched for the platform that they had', async () => {
    const project = shop()
    change(project, { db: { image: 'postgres:16', platform: 'linux/arm64' } })
    await threeReleases(project)
    const { id = '', reference = '', name } = newest(project)?.images['db'] ?? {}
    expect([name, project.engine.state.images[id]?.platform]).toEqual(['postgres:16', 'linux/arm64'])
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry['mysql:9'] = 'mysql'
    await released(project, 'D')
    delete project.engine.state.images[id]
    for (const [tag, of] of Object.entries(project.engine.state.tags))
      if (of === id) delete project.engine.state.tags[tag]
    project.engine.registry[reference] = 'postgres'
    expect(told(await project.rollback())).toBe('no error')
    expect(project.engine.changes()).toContain(`docker pull --platform linux/arm64 ${reference}`)
  })

  test('whose name in the registry somebody removed from the engine are run by their content', async () => {
    const project = shop()
    await threeReleases(project)
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry = { 'mysql:9': 'mysql' }
    await released(project, 'D')
    await project.engine.exec(['docker', 'rmi', 'postgres:16'])
    expect(told(await project.rollback())).toBe('no error')
    expect(project.view()).toContain('db of postgres running on shop_default')
  })

  test('are tagged by content, so that a later build of the same version does not take them', async () => {
    const project = shop()
    project.engine.sources = { web: 'one' }
    await project.deploy({ version: 'v1' })
    project.engine.sources = { web: 'two' }
    await project.deploy({ version: 'v1' })
    expect(told(await project.rollback())).toBe('no error')
    expect(webOf(project)).toBe(web('one'))
  })
})

function newest(project: FakeProject): Bundle | undefined {
  return readBundle(project.stateFile, project.releases()[0]?.id ?? '')
}

describe('there is nothing to roll back to, exit 4,', () => {
  test('where nothing serves', async () => {
    const project = shop()
    const prepared = project.prepareRollback()
    await expect(prepared).rejects.toThrow('Cannot roll back local: nothing serves there')
  })

  test('where the release serves, did not complete, is unknown or is not the only one of its beginning', async () => {
    const project = shop()
    const [a = '', , c = ''] = await threeReleases(project)
    const bad = (await failedDeploy(project)).release?.id ?? ''
    expect(await refused(project, toRelease(c))).toBe(`Cannot roll back to ${c} (C): it serves now`)
    expect(await refused(project, toVersion('C'))).toBe(`Cannot roll back to ${c} (C): it serves now`)
    expect(await refused(project, toRelease(bad))).toBe(
      `Cannot roll back to ${bad} (bad): it did not complete (failed in rollout)`,
    )
    expect(await refused(project, toVersion('bad'))).toContain('it never completed in local')
    expect(await refused(project, toVersion('Z'))).toBe('Cannot roll back to version "Z": local never had it')
    expect(await refused(project, toRelease('rel-2026'))).toBe(
      'Cannot find release "rel-2026" of local: 4 ids begin so',
    )
    expect(await refused(project, toRelease('rel-1999'))).toContain('no id begins so')
    expect(await refused(project, toRelease('../../x'))).toContain('no id begins so')
    expect((await project.prepareRollback(toRelease(a.slice(0, -1)))).target.bundle.id).toBe(a)
  })

  test('where it is of another environment', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {}, prod: {}}')
    const local = await released(project, 'A', 'local')
    await released(project, 'B', 'prod')
    await released(project, 'C', 'prod')
    expect(await refused(project, toRelease(local), 'prod')).toContain('it is a release of local')
    expect(await refused(project, toVersion('A'), 'prod')).toBe('Cannot roll back to version "A": prod never had it')
    expect(await refused(project, { to: 'previous' }, 'local')).toContain('served before A')
    expect(told(await project.rollback(undefined, 'prod'))).toBe('no error')
    expect(project.engine.view('shop-prod')).toContain('web of B running on shop-prod_default')
    expect(project.engine.view('shop')).toContain(web('A'))
  })

  test('where its bundle is gone, or a part of it', async () => {
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
    expect([why(d), why(b)]).toEqual(['it serves now', undefined])
    rmSync(bundleFolder(project.stateFile, a), { recursive: true })
    expect(await refused(project, toRelease(a))).toEndWith('its bundle is gone: it was pruned, or removed by hand')
    rmSync(modelFile(project.stateFile, b))
    expect(await refused(project, toRelease(b))).toEndWith('its bundle is not whole: compose.json is missing')
    const [hash = ''] = readdirSync(contentFolder(project.stateFile))
    rmSync(join(contentFolder(project.stateFile), hash))
    expect(await refused(project, toVersion('C'))).toEndWith(
      'its bundle is not whole: the content of config site is missing',
    )
    expect(await refused(project)).toContain('nothing that can be put back served before D')
  })
})

function reason(project: FakeProject, id: string): string | undefined {
  const state = openState(project.stateFile, { clock: project.engine.clock.now })
  const serving = project
    .releases()
    .map((release) => readBundle(project.stateFile, release.id))
    .find((one) => one?.switched_at)
  const release = state.getRelease(id)
  return release && whyNoTarget({ state, environment: 'local', serving }, release)
}

describe('migrations that ran since', () => {
  test('are those of later releases only, oldest first, whatever became of these', async () => {
    const project = shop()
    const [a = '', b = '', c = ''] = await threeReleases(project)
    edit(project, a, { migrations: ['001'] })
    edit(project, b, { migrations: ['002', '003'] })
    const bad = (await failedDeploy(project)).release?.id ?? ''
    edit(project, bad, { migrations: ['004'] })
    const { migrations } = await project.prepareRollback(toRelease(a))
    expect(migrations).toEqual([
      { release: b, name: '002' },
      { release: b, name: '003' },
      { release: bad, name: '004' },
    ])
    expect((await project.prepareRollback()).migrations).toEqual([{ release: bad, name: '004' }])
    expect(c).not.toBe('')
  })

  test('are listed, and want --yes where nobody can be asked', async () => {
    const project = shop()
    const [a = '', b = ''] = await threeReleases(project)
    edit(project, b, { migrations: ['002-add-price'] })
    const state = readFileSync(project.stateFile, 'utf8')
    const args = ['rollback', '--to-release', a]
    const { exit, stdout, stderr } = await stagecraftHere(args, { cwd: project.folder })
    expect({ exit, stdout, stderr }).toEqual({
      exit: 2,
      stdout: '',
      stderr: [
        'Cannot roll back to A without asking: migrations ran since, and they stay',
        `migration 002-add-price of ${b} stays`,
        '  hint: Add --yes if this version can live with them.',
        '',
      ].join('\n'),
    })
    expect(readFileSync(project.stateFile, 'utf8')).toBe(state)
  })
})

describe('stagecraft rollback', () => {
  const ID = 'rel-20261122-080225643'

  /** Gives the oldest release the id that the spec shows. */
  async function command(project: FakeProject, oldest: string, ...args: string[]) {
    const { exit, stdout, stderr } = await stagecraftHere(['rollback', ...args], { cwd: project.folder })
    return { exit, stdout, stderr: stderr.replaceAll(oldest, ID) }
  }

  test('says why it cannot', async () => {
    const project = shop()
    project.engine.sources = { web: 'one' }
    const { release } = await project.deploy()
    const id = release?.id ?? ''
    const serves = await command(project, id, '--to-release', id)
    expectGolden('commands/rollback.md', 'serves', serves.stderr)
    const before = await command(project, id)
    expectGolden('commands/rollback.md', 'nothing-before', before.stderr)
    project.engine.behave = ({ content }) => (content === 'bad' ? { exit: 1 } : undefined)
    project.engine.sources = { web: 'bad' }
    await project.deploy()
    const never = await command(project, id, '--to-version', 'v2')
    expectGolden('commands/rollback.md', 'never-completed', never.stderr)
    expect([serves, before, never].map(({ exit, stdout }) => `${exit}${stdout}`)).toEqual(['4', '4', '4'])
  })

  test.each([
    [['--to-previous', '--to-release', 'rel-1']],
    [['--to-release', 'rel-1', '--to-version', 'v1']],
    [['--to-previous', '--to-version', 'v1']],
  ])('%p is wrong usage: one target at most', async (args) => {
    const project = shop()
    const { exit, stderr } = await command(project, 'none', ...args)
    expect([exit, stderr.split('\n')[0]]).toEqual([
      2,
      'Cannot roll back to several releases: more than one --to-… is given',
    ])
  })

  test('of an environment that is not there is exit 4', async () => {
    expect((await command(shop(), 'none', '--env', 'nowhere')).exit).toBe(4)
    expect((await command(shop(), 'none')).exit).toBe(4)
  })
})
