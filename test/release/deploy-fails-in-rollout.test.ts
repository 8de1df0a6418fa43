import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { Behaviour } from '../fakes/engine-state.ts'
import { bad, failing, idsOf, phasesOf } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a deploy that fails', () => {
  const checked = { web: { build: { context: '/nowhere' }, healthcheck: { test: ['CMD', 'curl'] } } }

  const failedRollout =
    'build completed, push completed, migrate_pre completed, rollout failed, migrate_post skipped, finalize skipped'

  test.each<[string, Behaviour, string[]]>([
    [
      'ends with an exit code',
      { exit: 3, after: 1_000, logs: 'line one\nno database\n' },
      [
        'failed (exit 5): Cannot start web: it ended with exit code 3',
        'container shop-web-1: exited, exit code 3',
        'last log lines:',
        '  line one',
        '  no database',
      ],
    ],
    [
      'runs out of memory',
      { exit: 137, oom: true },
      [
        'failed (exit 5): Cannot start web: it ended with exit code 137 (out of memory)',
        'container shop-web-1: exited, exit code 137, out of memory',
        'it has logged nothing',
      ],
    ],
    [
      'ends with 0',
      { exit: 0 },
      [
        'failed (exit 5): Cannot start web: it ended with exit code 0',
        'container shop-web-1: exited, exit code 0',
        'it has logged nothing',
        'hint: If it is meant to exit, set `job: true` for it in stagecraft.yml.',
      ],
    ],
    [
      'crashes again and again',
      { exit: 1, after: 300, restarts: true, logs: 'segfault' },
      [
        'failed (exit 5): Cannot start web: it crashes and restarts (exit code 1)',
        'container shop-web-1: restarting, exit code 1, restarted 3 times',
        'last log lines:',
        '  segfault',
      ],
    ],
    [
      'is not started by the engine',
      { refuses: 'driver failed: port is already allocated' },
      [
        'failed (exit 5): Cannot start web: docker compose up exited with 1',
        'Error response from daemon: driver failed: port is already allocated',
      ],
    ],
    [
      'gets unhealthy',
      { health: 'unhealthy', after: 3_000, logs: 'starting\nstill starting' },
      [
        'failed (exit 5): Cannot start web: its healthcheck says unhealthy',
        'container shop-web-1: running, health unhealthy',
        'last health output: the probe says unhealthy',
        'last log lines:',
        '  starting',
        '  still starting',
      ],
    ],
    [
      'never gets healthy',
      { health: 'never' },
      [
        'failed (exit 5): Cannot start web: it has not become healthy after 185 s',
        'container shop-web-1: running, health starting',
        'last health output: the probe says starting',
        'it has logged nothing',
        'hint: Raise services.web.rollout.health_timeout in stagecraft.yml if it needs longer.',
      ],
    ],
  ])('because a container %s restores the previous one', async (_, behaviour, said) => {
    const { outcome, text } = await failing('health' in behaviour ? shop(checked) : shop(), bad(behaviour))
    const hint = said.some((line) => line.startsWith('hint: ')) ? '' : 'hint: '
    expect(text).toBe([...said, `${hint}v1 (<id>) is still live.`].join('\n'))
    expect(phasesOf(outcome)).toBe(failedRollout)
  })

  test('because one of several replicas fails restores all of them', async () => {
    let started = 0
    const project = shop({ web: { build: { context: '/nowhere' }, scale: 3 } })
    const { text } = await failing(project, ({ engine }) => {
      engine.sources = { web: 'web bad' }
      engine.behave = ({ content }) => (content === 'web bad' && ++started === 2 ? { exit: 1 } : undefined)
    })
    expect(text).toContain('Cannot start web: it ended with exit code 1')
    expect(idsOf(project)['web']).toHaveLength(3)
  })

  test('because a job fails leaves everything else untouched', async () => {
    const needs = {
      web: { build: { context: '/x' }, depends_on: { job: { condition: 'service_completed_successfully' } } },
    } as const
    const project = shop(needs)
    const { outcome, ids, text } = await failing(project, () => {
      project.engine.sources = { web: 'web two' }
      change(project, { ...needs, job: { image: 'redis:7', command: ['exit', '7'] } })
    })
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot start job: the job failed with exit code 7
      container shop-job-1: exited, exit code 7
      it has logged nothing
      hint: v1 (<id>) is still live."
    `)
    expect(phasesOf(outcome)).toBe(failedRollout)
    expect(idsOf(project)).toEqual({ ...ids, job: [] })
  })

  test('because a new service fails leaves the others as they are', async () => {
    const project = shop()
    const { ids } = await failing(project, () => {
      project.engine.sources = { web: 'web two' }
      change(project, { api: { image: 'redis:7', command: ['exit', '1'] } })
    })
    expect(idsOf(project)).toEqual(ids)
  })

  test('shows the last words of a container, and none of its secrets', async () => {
    const environment = { DATABASE_URL: 'postgres://app:correct-horse@db/app' }
    const project = shop({ web: { build: { context: '/x' }, environment } })
    const logs = [...Array(30).keys()].map((line) => `line ${line}`)
    const { outcome } = await failing(
      project,
      bad({ exit: 1, logs: [...logs, `cannot connect to ${environment.DATABASE_URL}`].join('\n') }),
    )
    expect(outcome.error?.detail).toMatchInlineSnapshot(`
      "container shop-web-1: exited, exit code 1
      last log lines:
        line 11
        line 12
        line 13
        line 14
        line 15
        line 16
        line 17
        line 18
        line 19
        line 20
        line 21
        line 22
        line 23
        line 24
        line 25
        line 26
        line 27
        line 28
        line 29
        cannot connect to postgres://app:•••@db/app"
    `)
    expect(JSON.stringify(outcome.bundle)).not.toContain('correct-horse')
  })

  test('on a first deploy leaves nothing behind', async () => {
    const project = shop()
    project.engine.behave = ({ service }) => (service === 'web' ? { exit: 1 } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome)).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot start web: it ended with exit code 1
      container shop-web-1: exited, exit code 1
      it has logged nothing
      hint: Nothing was deployed before, and nothing is running."
    `)
    expect(project.view()).toEqual([])
    expect(project.engine.state.networks).toEqual({})
    project.engine.behave = () => undefined
    expect(told(await project.deploy())).toBe('no error')
  })

  test('restores a sidecar in the network of its service', async () => {
    const side = { image: 'redis:7', network_mode: 'service:web' }
    await failing(shop({ side }), bad({ exit: 1 }))
    const awaited = { ...side, depends_on: { web: { condition: 'service_healthy' } } } as const
    await failing(shop({ ...checked, side: awaited }), bad({ health: 'unhealthy' }))
  })

  test('restores a service that the release makes a job', async () => {
    const needs = {
      web: { image: 'redis:7', depends_on: { api: { condition: 'service_completed_successfully' } } },
    } as const
    await failing(shop({ api: { image: 'redis:7' } }), (project) =>
      change(project, { ...needs, api: { image: 'redis:7', command: ['exit', '1'] } }),
    )
  })

  test('leaves no job behind if the release turns a service into one', async () => {
    const job = { image: 'redis:7', command: ['exit', '0'] }
    const needs = {
      web: { image: 'redis:7', depends_on: { api: { condition: 'service_completed_successfully' } } },
    } as const
    const { outcome } = await failing(shop({ api: { image: 'redis:7' } }), (project) => {
      change(project, { ...needs, api: job, db: { image: 'redis:7', command: ['exit', '1'] } })
    })
    expect(outcome.error?.message).toBe('Cannot start db: it ended with exit code 1')
  })

  test('and cannot be undone says what runs where', async () => {
    const project = shop()
    await project.deploy()
    bad({ exit: 1, logs: 'no database' })(project)
    const serving = project.releases()[0]?.id ?? ''
    project.engine.intercept = (argv) =>
      argv.includes('up') && argv.join(' ').includes(serving) ? { damage: 'none' } : undefined
    const outcome = await project.deploy()
    const text = told(outcome).replaceAll(/\b[0-9a-f]{12}\b/g, '<image id>')
    expect(text).toMatchInlineSnapshot(`
      "not-restored (exit 6): Cannot restore the previous release: the rollout failed, and undoing it failed too
      Cannot start web: it ended with exit code 1
      container shop-web-1: exited, exit code 1
      last log lines:
        no database

      Cannot restore web: docker compose up exited with 1
      Error response from daemon: injected

      Running now:
        service  container     state    health  image
        cache    shop-cache-1  running  none    <image id>
        db       shop-db-1     running  none    <image id>
        web      shop-web-1    exited   none    <image id>
      hint: Fix what the second error names, then deploy again, or start what is missing by hand."
    `)
    expect(phasesOf(outcome)).toBe(failedRollout)
    project.engine.intercept = () => undefined
    project.engine.sources = { web: 'web three' }
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('web of web three GREETING=hello running on shop_default')
  })
})
