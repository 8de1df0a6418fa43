import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isAsReleased } from '../../lib/status/environment.ts'
import { containers, deployed, drift, look, printed, shops } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'

const shop = shops()

describe('where little is known', () => {
  test('nothing has been deployed: the engine is not even asked', async () => {
    const project = shop()
    const status = await look(project)
    expectGolden('commands/status.md', 'nothing', printed(project, status))
    expect([isAsReleased(status), project.engine.calls, existsSync(join(project.folder, '.stagecraft'))]).toEqual([
      false,
      [],
      false,
    ])
  })

  test('no release was live yet: what there is of the Compose project is reported', async () => {
    const project = shop()
    project.engine.behave = ({ service }) => (service === 'cache' ? { exit: 1 } : undefined)
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect((await look(project)).drift).toEqual([])
    const other = await deployed(shop())
    project.engine.state.containers = containers(other, 'cache').map((one) => ({ ...one, file: '/srv/compose.yaml' }))
    const status = await look(project)
    expect(printed(project, status).split('\n')[0]).toBe('local: no release is live yet')
    expect(drift(status)).toEqual(['container shop-cache-1: it belongs to no release'])
    expect(isAsReleased(status)).toBe(false)
  })

  test('the engine does not answer: the release, the history and the lock are shown all the same', async () => {
    const project = await deployed(shop())
    const said = { code: 1, stderr: 'Cannot connect to the Docker daemon at unix:///nowhere. Is it running?' }
    project.engine.intercept = () => ({ damage: 'none', result: said })
    const hold = { user: 'ana', machine: 'web-1', since: '2026-11-22T08:00:00.000Z', message: 'moving the database' }
    const status = await look(project, { locked: false, hold })
    expectGolden('commands/status.md', 'unreachable', printed(project, status))
    expect([status.engineError?.kind, isAsReleased(status)]).toEqual(['unreachable', false])
  })
})
