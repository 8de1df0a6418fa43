import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { readOwners } from '../../lib/hosts/owners.ts'
import { findForgetting } from '../../lib/record/bundle/own.ts'
import { isQuestion } from '../fakes/engine.ts'
import { FakeFleet } from '../fakes/fleet.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { newShop, told } from '../scenes/shop.ts'
import { stagecraftHere } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'

const projects: { remove(): void }[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

/** The shop with two releases. */
async function twoReleases(title: string): Promise<FakeProject> {
  const project = newShop(title)
  projects.push(project)
  expect((await project.deploy({ version: 'v1' })).error).toBeUndefined()
  project.engine.sources = { web: 'web two' }
  expect((await project.deploy({ version: 'v2' })).error).toBeUndefined()
  return project
}

const tags = (project: FakeProject) => Object.keys(project.engine.state.tags).filter((tag) => tag.startsWith('shop-'))
const folders = (project: FakeProject, name: string) => {
  const folder = join(project.folder, '.stagecraft', name)
  return existsSync(folder) ? readdirSync(folder) : []
}
const owners = async (project: FakeProject) => [
  ...(await readOwners(openDocker(project.engine.exec, (text) => text))).keys(),
]
const recoveries = ({ events }: Outcome) =>
  events.flatMap((event) => (event.type === 'recovery' ? [event.message] : []))

/** Nothing is known of the environment any more, and a deploy is a first one. */
async function expectFresh(project: FakeProject): Promise<void> {
  expect([project.view(), project.releases(), folders(project, 'releases'), tags(project)]).toEqual([[], [], [], []])
  expect(await owners(project)).toEqual([])
  const first = await project.deploy({ version: 'v3' })
  expect([told(first), first.bundle?.served_before, first.release?.previous_id]).toEqual([
    'no error',
    undefined,
    undefined,
  ])
}

describe('down --history', () => {
  test('removes records, bundles and images; a deploy is the first one then', async () => {
    const project = await twoReleases('history')
    expect(tags(project)).not.toEqual([])
    expect(told(await project.down({ history: true }))).toBe('no error')
    await expectFresh(project)
  })

  test('may come after a down', async () => {
    const project = await twoReleases('history')
    await project.down()
    expect(project.releases()).toHaveLength(2)
    expect(told(await project.down({ history: true }))).toBe('no error')
    await expectFresh(project)
  })

  test('keeps the history of other environments in the same file, byte for byte, and their images', async () => {
    const project = newShop('history')
    projects.push(project)
    project.write('stagecraft.yml', 'environments: {local: {}, other: {compose_project: else}}')
    expect(told(await project.deploy({ version: 'v1', environment: 'other' }))).toBe('no error')
    const [before, kept] = [readFileSync(project.stateFile, 'utf8'), project.releases()]
    const [images, names] = [Object.keys(project.engine.state.tags), folders(project, 'releases')]
    expect(told(await project.deploy({ version: 'v1', environment: 'local' }))).toBe('no error')
    expect(told(await project.down({ history: true }, 'local'))).toBe('no error')
    expect(readFileSync(project.stateFile, 'utf8')).toBe(before)
    expect([project.releases(), folders(project, 'releases')]).toEqual([kept, names])
    expect(Object.keys(project.engine.state.tags)).toEqual(expect.arrayContaining(images))
  })

  test('of releases whose bundles are gone removes the records', async () => {
    const project = await twoReleases('history')
    await project.down()
    for (const id of folders(project, 'releases'))
      Bun.spawnSync(['rm', '-r', join(project.folder, '.stagecraft/releases', id)])
    expect((await project.down()).error?.kind).toBe('not-found')
    expect(told(await project.down({ history: true }))).toBe('no error')
    expect(project.releases()).toEqual([])
    expect((await project.down({ history: true })).error?.kind).toBe('not-found')
  })
})

describe('a run that dies at any docker command', () => {
  test.each([{}, { history: true }])(
    'of down %p: the same again takes all away, and a deploy instead repairs',
    async (wish) => {
      const project = await twoReleases('dead-down')
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
    const project = await twoReleases('dead-down')
    await project.dieAt(
      (argv) => argv[1] === 'rmi',
      'none',
      () => project.down({ history: true }),
    )
    const { stdout } = await stagecraftHere(['status'], { cwd: project.folder })
    expect(stdout.split('\n')[0]).toBe(
      'local: down, and its history is being removed; if that was interrupted, the next command ends it',
    )
    const outcome = await project.rollback()
    const said = recoveries(outcome).map((message) => `recovery: ${message.replace('tester', 'ana')}`)
    expectGolden('commands/down.md', 'history-recovery', said.join('\n'))
    expect(outcome.error?.kind).toBe('not-found')
    await expectFresh(project)
  })
})

test('on several hosts all of it goes, and a host that is lost is finished later', async () => {
  const fleet = new FakeFleet('history')
  projects.push(fleet)
  fleet.write({ web: { image: 'web:1' } })
  const deploy = (version: string) => fleet.project.deploy({ version, environment: 'prod' })
  expect(told(await deploy('v1'))).toBe('no error')
  fleet.onCommand = (name, argv) => {
    if (name === 'b' && argv[1] === 'rm') fleet.lost.add('b')
  }
  const lost = await fleet.project.down({ history: true }, 'prod')
  expect([lost.error?.kind, fleet.project.releases().length]).toEqual(['unreachable', 1])
  fleet.onCommand = () => {}
  fleet.lost.clear()
  expect(told(await fleet.project.down({ history: true }, 'prod'))).toBe('no error')
  expect([fleet.project.releases(), fleet.view('a'), fleet.view('b'), fleet.view('c')]).toEqual([[], [], [], []])
  expect(told(await deploy('v2'))).toBe('no error')
})
