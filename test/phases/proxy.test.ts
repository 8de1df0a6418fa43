import { describe, expect, test } from 'bun:test'
import { PROXY } from '../../lib/plan/routes/table.ts'
import { story } from '../fakes/project.ts'
import { byHand } from '../fakes/proxy.ts'
import { deployed, write } from '../scenes/routed.ts'
import { answer, callApi, ids, routedProjects, slots } from '../scenes/routed-projects.ts'

const { serving } = routedProjects()

describe('the proxy', () => {
  test('is recreated by the next deploy if it was removed, with the routes of the live release', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'rm', '--force', PROXY)
    expect(answer(project)).toEqual(['nobody'])
    const { events } = await deployed(project)
    expect(answer(project)).toEqual(['web one'])
    expect(story(events)).toContain('  proxy start: this host has none yet (caddy:2)')
    expect(callApi(project)).toEqual(['api one'])
  })

  test('gets its routes back if its volume is lost too, before anything new is tried', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'rm', '--force', PROXY)
    project.engine.state.proxy.volume = undefined
    write(project, { web: 'bad web' })
    const { error } = await project.deploy()
    expect([error?.kind, answer(project), callApi(project)]).toEqual(['failed', ['web one'], ['api one']])
  })

  test('gets its routes again if it lost them, and that is reported', async () => {
    const project = await serving()
    const { volume } = project.engine.state.proxy
    if (volume) volume.live = {}
    expect(answer(project)).toEqual(['503'])
    const { events } = await deployed(project)
    expect([answer(project), callApi(project)]).toEqual([['web one'], ['api one']])
    expect(story(events)).toContain('  proxy mend: its routes are not those of the live release')
  })

  test('is started if it was stopped', async () => {
    const project = await serving()
    await byHand(project.engine.exec, 'stop', PROXY)
    const { events } = await deployed(project)
    expect(story(events)).toContain('  proxy start: it is exited')
    expect(answer(project)).toEqual(['web one'])
  })

  test('is recreated from another image, with its networks', async () => {
    const project = await serving()
    const before = project.engine.proxy.view().map((line) => line.replace('caddy 2', 'caddy 2.10'))
    write(project, { environment: 'proxy: {image: "caddy:2.10"}' })
    const { events } = await deployed(project)
    expect(story(events)).toContain(
      '  proxy upgrade: from caddy:2 to caddy:2.10: for about a second no route of any project on this host answers',
    )
    expect([project.engine.proxy.view(), answer(project)]).toEqual([before, ['web one']])
  })

  test('is left as it was if the other image is not a Caddy', async () => {
    const project = await serving()
    const before = project.engine.proxy.view()
    project.engine.registry['nginx:1'] = 'nginx'
    write(project, { environment: 'proxy: {image: "nginx:1"}' })
    expect((await project.deploy()).error?.message).toBe(
      'Cannot recreate the proxy from nginx:1: that image cannot load the current routes',
    )
    expect([project.engine.proxy.view(), answer(project)]).toEqual([before, ['web one']])
  })

  test.each([
    ['removed', ['rm', '--force', PROXY]],
    ['stopped', ['stop', PROXY]],
  ])('that was %s while a dead run had only to retire is no obstacle', async (_, command) => {
    const project = await serving()
    write(project, { web: 'web two' })
    expect(
      await project.dieAt(
        (argv) => argv.includes('stagecraft-drained'),
        'none',
        () => project.deploy(),
      ),
    ).toBe(true)
    await byHand(project.engine.exec, ...command)
    await deployed(project)
    expect([answer(project), ids(project).length, slots(project)]).toEqual([['web two'], 1, ['api.a', 'web.b']])
  })
})
