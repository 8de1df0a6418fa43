import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { type FakeProject, story } from '../fakes/project.ts'
import { has, isCopy, isCreate, lines, liveProjects, release, warning, write } from '../scenes/renewal.ts'
import { expectGolden } from '../support/golden.ts'

const live = liveProjects()

describe('anonymous volumes of a service that is recreated from another image', () => {
  test('start with its files if nothing was written to them, and the old ones are removed', async () => {
    const project = await live()
    const old = Object.keys(project.engine.state.filled)
    release(project, 'two')
    project.engine.calls = []
    const outcome = await project.deploy()
    expect([outcome.error, has(project)]).toEqual([undefined, ['two']])
    expectGolden('core/phases.md', 'renewed', lines(outcome, 'service').split('\n').slice(0, 2).join('\n'))
    expect(old.filter((name) => name in project.engine.state.filled)).toEqual([])
    expect(project.engine.state.compared).toEqual({})
    // An image that Compose built has a label with its project.
    const [create = []] = project.engine.calls.filter(isCreate)
    for (const label of ['com.docker.compose.project=', 'com.docker.compose.service=', 'stagecraft.project=shop'])
      expect(create[create.indexOf(label) - 1]).toBe('--label')
    expect(await project.rollback()).toMatchObject({ error: undefined })
    expect(has(project)).toEqual(['one'])
  })

  test('are compared again when the service has stopped: it may write while it stops', async () => {
    const project = await live()
    release(project, 'two')
    project.engine.intercept = (argv) => {
      if (argv[1] === 'stop') write(project, 'what it had in memory')
      return undefined
    }
    const outcome = await project.deploy()
    expect([outcome.error, has(project)]).toEqual([undefined, ['what it had in memory']])
    expect(warning(outcome)).toMatchObject({ message: expect.stringContaining('somebody has written to /data') })
  })

  test('are kept if any of the replicas was written to, and that is reported with what to do', async () => {
    const project = await live({ scale: 2 })
    write(project, 'mine', 1)
    release(project, 'two', { scale: 2 })
    const outcome = await project.deploy()
    expect([outcome.error, has(project).toSorted()]).toEqual([undefined, ['mine', 'one']])
    expect(story(outcome.events).filter((line) => line.includes('renew'))).toEqual([])
    const [first] = lines(outcome, 'warning').split('\n  hint: ')
    expect(first).toBe(
      'warning: web keeps what it has in /data, also the files of its old image: somebody has written to /data',
    )
    expect(outcome.bundle?.old_volumes).toHaveLength(2)
  })

  test('the warning is the one in the spec, and what it advises works', async () => {
    const project = await live()
    write(project, 'mine')
    release(project, 'two')
    const outcome = await project.deploy()
    expectGolden('core/phases.md', 'kept', lines(outcome, 'warning'))
    await project.engine.exec(['docker', 'rm', '-fv', ...project.engine.ids('shop', 'web')])
    await project.deploy()
    expect(has(project)).toEqual(['two'])
  })

  test('are kept if they were kept once, whatever is in them now: they are from an older image', async () => {
    const project = await live()
    write(project, 'mine')
    release(project, 'two')
    await project.deploy()
    write(project, 'two') // the same as in the image, but not written by the image
    const settings = { environment: { A: '1' } }
    release(project, 'two', settings)
    await project.deploy() // the volume is carried over while the image is the same
    release(project, 'one', settings)
    const outcome = await project.deploy()
    expect(has(project)).toEqual(['two'])
    expect(warning(outcome)).toMatchObject({
      message: expect.stringContaining('what /data has is of an older image than that of the live release'),
    })
  })

  test('are renewed for a job too: it runs with the files of its image', async () => {
    const job = (content: string) => ({ job: { image: `web:${content}`, command: ['exit', '0'] } })
    const needs = { depends_on: { job: { condition: 'service_completed_successfully' } } } as const
    const project = await live(needs, job('one'))
    release(project, 'one', needs, job('two'))
    expect((await project.deploy()).error).toBeUndefined()
    expect(has(project).toSorted()).toEqual(['one', 'two'])
  })
})

