import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { errorReport } from '../../lib/output/error-report.ts'
import { errorLines } from '../../lib/output/lines.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { story } from '../fakes/project.ts'
import { ids, now, runningApps, start } from '../scenes/running-app.ts'
import { expectGolden } from '../support/golden.ts'

const running = runningApps()
/** A Compose setting that is not read from `docker inspect`: a container with it cannot be recreated from that. */
const UNREADABLE = { blkio_config: { weight: 100 } }

describe('an application that ran before Stagecraft', () => {
  test('is adopted as it runs: nothing is touched', async () => {
    const services = { web: { image: 'web:one' }, db: { image: 'db:1' } }
    const project = await running(services)
    const before = ids(project)
    const { error, bundle } = await project.deploy()
    expect(error).toBeUndefined()
    expect(ids(project)).toEqual(before)
    expect(bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
    expect((await project.deploy()).bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
    expect(ids(project)).toEqual(before)
  })

  test('is restored as it ran when its first release fails', async () => {
    const project = await running({ web: { image: 'web:one' }, db: { image: 'db:1' } })
    const before = project.view()
    project.engine.addImage('web:one', 'bad') // somebody moved the tag
    const { error, events } = await project.deploy()
    expect([error?.kind, error?.hint]).toEqual(['failed', 'The previous containers are still running.'])
    expect(story(events)).toContain('  web restore')
    expect(project.view()).toEqual(before)
  })

  test('is restored with its old containers if it is not known what they were created from', async () => {
    const project = await running({
      web: { image: 'web:one', environment: { A: '1' }, scale: 2 },
      db: { image: 'db:1' },
    })
    const before = [ids(project), project.view()]
    now(project, { web: { image: 'web:bad', environment: { A: '2' } }, db: { image: 'db:1', environment: { B: '1' } } })
    expect((await project.plan()).services[0]).toMatchObject({
      action: 'recreate',
      why: 'it runs, but not with the definition in the Compose file; its old container is kept until the new release is live',
      aside: true,
    })
    const { error, events } = await project.deploy()
    expect([error?.kind, error?.hint]).toEqual(['failed', 'The previous containers are still running.'])
    expect(story(events)).toContain('  web restore')
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is replaced by what the file says: the old containers are removed once the release is live', async () => {
    const project = await running({ web: { image: 'web:one', ports: [{ target: 80, published: '8080' }] } })
    const before = project.engine.ids('shop', 'web')
    now(project, { web: { image: 'web:two', ports: [{ target: 80, published: '8080' }] } })
    const { error } = await project.deploy()
    expect(error?.message).toBeUndefined()
    expect(project.view()).toEqual(['web of two running on shop_default'])
    expect(project.engine.ids('shop', 'web')).not.toEqual(before)
    expect((await project.deploy()).bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
  })

  test('is refused if something shares its namespace: Compose could give it that of either container', async () => {
    const side = { image: 'web:one', network_mode: 'service:db' }
    const project = await running({ db: { image: 'db:1', ...UNREADABLE }, web: side })
    const before = [ids(project), project.view()]
    now(project, { db: { image: 'db:1', environment: { A: '1' } }, web: side })
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      'Cannot take over db: it runs, but not with the definition in the Compose file, and it could not be restored if the deploy failed, because web shares something with it, and Compose could connect it to either container',
      'Update it with Compose first, then deploy: docker compose -p shop up -d --no-deps db web',
    ])
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is refused with all causes in one message', async () => {
    const project = await running({
      web: { image: 'web:one', container_name: 'w', ...UNREADABLE },
      db: { image: 'db:1', container_name: 'd', ...UNREADABLE },
    })
    now(project, { web: { image: 'web:two', container_name: 'w' }, db: { image: 'web:two', container_name: 'd' } })
    const { error } = await project.deploy()
    expect([error?.message, error?.detail, error?.hint?.split('\n')[0]]).toEqual([
      'Cannot take over db, web: they run, but not with the definition in the Compose file, and could not be restored if the deploy failed',
      'db: it has a container_name (d)\nweb: it has a container_name (w)',
      'Update it with Compose first, then deploy: docker compose -p shop up -d --no-deps db web',
    ])
  })

  test('is refused if it uses the namespace of a service that is recreated, and could not be restored', async () => {
    const side = (value: string) => ({
      image: 'web:one',
      network_mode: 'service:db',
      environment: { S: value },
      ...UNREADABLE,
    })
    const project = await running({ db: { image: 'db:1' }, web: side('1') })
    now(project, { db: { image: 'db:1' }, web: side('2') })
    expect((await project.plan()).services.map(({ action, aside }) => [action, aside])).toEqual([
      ['unchanged', undefined],
      ['recreate', true],
    ])
    project.engine.addImage('db:1', 'bad') // somebody moved the tag
    const { error } = await project.deploy()
    expect(error?.message).toEndWith('because it shares something with db, which is recreated')
  })

  test('is remembered after a first deploy that failed: the next one takes it over', async () => {
    const side = { image: 'web:one', network_mode: 'service:db' }
    const project = await running({ db: { image: 'db:1' }, web: side })
    const view = project.view()
    project.engine.addImage('db:1', 'bad')
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(view)
    now(project, { db: { image: 'web:bad', environment: { A: '2' } }, web: side })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(project.view()).toEqual(view)
    now(project, { db: { image: 'web:two', environment: { A: '2' } }, web: side })
    expect((await project.deploy()).error).toBeUndefined()
  })

  test('is also restored if there were releases, but none of this service', async () => {
    const project = await running({})
    now(project, { db: { image: 'db:1' } })
    await project.deploy()
    await start(project, { web: { image: 'web:one' } })
    const before = [ids(project), project.view()]
    now(project, { db: { image: 'db:1' }, web: { image: 'web:bad' } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect([ids(project), project.view()]).toEqual(before)
  })

  test('is refused with another hint if there were releases, but none of this service', async () => {
    const project = await running({})
    now(project, { db: { image: 'db:1' } })
    await project.deploy()
    await start(project, { web: { image: 'web:one', container_name: 'web' } })
    now(project, { db: { image: 'db:1' }, web: { image: 'web:two', container_name: 'web' } })
    const { error } = await project.deploy()
    expect([error?.kind, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      'Remove it first, if its data is not needed: docker rm -f web',
    ])
    await project.engine.exec(['docker', 'rm', '-f', ...project.engine.ids('shop', 'web')])
    expect((await project.deploy()).error).toBeUndefined()
  })

  test.each<[string, Service, Service]>([
    ['it has a container_name (web)', { container_name: 'web' }, {}],
    [
      'its data in /data is in an anonymous volume, which only Compose can carry over',
      { volumes: [{ type: 'volume', target: '/data' }] },
      {},
    ],
    ['its data in /data is in an anonymous volume, which only Compose can carry over', {}, { image: 'web:volume' }],
  ])('is refused before anything is touched if the two cannot exist at once: %s', async (why, more, image) => {
    const project = await running({})
    project.engine.withVolume.add('volume')
    project.engine.addImage('web:volume', 'volume')
    const web = { image: 'web:one', ...UNREADABLE, ...more, ...image }
    await start(project, { web })
    const before = [ids(project), project.view()]
    const wanted = { web: { ...web, environment: { A: '2' } } }
    now(project, wanted)
    const { error } = await project.deploy()
    expect([error?.kind, error?.message, error?.hint?.split('\n')[0]]).toEqual([
      'config',
      `Cannot take over web: it runs, but not with the definition in the Compose file, and it could not be restored if the deploy failed, because ${why}`,
      'Update it with Compose first, then deploy: docker compose -p shop up -d --no-deps web',
    ])
    if (error && why.includes('container_name')) {
      const hint = error.hint?.split('\n')[0]
      const alone = new StagecraftError(error.kind, error.message, { hint })
      expectGolden(
        'core/plan.md',
        'take-over',
        errorLines(errorReport(alone, { verbose: false }), { mask: createMask([]) }).join('\n'),
      )
    }
    expect([ids(project), project.view()]).toEqual(before)
    await start(project, wanted) // as the hint says
    expect((await project.deploy()).error).toBeUndefined()
  })

  test('keeps its own image, whatever else is built', async () => {
    const project = await running({ db: { image: 'db:1' } })
    project.engine.sources = { web: 'built' }
    project.write('.dockerignore', '.stagecraft')
    now(project, { db: { image: 'db:1' }, web: { build: { context: project.folder } } })
    expect((await project.deploy()).error).toBeUndefined()
    expect(project.view()).toEqual(['db of db running on shop_default', 'web of built running on shop_default'])
  })
})
