import { describe, expect, test } from 'bun:test'
import { findForgetting } from '../../lib/record/bundle/own.ts'
import { isQuestion } from '../fakes/engine.ts'
import { expectFresh, recoveries, twoReleases } from '../scenes/down.ts'
import { newShop, told } from '../scenes/shop.ts'
import { stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

describe('a run that dies at any docker command', () => {
  test.each([{}, { history: true }])(
    'of down %p: the same again takes all away, and a deploy instead repairs',
    async (wish) => {
      const project = await twoReleases(temporary(newShop('dead-down')))
      const [engine, view] = [structuredClone({ ...project.engine.state }), project.view()]
      const anew = () => {
        project.engine.restore(engine)
        project.comeBack()
      }
      project.keep()
      project.engine.calls = []
      await project.down(wish)
      const changes = project.engine.calls.flatMap((argv, at) => (isQuestion(argv) ? [] : [at + 1]))
      expect(changes.length).toBeGreaterThan('history' in wish ? 8 : 5)
      for (const at of changes)
        for (const damage of ['none', 'half', 'all'] as const) {
          anew()
          expect(await project.dieAt(at, damage, () => project.down(wish))).toBe(true)
          const left = structuredClone({ ...project.engine.state })
          const begun = findForgetting(project.stateFile, 'local') !== undefined
          project.keep('dead')
          const again = await project.down(wish)
          // The recovery has removed what was left, and then there is nothing to take down.
          expect([again.error?.kind, recoveries(again).length]).toEqual(begun ? ['not-found', 1] : [undefined, 0])
          if ('history' in wish) await expectFresh(project)
          else expect([project.view(), project.releases().length]).toEqual([[], 2])
          project.engine.restore(left)
          project.comeBack('dead')
          const next = await project.deploy({ version: 'v4' })
          expect([told(next), project.view(), project.releases().length]).toEqual(['no error', view, begun ? 1 : 3])
        }
    },
  )

  test('status and a rollback after it say what became of the history', async () => {
    const project = await twoReleases(temporary(newShop('dead-down')))
    await project.dieAt(
      (argv) => argv[1] === 'rmi',
      'none',
      () => project.down({ history: true }),
    )
    const { stdout } = await stagecraftHere(['status'], { cwd: project.folder })
    expect(stdout.split('\n')[0]).toBe(
      'local: down, and its history is being removed; if that was interrupted, the next command finishes it',
    )
    const outcome = await project.rollback()
    const said = recoveries(outcome).map((message) => `recovery: ${message.replace('tester', 'ana')}`)
    expectGolden('commands/down.md', 'history-recovery', said.join('\n'))
    expect(outcome.error?.kind).toBe('not-found')
    await expectFresh(project)
  })
})
