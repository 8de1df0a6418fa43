import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readBundle, writeBundle } from '../lib/bundle.ts'
import { releaseLines } from '../lib/commands/release-history.ts'
import type { Service } from '../lib/compose.ts'
import type { LockState } from '../lib/lock.ts'
import { openSettings } from '../lib/project.ts'
import { currentIds } from '../lib/release-status.ts'
import { openState, PHASES, type PhaseName, type PhaseStatus } from '../lib/state.ts'
import { type EnvironmentStatus, environmentStatus, isAsReleased } from '../lib/status.ts'
import { formatStatus } from '../lib/status-format.ts'
import { formatAge } from '../lib/status-services.ts'
import { composeModel, type FakeContainer, isQuestion } from './support/fake-engine.ts'
import { FakeProject } from './support/fake-project.ts'
import { expectGolden } from './support/golden.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

const HOUR = 3_600_000
const CHECK = { healthcheck: { test: ['CMD', 'true'] } }

/** A built `web` of two replicas with a healthcheck, a job, a `db` that is held, and a `cache`. Nothing is deployed. */
function shop(more: Record<string, Service> = {}): FakeProject {
  const project = new FakeProject('status')
  projects.push(project)
  project.write('.dockerignore', '.stagecraft\n')
  project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
  project.engine.registry = { 'postgres:16': 'postgres', 'redis:7': 'redis' }
  project.engine.sources = { web: 'web one' }
  const services: Record<string, Service> = {
    web: { build: { context: project.folder }, scale: 2, ...CHECK, environment: { TOKEN: 'a very secret value' } },
    cache: { image: 'redis:7' },
    db: { image: 'postgres:16', ...CHECK },
    migrate: { image: 'postgres:16', command: ['exit', '0'] },
    ...more,
  }
  const after = { condition: 'service_completed_successfully' } as const
  project.engine.model = composeModel('shop', {
    services: { ...services, web: { ...services['web'], depends_on: { migrate: after } } },
  })
  return project
}

async function deployed(project: FakeProject): Promise<FakeProject> {
  const { error } = await project.deploy()
  if (error) throw error
  return project
}

async function look(project: FakeProject, lock: LockState = { locked: false }): Promise<EnvironmentStatus> {
  const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
  const { exec, clock } = project.engine
  return environmentStatus(
    { ...settings, host: { ...settings.host, readLock: () => lock } },
    { exec, clock: clock.now },
  )
}

function printed(project: FakeProject, status: EnvironmentStatus): string {
  const marks = { currents: currentIds(status.releases), interrupted: status.interruptedIds }
  const now = project.engine.clock.now()
  return formatStatus(status, releaseLines(status.releases.slice(0, 5), marks), now).join('\n')
}

const drift = ({ drift }: EnvironmentStatus) => drift.map(({ kind, name, why }) => `${kind} ${name}: ${why}`)

/** The containers of a service, to be changed by hand. */
const containers = (project: FakeProject, service: string) =>
  project.engine.containersOf('shop').filter((container) => container.service === service)

function changeHand(project: FakeProject, service: string, change: (container: FakeContainer) => object): void {
  const { state } = project.engine
  state.containers = state.containers.map((container) =>
    container.service === service ? { ...container, ...change(container) } : container,
  )
}

/** Another container of the project, as somebody would run one by hand. */
function addHand(project: FakeProject, like: string, changes: Partial<FakeContainer>): void {
  const [first] = containers(project, like)
  if (first) project.engine.state.containers.push({ ...first, id: `by-hand-${changes.name}`, file: '', ...changes })
}

/** Writes the phases of the newest release as a run leaves them that dies in this one. */
function dieIn(project: FakeProject, id: string, dead: PhaseName): void {
  const state = openState(project.stateFile, { clock: project.engine.clock.now })
  const at = PHASES.indexOf(dead)
  const status = (index: number): PhaseStatus => (index < at ? 'completed' : index === at ? 'running' : 'pending')
  state.updatePhases(id, Object.fromEntries(PHASES.map((phase, index) => [phase, status(index)])))
}