describe('nothing is renewed on a guess', () => {
  const kept = async (project: FakeProject, why: string, image = 'two', web: Service = {}) => {
    release(project, image, web)
    const outcome = await project.deploy()
    expect([outcome.error, has(project)[0]]).toEqual([undefined, 'one'])
    expect(warning(outcome)).toMatchObject({ message: expect.stringContaining(`its old image: ${why}`) })
    expect(project.engine.state.compared).toEqual({})
  }

  test('if the container to compare with cannot be created', async () => {
    const project = await live()
    project.engine.intercept = (argv) =>
      isCreate(argv) ? { damage: 'none', result: { stderr: 'no space left on device' } } : undefined
    await kept(project, 'it cannot be compared with its image: no space left on device')
  })

  test('if creating it hangs', async () => {
    const project = await live()
    project.engine.intercept = (argv) => (isCreate(argv) ? 'hang' : undefined)
    await kept(project, 'it cannot be compared with its image: Cannot reach the Docker engine')
  })

  test('if it cannot be read, or not in time', async () => {
    const project = await live()
    project.engine.intercept = (argv) =>
      isCopy(argv) ? { damage: 'none', result: { stderr: 'Error: no such directory\nmore' } } : undefined
    await kept(project, '/data cannot be read: Error: no such directory')
    const slow = await live()
    slow.engine.intercept = (argv) => (isCopy(argv) ? 'hang' : undefined)
    await kept(slow, 'it takes longer than 10 s to compare /data')
  })

  test('if many replicas together take too long', async () => {
    const project = await live({ scale: 4 })
    project.engine.intercept = (argv) => {
      if (isCopy(argv)) project.engine.state.now += 3_000
      return undefined
    }
    await kept(project, 'it takes longer than 10 s to compare', 'two', { scale: 4 })
    expect(project.engine.calls.filter(isCopy)).toHaveLength(4)
  })

  test('if an archive is truncated, on both sides at the same place', async () => {
    const project = await live()
    project.engine.intercept = (argv) => (isCopy(argv) ? { damage: 'none', result: { code: 0 } } : undefined)
    await kept(project, '/data cannot be read')
  })

  test('if there is too much data', async () => {
    const project = await live()
    write(project, 'x'.repeat(65 * 1024 * 1024))
    release(project, 'two')
    const outcome = await project.deploy()
    expect(has(project)[0]).toHaveLength(65 * 1024 * 1024)
    expect(warning(outcome)).toMatchObject({ message: expect.stringContaining('/data has more than 64 MiB') })
    expect(project.engine.calls.filter(isCreate)).toEqual([])
  })

  test('if another container uses the volume', async () => {
    const project = await live()
    const [web] = project.engine.containersOf('shop')
    if (web === undefined) throw new Error('there is no web')
    project.engine.state.containers.push({ ...web, id: 'guest', project: 'other' })
    await kept(project, 'another container uses it too')
  })

  test('if Compose has to stop the service', async () => {
    const hook = { pre_stop: [{ command: 'true' }] }
    await kept(await live(hook), 'it has a pre_stop hook', 'two', hook)
  })
})

describe('where there is nothing to renew', () => {
  test('nothing is read: the same image, no anonymous volume, nothing to do', async () => {
    const project = await live()
    const quiet = async () => {
      project.engine.calls = []
      await project.deploy()
      const looks = project.engine.calls.filter((argv) => isCopy(argv) || isCreate(argv) || argv.includes('volume='))
      expect([looks, project.engine.calls.filter((argv) => argv.includes('--renew-anon-volumes'))]).toEqual([[], []])
    }
    await quiet()
    release(project, 'one', { environment: { A: '1' } })
    await quiet()
    expect(has(project)).toEqual(['one'])
    release(project, 'one', {}, { plain: { image: 'plain:1' } })
    project.engine.addImage('plain:1', 'plain one')
    await project.deploy()
    project.engine.addImage('plain:1', 'plain two')
    await quiet()
  })
})
