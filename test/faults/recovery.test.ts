import { afterEach, describe, expect, test } from 'bun:test'
import { type Damage, isQuestion } from '../fakes/engine.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { prepared, recoveries, removeProjects, unfinished } from '../scenes/dead-run.ts'
import { NEW, OLD, serving, told } from '../scenes/shop.ts'

afterEach(removeProjects)

/** Everything that must be true once a run that died has been repaired. @returns what is not */
function problemsAfter(project: FakeProject, mended: Outcome, hadRelease: boolean): string[] {
  const wrong: string[] = []
  if (mended.error) wrong.push(told(mended))
  const [recovery, ...more] = recoveries(mended)
  if (more.length > 0) wrong.push(`told ${more.length + 1} times`)
  if (hadRelease !== (recovery !== undefined)) wrong.push(`told: ${recovery?.message}`)
  if (unfinished(project).length > 0) wrong.push('a release is still running')
  if (mended.bundle?.journal !== undefined) wrong.push('the journal is still open')
  const switched = hadRelease && mended.bundle?.switched_at !== undefined
  if (hadRelease && switched !== (recovery?.outcome === 'finished')) wrong.push(`outcome ${recovery?.outcome}`)
  const now = serving(project)
  if (!Bun.deepEquals(now, switched ? NEW : OLD)) wrong.push(`runs ${now.join('; ')}`)
  if (project.engine.state.networks['shop_back']?.definition.includes(switched ? 'two' : 'one') !== true)
    wrong.push(`network: ${JSON.stringify(project.engine.state.networks)}`)
  return wrong
}

async function problemsNext(project: FakeProject): Promise<string[]> {
  const wrong: string[] = []
  const again = await project.recover()
  if (recoveries(again).length > 0) wrong.push(`told again: ${recoveries(again)[0]?.message}`)
  const next = await project.deploy()
  if (next.error) wrong.push(`next deploy: ${told(next)}`)
  if (!Bun.deepEquals(serving(project), NEW)) wrong.push(`after the next deploy runs ${serving(project).join('; ')}`)
  return wrong
}

const starts = (service: string) => (argv: readonly string[]) => argv.includes('up') && argv.includes(service)

const DAMAGES: Damage[] = ['none', 'half', 'all']

describe('a run that dies at any command', () => {
  test('is undone or finished by the next one, which says so once, and continues', async () => {
    const { start, calls, commands } = await prepared()
    const wrong = new Map<string, string>()
    for (const [index, argv] of calls.entries())
      for (const damage of isQuestion(argv) ? DAMAGES.slice(0, 1) : DAMAGES) {
        const project = start()
        const before = project.releases().length
        expect(await project.dieAt(index + 1, damage, () => project.deploy())).toBe(true)
        const hadRelease = project.releases().length > before
        const mended = await project.recover()
        const problems = [...problemsAfter(project, mended, hadRelease), ...(await problemsNext(project))]
        for (const what of problems) wrong.set(what, `${commands[index]} (${damage})`)
      }
    expect(wrong).toEqual(new Map())
  })

  test('the run that repairs it may die at any command too', async () => {
    const { start, calls, commands } = await prepared()
    const wrong = new Map<string, string>()
    const changing = [...calls.entries()].filter(([, argv]) => !isQuestion(argv))
    for (const [index] of changing)
      for (const damage of ['half', 'all'] as const)
        for (let at = 1 + (index % 2); at < 60; at += 2) {
          // every other one, in turn: test/faults/rolling.test.ts tries more
          const project = start()
          await project.dieAt(index + 1, damage, () => project.deploy())
          const hadRelease = unfinished(project).length > 0
          const again = await project.dieAt(at, at % 2 === 0 ? 'half' : 'all', () => project.recover())
          if (!again) break
          const left = unfinished(project).length > 0
          const mended = await project.recover()
          const problems = problemsAfter(project, mended, hadRelease && left).concat(await problemsNext(project))
          for (const what of problems) wrong.set(what, `${commands[index]} (${damage}), then ${at}`)
        }
    expect(wrong).toEqual(new Map())
  })

  test('a rollback repairs it as well', async () => {
    const { start } = await prepared()
    const project = start()
    await project.deploy()
    project.engine.sources = { web: 'web three' }
    await project.dieAt(starts('web'), 'half', () => project.deploy())
    const outcome = await project.rollback()
    expect(told(outcome)).toBe('no error')
    expect(recoveries(outcome).map(({ outcome }) => outcome)).toEqual(['undone'])
    expect(serving(project)).toEqual(OLD)
  })
})