describe('what runs as released', () => {
  test('is shown service by service, with the last releases and the lock', async () => {
    const project = await deployed(shop())
    project.engine.state.now += 3 * HOUR
    const status = await look(project)
    expectGolden('commands/status.md', 'as-released', printed(project, status))
    expect([isAsReleased(status), drift(status)]).toEqual([true, []])
  })

  test('is so after a release that changed nothing, and after a rollback', async () => {
    const project = await deployed(await deployed(shop()))
    project.engine.sources = { web: 'web two' }
    await deployed(project)
    await project.rollback()
    const status = await look(project)
    expect(drift(status)).toEqual([])
    expect(status.serving?.version).toBe('v2')
    expect(status.services?.map(({ service, containers: [first] }) => `${service} ${first?.version}`)).toEqual([
      'cache v2',
      'db v2',
      'migrate v2',
      'web v2',
    ])
  })

  test('needs no job that ran once, and no service without replicas', async () => {
    const project = await deployed(shop({ spare: { image: 'redis:7', scale: 0 } }))
    project.engine.state.containers = project.engine.state.containers.filter(({ service }) => service !== 'migrate')
    const status = await look(project)
    expect(drift(status)).toEqual([])
    expect(printed(project, status)).toMatch(/migrate +- +- +job +has run +- +-\n/)
    expect(printed(project, status)).toMatch(/spare +- +- +0\/0 +- +- +-\n/)
  })

  test('asks the engine and changes nothing, anywhere', async () => {
    const project = await deployed(shop())
    project.engine.calls = []
    const folder = join(project.folder, '.stagecraft')
    const files = () =>
      readdirSync(folder, { recursive: true }).map((file) => {
        const { mtimeMs, size } = statSync(join(folder, String(file)))
        return `${file} ${mtimeMs} ${size}`
      })
    const before = files()
    project.engine.model = undefined // the Compose file is broken by now
    await look(project)
    expect(files()).toEqual(before)
    expect(project.engine.calls.filter((argv) => !isQuestion(argv))).toEqual([])
    expect(project.engine.calls.some((argv) => argv.includes('compose'))).toBe(false)
  })
})

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
      'container shop-old-1: left over of old, which v2 has no more',
      `container shop-older-1: it is of v1 (${first?.id})`,
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

  test('a container that is up between two ends is told by its restarts', async () => {
    const project = await deployed(shop())
    const { exec } = project.engine
    const settings = await openSettings({ directory: project.folder, environment: undefined, stateOverride: undefined })
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
    expect(await seen(3_000)).toEqual(['service cache: it keeps ending: restarted 7 times, last 3 s ago'])
    expect(await seen(61_000)).toEqual([])
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

describe('an interrupted release', () => {
  /** v1 and v2 are deployed; then a minute passes. */
  async function twice(): Promise<FakeProject> {
    const project = await deployed(shop())
    project.engine.sources = { web: 'web two' }
    await deployed(project)
    project.engine.state.now += 60_000
    return project
  }

  test('that serves is finished by the next run', async () => {
    const project = await twice()
    dieIn(project, project.releases()[0]?.id ?? '', 'finalize')
    const status = await look(project)
    expectGolden('commands/status.md', 'finish', printed(project, status).split('\n').slice(0, 2).join('\n'))
    expect(isAsReleased(status)).toBe(false)
    expect(status.interrupted).toMatchObject([
      { version: 'v2', status: 'interrupted', phase: 'finalize', next: 'finish' },
    ])
  })

  test('that had not switched is undone, and its containers are told from those of nobody', async () => {
    const project = await twice()
    const [newest] = project.releases()
    const { switched_at: _, ...bundle } = readBundle(project.stateFile, newest?.id ?? '') ?? {}
    writeBundle(project.stateFile, bundle as NonNullable<ReturnType<typeof readBundle>>) // as it was before the switch
    dieIn(project, newest?.id ?? '', 'rollout')
    addHand(project, 'cache', {
      name: 'shop-extra-1',
      service: 'extra',
      file: containers(project, 'web')[0]?.file ?? '',
    })
    const status = await look(project)
    expectGolden('commands/status.md', 'interrupted', printed(project, status))
    expect(status.interrupted).toMatchObject([{ version: 'v2', status: 'interrupted', phase: 'rollout', next: 'undo' }])
  })

  test('is no such thing while a run is at work on it', async () => {
    const project = await twice()
    const [newest] = project.releases()
    dieIn(project, newest?.id ?? '', 'finalize')
    const since = new Date(project.engine.clock.now() - 60_000).toISOString()
    const run = { user: 'ana', machine: 'web-1', pid: 4711, command: 'deploy', since }
    const holder = { ...run, release: newest?.id ?? '', version: 'v2' }
    const status = await look(project, { locked: true, holder })
    expectGolden('commands/status.md', 'under-way', printed(project, status).split('\n').slice(0, 2).join('\n'))
    expectGolden('commands/status.md', 'held', printed(project, status).split('\n').at(-1) ?? '')
    expect([isAsReleased(status), status.interrupted]).toEqual([true, []])
  })

  test('a release that failed and could not be undone is told as well', async () => {
    const project = await twice()
    const [newest] = project.releases()
    const bundle = readBundle(project.stateFile, newest?.id ?? '')
    if (!bundle) throw new Error('it has a bundle')
    const { switched_at: _, ...unswitched } = bundle
    const began_at = new Date(project.engine.clock.now()).toISOString()
    const lists = { before: [], made: [], touched: [], replaced: [], unused: [] }
    writeBundle(project.stateFile, { ...unswitched, journal: { step: 'switch', began_at, handover: false, ...lists } })
    const state = openState(project.stateFile, { clock: project.engine.clock.now })
    state.updatePhases(bundle.id, { rollout: 'failed', migrate_post: 'skipped', finalize: 'skipped' })
    const status = await look(project)
    expect(printed(project, status).split('\n')[1]).toBe(
      `v2 (${bundle.id}) failed in rollout, and left something behind: the next deploy, rollback or prune undoes it`,
    )
    expect(isAsReleased(status)).toBe(false)
  })
})

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

  test('no release has served yet: what there is of the Compose project is told', async () => {
    const project = shop()
    project.engine.behave = ({ service }) => (service === 'cache' ? { exit: 1 } : undefined)
    expect((await project.deploy()).error?.kind).toBe('failed')
    expect((await look(project)).drift).toEqual([])
    const other = await deployed(shop())
    project.engine.state.containers = containers(other, 'cache').map((one) => ({ ...one, file: '/srv/compose.yaml' }))
    const status = await look(project)
    expect(printed(project, status).split('\n')[0]).toBe('local: nothing serves: no release has got so far')
    expect(drift(status)).toEqual(['container shop-cache-1: no release knows it'])
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

test('formatAge() is short at every size', () => {
  const cases = { '-5': '0 s', 0: '0 s', 59999: '59 s', 60000: '1 min', 3599000: '59 min', 3600000: '1 h' }
  for (const [milliseconds, text] of Object.entries(cases)) expect(formatAge(Number(milliseconds))).toBe(text)
  expect(formatAge(47 * HOUR)).toBe('47 h')
  expect(formatAge(48 * HOUR)).toBe('2 d')
})

describe('what the live release has copies of', () => {
  test('is named, and what is not the same any more in the folder; the exit code is as before', async () => {
    const mount = (path: string) => ({ type: 'bind', source: path, target: path, read_only: true })
    const project = shop()
    const { folder } = project
    for (const path of ['certs/a.pem', 'pages/index.html', 'conf/app.toml']) project.write(path, 'one')
    const volumes = [mount(`${folder}/certs`), mount(`${folder}/pages`), mount(`${folder}/absent`)]
    const services = {
      db: { image: 'postgres:16' },
      cache: { image: 'redis:7', volumes, configs: [{ source: 'app' }, { source: 'text' }] },
    }
    const configs = { app: { file: `${folder}/conf/app.toml` }, text: { content: 'words' } }
    project.engine.model = composeModel('shop', { services, configs })
    const { error } = await project.deploy()
    if (error) throw error
    const here = async () => (await look(project)).copies.map(({ path, here }) => `${path} ${here}`)
    expect(await here()).toEqual(['./absent same', './certs same', './conf/app.toml same', './pages same'])
    project.write('certs/a.pem', 'two')
    rmSync(join(folder, 'pages'), { recursive: true })
    const status = await look(project)
    expect([isAsReleased(status), status.drift]).toEqual([true, []])
    const lines = printed(project, status).replace('./absent, ', '').split('\n')
    expectGolden(
      'commands/status.md',
      'copies',
      lines.filter((line) => /^(kept|changed|not here)/.test(line)).join('\n'),
    )
  })
})
