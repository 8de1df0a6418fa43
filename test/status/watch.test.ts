import { describe, expect, test } from 'bun:test'
import { openDocker } from '../../lib/docker/client.ts'
import { usageOf } from '../../lib/docker/stats.ts'
import { openSettings } from '../../lib/project/open.ts'
import { environmentStatus } from '../../lib/status/environment.ts'
import { figuresOf, NO_FIGURES } from '../../lib/status/figures.ts'
import { formatWatched } from '../../lib/status/watch-format.ts'
import { isQuestion } from '../fakes/engine.ts'
import type { FakeProject } from '../fakes/project.ts'
import { newRouted } from '../scenes/routed.ts'
import { addHand, changeHand, deployed, HOUR, shops } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const shop = shops()
const temporary = temporaries()

async function watched(project: FakeProject) {
  const { exec, clock } = project.engine
  const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
  const world = { exec, clock: clock.now }
  const status = await environmentStatus(settings, world, [], 'running')
  const figures = await figuresOf(settings, status, world)
  return { status, figures, lines: formatWatched(status, figures, clock.now(), (_, text) => text) }
}

describe('what --watch shows', () => {
  test('is a row for each container and each route', async () => {
    const project = await deployed(temporary(newRouted('watch')))
    project.engine.state.now += 3 * HOUR
    const { lines, status, figures } = await watched(project)
    expectGolden('commands/status.md', 'watched', lines.join('\n'))
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(figures.usage.size).toBe(status.services?.length ?? 0)
  })

  test('is also what is not as released, and a container of another version', async () => {
    const project = await deployed(shop())
    changeHand(project, 'web', ({ name }) => (name.endsWith('1') ? { state: 'stopped' } : {}))
    project.engine.state.containers = project.engine.state.containers.filter(({ service }) => service !== 'cache')
    addHand(project, 'db', { name: 'shop-old-1', service: 'old' })
    const { lines } = await watched(project)
    expectGolden('commands/status.md', 'watched-drift', lines.join('\n'))
  })

  test('changes nothing, and asks neither databases nor files', async () => {
    const project = await deployed(shop())
    project.engine.calls = []
    const { status } = await watched(project)
    expect(project.engine.calls.filter((argv) => !isQuestion(argv))).toEqual([])
    expect([status.databases, status.copies]).toEqual([[], []])
  })

  test('has no figures of a container that has just gone, and none of an engine that does not answer', async () => {
    const project = await deployed(shop())
    const { status, figures } = await watched(project)
    const docker = openDocker(project.engine.exec, (text) => text)
    const [gone = '', ...left] = [...figures.usage.keys()]
    project.engine.state.containers = project.engine.state.containers.filter(({ id }) => id !== gone)
    expect([...(await usageOf(docker, [gone, ...left])).keys()]).toEqual(left)
    expect(await usageOf(docker, [gone])).toEqual(new Map())
    project.engine.intercept = () => ({ damage: 'none', result: { stderr: 'Cannot connect to the Docker daemon' } })
    const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
    const world = { exec: project.engine.exec, clock: project.engine.clock.now }
    expect(await figuresOf(settings, status, world)).toEqual(NO_FIGURES)
  })
})
