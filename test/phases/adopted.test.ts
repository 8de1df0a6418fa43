import { describe, expect, test } from 'bun:test'
import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { ids, now, runningApps, start } from '../scenes/running-app.ts'

const running = runningApps()
/** A Compose setting that Stagecraft does not read from `docker inspect`. */
const UNREADABLE = { blkio_config: { weight: 100 } }

describe('what ran before the first release', () => {
  test.each<[string, Service]>([
    ['a name', { container_name: 'web' }],
    ['data in an anonymous volume', { volumes: [{ type: 'volume', target: '/data' }] }],
    ['another container in its namespace', {}],
  ])('is recreated where two cannot run at once, and restored from what its container says: %s', async (_, more) => {
    const web = { image: 'web:one', environment: { SIZE: '1' }, ...more }
    const others: Record<string, Service> =
      'volumes' in more || 'container_name' in more ? {} : { side: { image: 'db:1', network_mode: 'service:web' } }
    const project = await running({ web, ...others })
    const before = project.view()
    now(project, { web: { ...web, image: 'web:bad', environment: { SIZE: '2' } }, ...others })
    expect((await project.plan()).services.find(({ service }) => service === 'web')).toMatchObject({
      action: 'recreate',
      why: 'it runs, but not with the definition in the Compose file',
    })
    expect((await project.deploy()).error?.hint).toBe('The previous containers are still running.')
    expect(project.view()).toEqual(before)
    now(project, { web: { ...web, image: 'web:two', environment: { SIZE: '2' } }, ...others })
    expect((await project.deploy()).error).toBeUndefined()
    expect(project.view()).not.toEqual(before)
    expect((await project.rollback()).error).toBeUndefined()
    expect(project.view()).toEqual(before)
    expect(project.releases().map(({ version }) => version)).toEqual(['adopted', 'v2', 'v1', 'adopted'])
  })

  test('is kept as a release of its own, so that the first rollback can restore it', async () => {
    const project = await running({
      web: { image: 'web:one', environment: { A: '1' }, scale: 2 },
      db: { image: 'db:1' },
    })
    const [before, db] = [project.view(), project.engine.ids('shop', 'db')]
    expect((await project.plan()).notes).toContain(
      'what runs is kept as the release adopted first: `stagecraft rollback` goes back there',
    )
    expect(project.releases()).toEqual([])
    now(project, { web: { image: 'web:two', environment: { A: '2' } }, db: { image: 'db:1' } })
    const { events, error, bundle } = await project.deploy()
    expect(error).toBeUndefined()
    const [, adopted] = project.releases()
    expect(events[0]).toEqual({ type: 'adopted', id: adopted?.id ?? '', version: 'adopted', containers: 3 })
    expect([adopted?.version, bundle?.served_before]).toEqual(['adopted', adopted?.id])
    expect((await project.rollback()).error).toBeUndefined()
    expect(project.view()).toEqual(before)
    expect(project.engine.ids('shop', 'db')).toEqual(db) // the release left it, so the rollback does
    expect((await project.rollback()).error?.message).toContain('no release before adopted')
  })

  test('is kept once, however often the first deploy fails, and again if it has changed', async () => {
    const project = await running({ web: { image: 'web:one' } })
    now(project, { web: { image: 'web:bad' } })
    for (const _ of [1, 2]) expect((await project.deploy()).error?.kind).toBe('failed')
    const versions = () => project.releases().map(({ version }) => version)
    expect(versions()).toEqual(['v2', 'v1', 'adopted'])
    await start(project, { web: { image: 'web:two' } })
    now(project, { web: { image: 'web:bad' } })
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect(versions()).toEqual(['v3', 'adopted', 'v2', 'v1', 'adopted'])
  })

  test('is reported as not kept if the engine has lost an image', async () => {
    const project = await running({ web: { image: 'web:one' } })
    const [id] = Object.entries(project.engine.state.images).find(([, { content }]) => content === 'one') ?? []
    delete project.engine.state.images[id ?? '']
    now(project, { web: { image: 'web:two' } })
    const { events } = await project.deploy()
    expect(events[0]).toMatchObject({
      type: 'warning',
      message: 'what runs cannot be kept for a rollback: the engine does not have the image of web any more',
    })
    expect(project.releases().map(({ version }) => version)).toEqual(['v1'])
  })

  test('is not kept if it contains an invalid name: no file is written that could not be read again', async () => {
    const project = await running({ web: { image: 'web:one' } })
    const [one] = project.engine.state.containers
    if (one === undefined) throw new Error('nothing runs')
    const odd = { ...one, id: 'f'.repeat(64), name: 'odd', service: '../../x' }
    project.engine.state.containers = [{ ...one, definition: { ...one.definition, image: 'a b' } }, odd]
    now(project, { web: { image: 'web:two' } })
    const { events, error } = await project.deploy()
    expect(error).toBeUndefined()
    expect(events[0]).toMatchObject({ type: 'warning' })
    expect(JSON.stringify(events[0])).toContain(
      'what runs cannot be kept for a rollback: images.web.name is not a name',
    )
    expect(project.releases().map(({ version }) => version)).toEqual(['v1'])
  })

  test('is not touched if there is no space to keep it, and the next command says so', async () => {
    const project = await running({ web: { image: 'web:one' } })
    const before = [ids(project), project.view()]
    now(project, { web: { image: 'web:two' } })
    project.write('.stagecraft/empty', '')
    symlinkSync('/proc/no/such/folder', join(project.folder, '.stagecraft/releases'))
    const { error } = await project.deploy()
    expect([error?.kind, error?.hint?.split('\n').at(-1)]).toEqual([
      'state',
      'Nothing has been changed: what runs is kept before that.',
    ])
    expect([ids(project), project.view()]).toEqual(before)
    rmSync(join(project.folder, '.stagecraft/releases'))
    const { events } = await project.deploy()
    expect(events[0]).toMatchObject({ type: 'recovery', version: 'adopted', outcome: 'nothing' })
    expect((await project.rollback()).error).toBeUndefined()
    expect(project.view()).toEqual(before[1] as string[])
  })

  test('is reported with what a rollback could not restore of it', async () => {
    const project = await running({ web: { image: 'web:one', ...UNREADABLE } })
    now(project, { web: { image: 'web:two' } })
    const said = 'a rollback to what runs now does not restore all of it: web: its setting BlkioWeight is left out'
    expect((await project.plan()).notes).toContain(said)
    expect((await project.deploy()).events[0]).toEqual({ type: 'warning', message: said })
  })

  test('keeps what only the Compose file says, such as hooks, if it was created from that file', async () => {
    const web: Service = { image: 'web:one', post_start: [{ command: ['true'], privileged: true }] }
    const project = await running({ web })
    const lost =
      'a rollback to what runs now does not restore all of it: web: only the Compose file has post_start, which a rollback restores only if it was started from the Compose file as it is now'
    expect((await project.plan()).notes).toContain(lost)
    project.engine.addImage('web:one', 'two') // somebody moved the tag
    expect((await project.deploy()).error).toBeUndefined()
    const [, adopted] = project.releases()
    expect(project.model(adopted).services['web']?.['post_start']).toEqual(web['post_start'])
    expect((await project.rollback()).error).toBeUndefined()
    expect(project.view()).toEqual(['web of one running on shop_default'])
  })

  test('keeps its data: the first release does not start with another volume at the same path', async () => {
    const at = (source?: string): Service => ({
      image: 'web:one',
      volumes: [{ type: 'volume', target: '/data', ...(source ? { source } : {}) }],
    })
    const cases: [Service, Service, string][] = [
      [at('old'), at('new'), 'Cannot start web with volume shop_new: its data is in volume shop_old'],
      [at(), at('new'), 'Cannot start web with volume shop_new: its data is in the volume '],
    ]
    for (const [was, is, message] of cases) {
      const project = await running({ web: was })
      const before = [ids(project), project.view()]
      now(project, { web: is })
      await expect(project.plan()).rejects.toThrow(message)
      const { error } = await project.deploy()
      expect([error?.kind, error?.message.startsWith(message)]).toEqual(['config', true])
      expect([ids(project), project.view(), project.releases()]).toEqual([...before, []])
      project.engine.state.volumes.push('shop_new') // it was copied
      expect((await project.deploy()).error).toBeUndefined()
    }
    const project = await running({ web: at('old') })
    now(project, {
      web: {
        ...at('old'),
        volumes: [...(at('old').volumes ?? []), { type: 'volume', source: 'new', target: '/more' }],
      },
    })
    expect((await project.deploy()).error).toBeUndefined() // more data is not other data
  })
})
