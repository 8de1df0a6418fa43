import { describe, expect, test } from 'bun:test'
import { openSettings } from '../../lib/project/open.ts'
import { readBundle, writeBundle } from '../../lib/record/bundle.ts'
import { environmentStatus, isAsReleased } from '../../lib/status/environment.ts'
import { composeModel } from '../fakes/compose-model.ts'
import type { FakeProject } from '../fakes/project.ts'
import { addHand, changeHand, containers, deployed, drift, HOUR, look, printed, shops } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'

const shop = shops()

describe('what is not as released', () => {
  test('is counted, and said with its reason', async () => {
    const project = await deployed(shop())
    const { state } = project.engine
    state.now += 3 * HOUR
    const [first] = containers(project, 'web')
    if (first) first.state = 'stopped'
    changeHand(project, 'cache', () => ({ hash: 'another' }))
    addHand(project, 'cache', { name: 'shop-old-1', service: 'old' })
    project.engine.addImage('postgres:17', 'postgres seventeen')
    changeHand(project, 'db', () => ({ image: state.tags['postgres:17'] }))
    const status = await look(project)
    expectGolden('commands/status.md', 'drift', printed(project, status))
    expect(isAsReleased(status)).toBe(false)
  })

  const cases: [string, (project: FakeProject) => void, string[]][] = [
    [
      'a service that was stopped',
      (project) => changeHand(project, 'cache', () => ({ state: 'stopped' })),
      ['service cache: it is not running (exited, exit code 0)'],
    ],
    [
      'a service that was changed by hand, and stopped',
      (project) => changeHand(project, 'cache', () => ({ state: 'stopped', hash: 'another' })),
      ['service cache: it is not running (exited, exit code 0)', 'service cache: it was changed by hand'],
    ],
    [
      'a service that is gone, and its network with it',
      (project) => {
        project.engine.state.containers = []
        project.engine.state.networks = {}
      },
      [
        'service cache: it does not exist any more',
        'service db: it does not exist any more',
        'service web: it does not exist any more',
        'network shop_default: it does not exist any more',
      ],
    ],
    [
      'one replica of two',
      (project) => {
        const [first] = containers(project, 'web')
        project.engine.state.containers = project.engine.state.containers.filter((one) => one !== first)
      },
      ['service web: only 1 of 2 containers exist'],
    ],
    [
      'more replicas than were released',
      (project) => addHand(project, 'web', { name: 'shop-web-3' }),
      ['service web: 3 containers, released with 2'],
    ],
    [
      'an unhealthy service, held or not, without secrets',
      (project) => changeHand(project, 'db', () => ({ behaviour: { health: 'unhealthy' } })),
      ['service db: it is unhealthy: the probe says unhealthy'],
    ],
    [
      'a service whose healthcheck has not passed yet',
      (project) => changeHand(project, 'db', () => ({ behaviour: { health: 'never' } })),
      ['service db: its healthcheck has not passed yet'],
    ],
    [
      'a service that is restarted again and again',
      (project) => changeHand(project, 'cache', () => ({ behaviour: { exit: 1, restarts: true } })),
      ['service cache: it is not running (restarting, exit code 1)'],
    ],
    [
      'a held service that is down',
      (project) => changeHand(project, 'db', () => ({ state: 'stopped' })),
      ['service db: it is not running (exited, exit code 0)'],
    ],
    [
      'a job that was run by hand and failed',
      (project) => changeHand(project, 'migrate', () => ({ behaviour: { exit: 3 } })),
      ['service migrate: it ended with exit code 3'],
    ],
  ]
  test.each(cases)('%s', async (_, change, expected) => {
    const project = await deployed(shop())
    change(project)
    const status = await look(project)
    expect(drift(status)).toEqual(expected)
    expect(isAsReleased(status)).toBe(false)
  })

  test('a network alone, a container that a release should have removed, and one of an earlier release', async () => {
    const project = await deployed(shop({ old: { image: 'redis:7' } }))
    const [first] = project.releases()
    const [left] = containers(project, 'old')
    const { old: _, ...services } = project.engine.model?.services ?? {}
    project.engine.model = composeModel('shop', { services })
    await deployed(project)
    if (left)
      project.engine.state.containers.push(left, { ...left, id: 'other', name: 'shop-older-1', service: 'older' })
    project.engine.state.networks = {}
    const bundle = readBundle(project.stateFile, project.releases()[0]?.id ?? '')
    if (bundle) writeBundle(project.stateFile, { ...bundle, retiring: ['old'] }) // as after a death in retire
    const status = await look(project)
    expect(drift(status)).toEqual([
      'network shop_default: it does not exist any more',
      'container shop-old-1: left over from old, which v2 no longer has',
      `container shop-older-1: it belongs to v1 (${first?.id})`,
    ])
    expect(printed(project, status)).toContain('; its services are as released, but something else is not\n')
  })

  test('what has stopped runs since never', async () => {
    const project = await deployed(shop())
    changeHand(project, 'cache', () => ({ state: 'stopped' }))
    expect(printed(project, await look(project))).toMatch(/\ncache +v1 +redis:7 +0\/1 +exited \(0\) +0 +-\n/)
  })

  test('a number of replicas that was set by hand before the release is as released', async () => {
    const project = await deployed(shop())
    addHand(project, 'web', { name: 'shop-web-3' })
    await deployed(project)
    expect(drift(await look(project))).toEqual([])
  })

  test('a container that is up between two ends is recognized by its restarts', async () => {
    const project = await deployed(shop())
    const { exec } = project.engine
    const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
    const [made = 0] = containers(project, 'cache').map(({ startedAt }) => startedAt)
    const restart = (at: number) => {
      for (const container of containers(project, 'cache')) container.startedAt = at
    }
    const seen = async (now: number) => {
      const restarted: typeof exec = async (argv, options) => {
        const result = await exec(argv, options)
        const stdout = result.stdout.replaceAll('"RestartCount":0', '"RestartCount":7')
        return { ...result, stdout }
      }
      const [started = 0] = containers(project, 'cache').map(({ startedAt }) => startedAt)
      project.engine.state.now = started + now // its own clock is ahead by hours
      const status = await environmentStatus(settings, { exec: restarted, clock: project.engine.clock.now })
      return drift(status).filter((line) => line.includes('cache'))
    }
    restart(made + 600_000) // long after the release
    expect(await seen(3_000)).toEqual(['service cache: it keeps exiting: restarted 7 times, last 3 s ago'])
    expect(await seen(61_000)).toEqual([])
    restart(made) // while the release waited for it
    expect(await seen(3_000)).toEqual([])
  })

  test('what a healthcheck printed is masked', async () => {
    const project = await deployed(shop())
    const { exec } = project.engine
    changeHand(project, 'web', () => ({ behaviour: { health: 'unhealthy' } }))
    const telling: typeof exec = async (argv, options) => {
      const result = await exec(argv, options)
      return { ...result, stdout: result.stdout.replaceAll('the probe says', 'connected with a very secret value, so') }
    }
    const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
    const clock = project.engine.clock.now
    const status = await environmentStatus(settings, { exec: telling, clock })
    expect(drift(status)).toEqual(['service web: it is unhealthy: connected with •••, so unhealthy'])
    expect(JSON.stringify(status)).not.toContain('very secret')
  })
})
