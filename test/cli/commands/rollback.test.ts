import { describe, expect, test } from 'bun:test'
import type { Service } from '../../../lib/compose/model.ts'
import type { FakeProject } from '../../fakes/project.ts'
import { newApplication } from '../../scenes/rollbacks.ts'
import { stagecraftHere } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'
import { temporaries } from '../../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>) => temporary(newApplication(services))

describe('stagecraft rollback', () => {
  const ID = 'rel-20261122-080225643'

  /** Gives the oldest release the id that the spec shows. */
  async function command(project: FakeProject, oldest: string, ...args: string[]) {
    const { exit, stdout, stderr } = await stagecraftHere(['rollback', ...args], { cwd: project.folder })
    return { exit, stdout, stderr: stderr.replaceAll(oldest, ID) }
  }

  test('says why it cannot', async () => {
    const project = shop()
    project.engine.sources = { web: 'one' }
    const { release } = await project.deploy()
    const id = release?.id ?? ''
    const serves = await command(project, id, '--to-release', id)
    expectGolden('commands/rollback.md', 'serves', serves.stderr)
    const before = await command(project, id)
    expectGolden('commands/rollback.md', 'nothing-before', before.stderr)
    project.engine.behave = ({ content }) => (content === 'bad' ? { exit: 1 } : undefined)
    project.engine.sources = { web: 'bad' }
    await project.deploy()
    const never = await command(project, id, '--to-version', 'v2')
    expectGolden('commands/rollback.md', 'never-completed', never.stderr)
    expect([serves, before, never].map(({ exit, stdout }) => `${exit}${stdout}`)).toEqual(['4', '4', '4'])
  })

  test.each([
    [['--to-previous', '--to-release', 'rel-1']],
    [['--to-release', 'rel-1', '--to-version', 'v1']],
    [['--to-previous', '--to-version', 'v1']],
  ])('%p is wrong usage: one target at most', async (args) => {
    const project = shop()
    const { exit, stderr } = await command(project, 'none', ...args)
    expect([exit, stderr.split('\n')[0]]).toEqual([
      2,
      'Cannot roll back to several releases: more than one --to-… is given',
    ])
  })

  test('of an environment that is not there is exit 4', async () => {
    expect((await command(shop(), 'none', '--env', 'nowhere')).exit).toBe(4)
    expect((await command(shop(), 'none')).exit).toBe(4)
  })
})
