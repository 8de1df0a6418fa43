import { describe, expect, test } from 'bun:test'
import { volumeName } from '../fakes/volumes.ts'
import { has, isCopy, isCreate, lines, liveProjects, release, write } from '../scenes/renewal.ts'
import { expectGolden } from '../support/golden.ts'

const live = liveProjects()

describe('a rollout that fails', () => {
  test('restores the old files, and removes those of the failed release', async () => {
    const project = await live()
    release(project, 'bad')
    const { error } = await project.deploy()
    expect([error?.kind, has(project)]).toEqual(['failed', ['one']])
    expect(Object.values(project.engine.state.filled)).toEqual(['one'])
    expect(project.engine.state.compared).toEqual({})
    release(project, 'two')
    await project.deploy()
    expect(has(project)).toEqual(['two'])
  })

  test('keeps what the failed release has written, and names its volume', async () => {
    const project = await live()
    let volume = ''
    project.engine.behave = ({ content }) => (content === 'bad' ? { exit: 1, after: 1_000 } : undefined)
    release(project, 'bad')
    project.engine.intercept = (argv) => {
      const [web] = project.engine.containersOf('shop')
      const isNew = argv[1] === 'container' && project.engine.state.images[web?.image ?? '']?.content === 'bad'
      if (isNew && web && volume === '') {
        volume = web.anonymous
        write(project, 'mine')
      }
      return undefined
    }
    const outcome = await project.deploy()
    expect([outcome.error?.kind, has(project)]).toEqual(['failed', ['one']])
    expect(project.engine.state.filled[volume]).toBe('mine')
    const said = lines(outcome, 'warning').replace(volumeName(volume), '<volume>')
    expectGolden('core/phases.md', 'left', said)
  })

  test('restores what was kept, with what was written to it', async () => {
    const project = await live()
    write(project, 'mine')
    release(project, 'bad')
    const { error } = await project.deploy()
    expect([error?.kind, has(project)]).toEqual(['failed', ['mine']])
  })

  const dies = [
    ['before the container to compare with is made', isCreate, 'none'],
    ['once it is made', isCreate, 'all'],
    ['while it is read', isCopy, 'all'],
    [
      'before it is removed',
      (argv: readonly string[]) => argv.at(-1) === 'stagecraft-volumes-shop' && argv[1] === 'rm',
      'none',
    ],
    ['while the service stops', (argv: readonly string[]) => argv[1] === 'stop', 'all'],
    ['before it is recreated', (argv: readonly string[]) => argv.includes('--renew-anon-volumes'), 'none'],
    ['halfway in that', (argv: readonly string[]) => argv.includes('--renew-anon-volumes'), 'half'],
    ['once it is recreated', (argv: readonly string[]) => argv.includes('--renew-anon-volumes'), 'all'],
    ['when the old volumes are removed', (argv: readonly string[]) => argv[1] === 'volume', 'none'],
  ] as const
  test.each(dies)(
    'a run that dies %s: the next command restores the volumes, and leaves nothing behind',
    async (_, which, damage) => {
      const project = await live()
      const before = project.view()
      release(project, 'two')
      expect(await project.dieAt(which, damage, () => project.deploy())).toBe(true)
      expect((await project.recover()).error).toBeUndefined()
      expect([project.view(), has(project), project.engine.state.compared]).toEqual([before, ['one'], {}])
      expect((await project.deploy()).error).toBeUndefined()
      expect([has(project), project.engine.state.compared]).toEqual([['two'], {}])
    },
  )

  test.each(dies)('a run that dies %s: what was written is not lost', async (_, which, damage) => {
    const project = await live()
    write(project, 'mine')
    release(project, 'two')
    await project.dieAt(which, damage, () => project.deploy())
    await project.recover()
    expect(has(project)).toEqual(['mine'])
    await project.deploy()
    expect([has(project), project.engine.state.compared]).toEqual([['mine'], {}])
  })
})
