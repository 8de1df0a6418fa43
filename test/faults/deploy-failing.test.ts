import { afterEach, describe, expect, test } from 'bun:test'
import { readBundle } from '../../lib/record/bundle.ts'
import { exitCodeOf, StagecraftError } from '../../lib/util/errors.ts'
import { type Damage, isQuestion } from '../fakes/engine.ts'
import type { FakeProject } from '../fakes/project.ts'
import { NEW, OLD, prepareBigChange, serving, told } from '../scenes/shop.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

const NO_DAMAGE: Damage[] = ['none']
const DAMAGES: Damage[] = ['none', 'half', 'all']

async function prepared() {
  const change = await prepareBigChange('failing')
  projects.push(change.project)
  return change
}

describe('whichever command of a deploy fails', () => {
  test('all that is live is old or all is new, and the next deploy repairs it', async () => {
    const { start, calls, commands } = await prepared()
    const wrong = new Map<string, string>()
    for (const [index, argv] of calls.entries())
      for (const damage of isQuestion(argv) ? NO_DAMAGE : DAMAGES) {
        const project = start()
        project.engine.intercept = (_, count) => (count === index + 1 ? { damage } : undefined)
        for (const what of await tryOut(project)) wrong.set(what, `${commands[index]} (${damage})`)
      }
    expect(wrong).toEqual(new Map())
  })

  test('or is interrupted by a signal, the same holds', async () => {
    const { start, commands } = await prepared()
    const wrong = new Map<string, string>()
    for (const [index, line] of commands.entries()) {
      const project = start()
      const controller = new AbortController()
      project.engine.intercept = (_, count) => {
        if (count === index + 1) controller.abort(15)
        return undefined
      }
      for (const what of await tryOut(project, controller.signal)) wrong.set(what, line)
    }
    expect(wrong).toEqual(new Map())
  })

  /** @returns what is not as it has to be, after a deploy that may fail and one that must not. */
  async function tryOut(project: FakeProject, signal?: AbortSignal): Promise<string[]> {
    const releases = project.releases().length
    const outcome = await project
      .deploy(signal ? { signal } : {})
      .catch((error: StagecraftError) => ({ error, bundle: undefined }))
    const made = project.releases().length > releases
    const kind = outcome.error?.kind
    const [now, switched] = [serving(project), made && outcome.bundle?.switched_at !== undefined]
    const wrong: string[] = []
    const expected = switched ? NEW : OLD
    const atLeast = expected.every((line) => now.includes(line)) // after the commit point old ones may be left
    if (switched ? !atLeast : !Bun.deepEquals(now, expected)) wrong.push(`${kind}: runs ${now.join('; ')}`)
    const kinds = switched ? [undefined, 'after-commit'] : ['failed', 'unreachable', 'config']
    if (!kinds.includes(kind)) wrong.push(`${switched ? 'new' : 'old'} serves, but the error is ${told(outcome)}`)
    if (project.engine.state.networks['shop_back']?.definition.includes(switched ? 'two' : 'one') !== true)
      wrong.push(`network: ${JSON.stringify(project.engine.state.networks)}`)
    if (signal && !switched && ![143, 3].includes(exitCodeOf(outcome.error)))
      wrong.push(`exit ${exitCodeOf(outcome.error)}`)
    project.engine.intercept = () => undefined
    const next = await project.deploy()
    if (next.error) wrong.push(`next deploy: ${told(next)}`)
    if (!Bun.deepEquals(serving(project), NEW)) wrong.push(`after the next deploy runs ${serving(project).join('; ')}`)
    return wrong
  }
})

describe('a commit point that cannot be kept on a host', () => {
  const isWritten = (project: FakeProject) => {
    const [release] = project.releases()
    return release !== undefined && readBundle(project.stateFile, release.id)?.switched_at !== undefined
  }

  test.each([1, 99])(
    'has not happened: the previous release is restored, and no later write says otherwise (%p times)',
    async (times) => {
      const { start } = await prepared()
      const project = start()
      const before = project.releases().length
      let left = times
      const afterwards: boolean[] = []
      const persist = async () => {
        if (project.releases().length === before) return
        if (left < times) afterwards.push(isWritten(project))
        if (left === times ? !isWritten(project) : left <= 0) return
        left--
        throw new StagecraftError('state', 'Cannot write it on the host')
      }
      const { error, bundle } = await project.deploy({ persist })
      expect(left).toBeLessThan(times)
      expect([error instanceof StagecraftError, bundle?.switched_at]).toEqual([true, undefined])
      expect(afterwards.filter(Boolean)).toEqual([])
      if (times === 1) expect([error?.kind, serving(project)]).toEqual(['state', OLD])
      expect((await project.deploy()).error).toBeUndefined()
      expect(serving(project)).toEqual(NEW)
    },
  )
})
