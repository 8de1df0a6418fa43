import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { bundleFolder } from '../../lib/record/bundle/ref.ts'
import { readBundle } from '../../lib/record/bundle.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { isQuestion } from '../fakes/engine.ts'
import { story } from '../fakes/project.ts'
import { change, newApplication, released, threeReleases, told, web, webOf } from '../scenes/rollbacks.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>) => temporary(newApplication(services))

describe('a rollback', () => {
  test('to a release with one digest for two platforms is not refused: an engine may keep both', async () => {
    const project = shop()
    const [, b = ''] = await threeReleases(project)
    const file = join(bundleFolder(project.stateFile, b), 'compose.json')
    const model = JSON.parse(readFileSync(file, 'utf8'))
    const [one, other] = Object.values<Service>(model.services)
    Object.assign(one ?? {}, { platform: 'linux/amd64' })
    Object.assign(other ?? {}, { image: one?.image, platform: 'linux/arm64' })
    writeFileSync(file, JSON.stringify(model))
    expect(told(await project.rollback())).toBe('no error')
  })

  test('restores the previous release, as a new release through six phases', async () => {
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

  test('restores removed services, and removes those that were added since', async () => {
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

  test('restores the content of files, and recreates only their service', async () => {
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

  test('waits as long as the release that it restores did, whatever stagecraft.yml says now', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {web: {rollout: {min_ready: 1s}}}}}')
    await threeReleases(project)
    project.write('stagecraft.yml', 'environments: {local: {services: {web: {rollout: {min_ready: 50s}}}}}')
    const before = project.engine.clock.now()
    await project.rollback()
    expect(project.engine.clock.now() - before).toBeLessThan(10_000)
  })

  test('restores the live release when it fails', async () => {
    const project = shop()
    const ids = await threeReleases(project)
    const before = project.view()
    project.engine.behave = ({ content }) => (content === 'B' ? { exit: 1, logs: 'the data is too new' } : undefined)
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('5 Cannot start web: it ended with exit code 1')
    expect(outcome.error?.hint).toContain(`C (${ids[2]}) is still live.`)
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

  test('keeps the events with their times, and without secrets', async () => {
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
