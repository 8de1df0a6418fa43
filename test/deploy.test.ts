import { afterEach, describe, expect, test } from 'bun:test'
import { readdirSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Service } from '../lib/compose.ts'
import { exitCodeOf } from '../lib/errors.ts'
import { formatPlan } from '../lib/plan-format.ts'
import { PHASES, type PhaseName } from '../lib/state.ts'
import { type Behaviour, composeModel } from './support/fake-engine.ts'
import { type FakeProject, type Outcome, story } from './support/fake-project.ts'
import { change, newShop, told } from './support/shop.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

const shop = (services?: Record<string, Service>, without?: readonly string[]) => {
  const project = newShop('deploy', services, without)
  projects.push(project)
  return project
}

function phasesOf({ release }: Outcome): string {
  return PHASES.map((phase) => `${phase} ${release?.phases[phase]}`).join(', ')
}

const SERVICES = ['cache', 'db', 'web', 'job', 'api', 'side']
const idsOf = (project: FakeProject) =>
  Object.fromEntries(SERVICES.map((service) => [service, project.engine.ids('shop', service)]))

describe('a deploy that succeeds', () => {
  test('of a first version builds, pulls and creates, in order, and records it', async () => {
    const project = shop({
      web: {
        build: { context: '/nowhere' },
        depends_on: {
          db: { condition: 'service_healthy' },
          job: { condition: 'service_completed_successfully' },
        },
      },
      db: { image: 'postgres:16', healthcheck: { test: ['CMD', 'pg_isready'] } },
      job: { image: 'postgres:16', command: ['exit', '0'], depends_on: { db: { condition: 'service_healthy' } } },
    })
    project.engine.behave = ({ service }) => (service === 'db' ? { after: 2_000 } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(story(outcome.events)).toMatchInlineSnapshot(`
      [
        "  | #7 naming to shop-web:v1",
        "build completed: built web",
        "  | postgres:16: Pulling",
        "  | Status: Downloaded newer image for postgres:16",
        "  | redis:7: Pulling",
        "  | Status: Downloaded newer image for redis:7",
        "push completed: nothing to push: the engine that built the images runs them; pulled postgres:16, redis:7",
        "migrate_pre completed: no databases are configured",
        "  cache create",
        "  db create",
        "  db ready",
        "  job run",
        "  job ready",
        "  web create",
        "  cache ready",
        "  web ready",
        "rollout completed: 3 created, 1 run",
        "migrate_post completed: no databases are configured",
        "finalize completed: 3 services run as released",
      ]
    `)
    expect(project.view()).toMatchInlineSnapshot(`
      [
        "cache of redis running on shop_default",
        "db of postgres running on shop_default",
        "job of postgres exited on shop_default",
        "web of web one running on shop_default",
      ]
    `)
    expect(phasesOf(outcome)).toBe(PHASES.map((phase) => `${phase} completed`).join(', '))
    const { bundle, release } = outcome
    expect({ ...bundle, images: Object.keys(bundle?.images ?? {}), phases: Object.keys(bundle?.phases ?? {}) }).toEqual(
      {
        v: 1,
        id: release?.id ?? '',
        environment: 'local',
        version: 'v1',
        commit_sha: '',
        project: 'shop',
        engine: { id: expect.any(String), name: hostname(), endpoint: 'unix:///var/run/docker.sock' },
        topology: {
          order: ['cache', 'db', 'job', 'web'],
          jobs: ['job'],
          needs: {
            cache: [],
            db: [],
            job: [{ service: 'db', condition: 'service_healthy', follows: false, why: expect.any(String) }],
            web: [
              { service: 'db', condition: 'service_healthy', follows: false, why: expect.any(String) },
              { service: 'job', condition: 'service_completed_successfully', follows: false, why: expect.any(String) },
            ],
          },
        },
        content: [],
        config_hashes: Object.fromEntries(
          project.engine.containersOf('shop').map(({ service, hash }) => [service, hash]),
        ),
        switched_at: new Date(project.engine.clock.now()).toISOString(),
        actor: { user: expect.any(String), machine: expect.any(String), directory: project.folder },
        services: {},
        tags: [{ tag: 'shop-web:v1', id: project.engine.state.tags['shop-web:v1'] ?? '' }],
        plan: expect.objectContaining({ version: 'v1', serving: null }),
        images: ['cache', 'db', 'job', 'web'],
        phases: [...PHASES],
      },
    )
    expect(bundle?.images['web']).toEqual({
      name: 'shop-web:v1',
      reference: expect.stringMatching(/^shop-web:sc-[0-9a-f]{12}$/),
      id: project.engine.state.tags['shop-web:v1'] ?? '',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      built: true,
      volumes: false,
    })
    expect(bundle?.images['db']?.reference).toMatch(/^postgres@sha256:[0-9a-f]{64}$/)
  })

  test('keeps the model of the release, and its files, to the owner', async () => {
    const project = shop()
    const { release } = await project.deploy()
    const folder = join(project.folder, '.stagecraft/releases', release?.id ?? '')
    const modes = readdirSync(folder)
      .toSorted()
      .map((name) => [name, statSync(join(folder, name)).mode & 0o777])
    expect(modes).toEqual([
      ['compose.json', 0o600],
      ['events.jsonl', 0o600],
      ['release.json', 0o600],
    ])
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(project.model(release).services['web']).toEqual({
      command: null,
      entrypoint: null,
      environment: { GREETING: 'hello' },
      image: expect.stringMatching(/^shop-web:sc-[0-9a-f]{12}$/),
      networks: { default: null },
    })
  })

  test('of the same again touches nothing, though its version is another', async () => {
    const project = shop()
    await project.deploy({ version: 'one' })
    const [ids, started] = [idsOf(project), project.engine.state.containers.map(({ startedAt }) => startedAt)]
    project.engine.calls = []
    const outcome = await project.deploy({ version: 'two' })
    expect(told(outcome)).toBe('no error')
    expect(idsOf(project)).toEqual(ids)
    expect(project.engine.state.containers.map(({ startedAt }) => startedAt)).toEqual(started)
    expect(project.engine.changes().map((line) => line.replaceAll(project.folder, '.'))).toEqual([
      'docker compose --progress plain -p shop --project-directory . -f - build -- web',
    ])
    expect(outcome.bundle?.phases.rollout?.note).toBe('nothing to do: everything runs as it should')
  })

  test('of the same content in an image with another id touches nothing', async () => {
    const project = shop()
    await project.deploy()
    const ids = idsOf(project)
    project.engine.buildLabels = { 'com.docker.compose.version': '2.40' }
    const outcome = await project.deploy()
    expect(idsOf(project)).toEqual(ids)
    expect(outcome.bundle?.images['web']?.id).toBe(
      project.engine.containersOf('shop').find((c) => c.service === 'web')?.image ?? '',
    )
  })

  test.each<[string, (project: FakeProject) => void, string[]]>([
    [
      'one image of three',
      (project) => {
        project.engine.sources = { web: 'web two' }
      },
      ['web'],
    ],
    [
      'an env value',
      (project) => change(project, { cache: { image: 'redis:7', environment: { SIZE: '12' } } }),
      ['cache'],
    ],
    [
      'the image of another service',
      (project) => {
        project.engine.registry['redis:8'] = 'redis eight'
        change(project, { cache: { image: 'redis:8' } })
      },
      ['cache'],
    ],
  ])('of a change of %s makes just its container anew', async (_, makeChange, changed) => {
    const project = shop()
    await project.deploy()
    const before = idsOf(project)
    makeChange(project)
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    const after = idsOf(project)
    expect(SERVICES.filter((service) => before[service]?.join() !== after[service]?.join())).toEqual(changed)
  })

  test('adds a service and removes another, and leaves the third alone', async () => {
    const project = shop()
    await project.deploy()
    const before = idsOf(project)
    change(project, { api: { image: 'redis:7' } }, ['cache'])
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(story(outcome.events).filter((line) => line.startsWith('  ') && !line.includes('|'))).toEqual([
      '  api create',
      '  api ready',
      '  cache remove',
    ])
    expect(project.view()).toEqual([
      'api of redis running on shop_default',
      'db of postgres running on shop_default',
      'web of web one GREETING=hello running on shop_default',
    ])
    expect(idsOf(project)['db']).toEqual(before['db'] ?? [])
  })

  test('mounts the content of a read-only file by its hash, and makes its user anew when it changes', async () => {
    const project = shop()
    const file = project.write('nginx.conf', 'listen 80\n', 0o640)
    const mount = { type: 'bind', source: file, target: '/etc/nginx.conf', read_only: true }
    change(project, { cache: { image: 'redis:7', volumes: [mount] } })
    const first = await project.deploy()
    project.write('nginx.conf', 'listen 81\n')
    const second = await project.deploy()
    const sources = [first, second].map(({ release }) => project.model(release).services['cache']?.volumes?.[0]?.source)
    expect(sources[0]).not.toBe(sources[1])
    expect(await Promise.all(sources.map((path) => Bun.file(path ?? '').text()))).toEqual([
      'listen 80\n',
      'listen 81\n',
    ])
    expect(statSync(sources[0] ?? '').mode & 0o777).toBe(0o640)
    expect(story(second.events).filter((line) => line.endsWith(' recreate'))).toEqual(['  cache recreate'])
  })

  test('keeps the content that a held service mounts, however old it is', async () => {
    const project = shop()
    project.write(
      'stagecraft.yml',
      'environments: {local: {keep: 0, services: {cache: {rollout: {strategy: hold}}}}}\n',
    )
    const file = project.write('cache.conf', 'one\n')
    const mount = { type: 'bind', source: file, target: '/etc/cache.conf', read_only: true }
    change(project, { cache: { image: 'redis:7', volumes: [mount] } })
    const first = await project.deploy()
    const source = project.model(first.release).services['cache']?.volumes?.[0]?.source ?? ''
    for (const text of ['two\n', 'three\n']) {
      project.write('cache.conf', text)
      expect(told(await project.deploy())).toBe('no error')
    }
    expect(await Bun.file(source).text()).toBe('one\n')
  })

  test('makes a sidecar anew after the service whose network it is in', async () => {
    const project = shop({ side: { image: 'redis:7', network_mode: 'service:web' } })
    await project.deploy()
    project.engine.sources = { web: 'web two' }
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('side of redis running in web')
  })

  test('makes a network anew, and with it what is on it', async () => {
    const project = shop()
    const model = (label: string) => {
      change(project, { api: { image: 'redis:7', networks: { back: null } } })
      const networks = { ...project.engine.model?.networks, back: { name: 'shop_back', labels: { label } } }
      project.engine.model = composeModel('shop', {
        ...project.engine.model,
        services: project.engine.model?.services ?? {},
        networks,
      })
    }
    model('one')
    await project.deploy()
    const before = idsOf(project)
    model('two')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.engine.state.networks['shop_back']?.definition).toContain('two')
    expect(project.view()).toContain('api of redis running on shop_back')
    expect(idsOf(project)).toEqual({ ...before, api: [expect.any(String)] })
    expect(idsOf(project)['api']).not.toEqual(before['api'] ?? [])
  })

  test('does not make a network anew that a held service is on', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    const model = (label: string) => {
      const { name, services } = composeModel('shop', {
        services: { db: { image: 'postgres:16' }, api: { image: 'redis:7' } },
      })
      project.engine.model = composeModel(name, { services, networks: { default: { labels: { label } } } })
    }
    model('one')
    await project.deploy()
    const [before, networks] = [idsOf(project), structuredClone(project.engine.state.networks)]
    model('two')
    expect(told(await project.deploy()).replaceAll(/rel-\d+-\d+/g, '<id>')).toMatchInlineSnapshot(`
      "config (exit 3): Cannot change network shop_default: db is on it, and is held
      hint: Take \`strategy: hold\` from db for one deploy, or leave the network as it is."
    `)
    expect(project.releases()).toHaveLength(1) // refused before there is one
    expect(idsOf(project)).toEqual(before)
    expect(project.view()).toContain('db of postgres running on shop_default')
    expect(project.engine.state.networks).toEqual(networks)
    project.write('stagecraft.yml', 'environments: {local: {}}\n')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toEqual(['api of redis running on shop_default', 'db of postgres running on shop_default'])
    expect(project.engine.state.networks['shop_default']?.definition).toContain('two')
  })

  test('scales a service, keeping the containers that there are', async () => {
    const project = shop()
    await project.deploy()
    const [first] = idsOf(project)['cache'] ?? []
    change(project, { cache: { image: 'redis:7', scale: 3 } })
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)['cache']).toEqual([first ?? '', expect.any(String), expect.any(String)])
    change(project, { cache: { image: 'redis:7', scale: 1 } })
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)['cache']).toEqual([first ?? ''])
  })

  test('runs a job again only when it changed', async () => {
    const job = (environment: Record<string, string>) => ({
      job: { image: 'redis:7', command: ['exit', '0'], environment },
    })
    const needs = {
      web: { image: 'redis:7', depends_on: { job: { condition: 'service_completed_successfully' } } },
    } as const
    const project = shop({ ...needs, ...job({ STEP: '1' }) })
    await project.deploy()
    const before = idsOf(project)
    await project.deploy()
    expect(idsOf(project)).toEqual(before)
    change(project, { ...needs, ...job({ STEP: '2' }) })
    const outcome = await project.deploy()
    expect(outcome.bundle?.phases.rollout?.note).toBe('1 run, 3 unchanged')
    expect(idsOf(project)).toEqual({ ...before, job: [expect.any(String)] })
  })

  test('leaves a held service alone, and remembers what it runs by', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    await project.deploy()
    const before = idsOf(project)
    change(project, { db: { image: 'postgres:16', environment: { TUNED: 'yes' } } })
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(idsOf(project)).toEqual(before)
    expect(project.model(outcome.release).services['db']?.environment).toBeUndefined()
    project.write('stagecraft.yml', 'environments: {local: {}}\n')
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('db of postgres TUNED=yes running on shop_default')
  })

  test('pushes what it built to the registry, and records the digests', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'project: {registry: registry.example.com/acme}\n')
    const outcome = await project.deploy()
    expect(told(outcome)).toBe('no error')
    expect(outcome.bundle?.phases.push?.note).toBe('pushed 1 to registry.example.com/acme; pulled postgres:16, redis:7')
    expect(outcome.bundle?.images['web']?.digest).toMatch(
      /^registry\.example\.com\/acme\/shop-web@sha256:[0-9a-f]{64}$/,
    )
    expect(project.engine.state.tags['registry.example.com/acme/shop-web:v1']).toBeDefined()
  })

  test('hands every $ on as it is, through every model and file', async () => {
    const value = '$HOME $$ ${NOT:-a variable} $1'
    const environment = { PATTERN: value }
    const job = { image: 'redis:7', command: ['exit', '0'], environment }
    const web = {
      build: { context: '/x', args: environment },
      environment,
      depends_on: { job: { condition: 'service_completed_successfully' } },
    } as const
    const project = shop({ job, web })
    await project.deploy()
    const before = idsOf(project)
    expect(project.view().filter((line) => line.includes(`PATTERN=${value} `))).toHaveLength(2)
    expect(told(await project.deploy())).toBe('no error')
    expect(idsOf(project)).toEqual(before)
  })

  test('shows the plan while it works, without values', async () => {
    const project = shop()
    await project.deploy()
    change(project, { cache: { image: 'redis:7', environment: { PASSWORD: 'not for the eyes of logs' } } })
    const { events } = await project.deploy()
    expect(JSON.stringify(events)).toContain('environment changed (PASSWORD)')
    expect(JSON.stringify(events)).not.toContain('eyes')
  })

  test('keeps projects of the same Compose file in two environments apart', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'project: {name: shop}\nenvironments: {local: {}, staging: {}}\n')
    expect((await project.open('local')).model.name).toBe('shop')
    const staging = await project.open('staging')
    expect(staging.model.name).toBe('shop-staging')
    expect(staging.model.networks).toEqual({ default: { name: 'shop-staging_default', ipam: {} } })
  })
})

describe('a deploy that fails', () => {
  /** Version one serves; then `makeChange`, and a deploy that must fail. @returns what the user sees */
  async function failing(project: FakeProject, makeChange: (project: FakeProject) => void) {
    await project.deploy()
    const [before, ids] = [project.view(), idsOf(project)]
    makeChange(project)
    const outcome = await project.deploy()
    expect(project.view()).toEqual(before)
    return {
      outcome,
      ids,
      text: told(outcome)
        .replaceAll(project.folder, '.')
        .replaceAll(/rel-\d+-\d+/g, '<id>'),
    }
  }
  const bad = (behaviour: Behaviour) => (project: FakeProject) => {
    project.engine.sources = { web: 'web bad' }
    project.engine.behave = ({ content }) => (content === 'web bad' ? behaviour : undefined)
  }
  const checked = { web: { build: { context: '/nowhere' }, healthcheck: { test: ['CMD', 'curl'] } } }
  const failedRollout =
    'build completed, push completed, migrate_pre completed, rollout failed, migrate_post skipped, finalize skipped'

  test('in the build says what the build said, and skips the rest', async () => {
    const { outcome, ids, text } = await failing(shop(), (project) => {
      project.engine.sources = {}
    })
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot build web: docker compose build exited with 17
      #7 ERROR: failed to build web
      hint: v1 (<id>) still serves."
    `)
    expect(phasesOf(outcome)).toBe(
      'build failed, push skipped, migrate_pre skipped, rollout skipped, migrate_post skipped, finalize skipped',
    )
    expect(idsOf(projects[0] ?? shop())).toEqual(ids)
    expect(outcome.bundle?.error?.message).toBe(outcome.error?.message ?? '')
  })

  test('because an image does not exist says which', async () => {
    const { outcome, text } = await failing(shop(), (project) => change(project, { cache: { image: 'redis:nine' } }))
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot pull redis:nine: docker pull exited with 1
      Error response from daemon: manifest for redis:nine not found: manifest unknown
      hint: v1 (<id>) still serves."
    `)
    expect(phasesOf(outcome)).toStartWith('build completed, push failed, migrate_pre skipped')
  })

  test('because a registry does not answer is exit 8', async () => {
    const { text } = await failing(shop(), (project) => {
      change(project, { cache: { image: 'redis:nine' } })
      const stderr =
        'Error response from daemon: Get "https://example.com/v2/": dial tcp: lookup example.com: no such host'
      project.engine.intercept = (argv) => (argv[1] === 'pull' ? { damage: 'none', result: { stderr } } : undefined)
    })
    expect(text).toMatchInlineSnapshot(`
      "unreachable (exit 8): Cannot pull redis:nine: the registry does not answer
      Error response from daemon: Get "https://example.com/v2/": dial tcp: lookup example.com: no such host
      hint: Check the image name and the network of this machine, then try again.
      v1 (<id>) still serves."
    `)
  })

  test('because a registry wants a login says so', async () => {
    const { text } = await failing(shop(), (project) => {
      change(project, { cache: { image: 'redis:nine' } })
      const stderr = 'Error response from daemon: pull access denied for redis, repository does not exist'
      project.engine.intercept = (argv) => (argv[1] === 'pull' ? { damage: 'none', result: { stderr } } : undefined)
    })
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot pull redis:nine: docker pull exited with 1
      Error response from daemon: pull access denied for redis, repository does not exist
      hint: Log in to the registry with \`docker login\`, and check the name of the image.
      v1 (<id>) still serves."
    `)
  })

  test('because an image must not be pulled and is not there', async () => {
    const { text } = await failing(shop(), (project) =>
      change(project, { cache: { image: 'redis:own', pull_policy: 'never' } }),
    )
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot find the image of cache: the engine has no redis:own
      hint: Its pull_policy is \`never\`: build or load the image first.
      v1 (<id>) still serves."
    `)
    const project = projects[0] ?? shop()
    await expect(project.plan()).rejects.toThrow('Cannot find the image of cache: the engine has no redis:own')
    project.engine.addImage('redis:own', 'redis')
    expect((await project.plan()).version).toBe('next')
  })

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
        'hint: If it is meant to end, say `job: true` for it in stagecraft.yml.',
      ],
    ],
    [
      'crashes again and again',
      { exit: 1, after: 300, restarts: true, logs: 'segfault' },
      [
        'failed (exit 5): Cannot start web: it crashes and is restarted (exit code 1)',
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
  ])('because a container %s puts the former one back', async (_, behaviour, said) => {
    const { outcome, text } = await failing('health' in behaviour ? shop(checked) : shop(), bad(behaviour))
    const hint = said.some((line) => line.startsWith('hint: ')) ? '' : 'hint: '
    expect(text).toBe([...said, `${hint}v1 (<id>) still serves.`].join('\n'))
    expect(phasesOf(outcome)).toBe(failedRollout)
  })

  test('because one of several replicas fails puts all of them back', async () => {
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
      hint: v1 (<id>) still serves."
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

  test('masks secrets in what docker says', async () => {
    const environment = { DATABASE_URL: 'postgres://app:correct-horse@db/app' }
    const { outcome } = await failing(shop({ web: { build: { context: '/x' }, environment } }), ({ engine }) => {
      engine.sources = { web: 'web two' }
      const stderr = `no route to ${environment.DATABASE_URL}`
      let failures = 0
      engine.intercept = (argv) =>
        argv.includes('up') && ++failures === 1 ? { damage: 'none', result: { stderr } } : undefined
    })
    expect(outcome.error?.detail).toBe('no route to postgres://app:•••@db/app')
  })

  test('on a first deploy leaves nothing behind', async () => {
    const project = shop()
    project.engine.behave = ({ service }) => (service === 'web' ? { exit: 1 } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome)).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot start web: it ended with exit code 1
      container shop-web-1: exited, exit code 1
      it has logged nothing
      hint: Nothing was deployed before, and nothing runs now."
    `)
    expect(project.view()).toEqual([])
    expect(project.engine.state.networks).toEqual({})
    project.engine.behave = () => undefined
    expect(told(await project.deploy())).toBe('no error')
  })

  test('puts a sidecar back in the network of the service that it belongs to', async () => {
    const side = { image: 'redis:7', network_mode: 'service:web' }
    await failing(shop({ side }), bad({ exit: 1 }))
    const awaited = { ...side, depends_on: { web: { condition: 'service_healthy' } } } as const
    await failing(shop({ ...checked, side: awaited }), bad({ health: 'unhealthy' }))
  })

  test('puts back a service that the release makes a job', async () => {
    const needs = {
      web: { image: 'redis:7', depends_on: { api: { condition: 'service_completed_successfully' } } },
    } as const
    await failing(shop({ api: { image: 'redis:7' } }), (project) =>
      change(project, { ...needs, api: { image: 'redis:7', command: ['exit', '1'] } }),
    )
  })

  test('leaves no job behind that the release makes of a service', async () => {
    const job = { image: 'redis:7', command: ['exit', '0'] }
    const needs = {
      web: { image: 'redis:7', depends_on: { api: { condition: 'service_completed_successfully' } } },
    } as const
    const { outcome } = await failing(shop({ api: { image: 'redis:7' } }), (project) => {
      change(project, { ...needs, api: job, db: { image: 'redis:7', command: ['exit', '1'] } })
    })
    expect(outcome.error?.message).toBe('Cannot start db: it ended with exit code 1')
  })

  test('after the commit point is finished by the next one', async () => {
    const project = shop({ api: { image: 'redis:7' } })
    await project.deploy()
    change(project, {})
    project.engine.intercept = (argv) => (argv[1] === 'stop' ? { damage: 'none' } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome).replaceAll(/rel-\d+-\d+/g, '<id>')).toMatchInlineSnapshot(`
      "after-commit (exit 10): Cannot remove shop-api-1: docker stop exited with 1
      Error response from daemon: injected
      hint: v2 serves."
    `)
    expect(project.view()).toContain('api of redis running on shop_default')
    project.engine.intercept = () => undefined
    const next = await project.deploy()
    expect(told(next)).toBe('no error')
    expect(project.view()).toEqual([
      'cache of redis running on shop_default',
      'db of postgres running on shop_default',
      'web of web one GREETING=hello running on shop_default',
    ])
    expect(story((await project.deploy()).events)).toContain(
      'rollout completed: nothing to do: everything runs as it should',
    )
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
      "not-restored (exit 6): Cannot put back what served before: the rollout failed, and so did undoing it
      Cannot start web: it ended with exit code 1
      container shop-web-1: exited, exit code 1
      last log lines:
        no database

      Cannot put back web: docker compose up exited with 1
      Error response from daemon: injected

      What runs now:
        service  container     state    health  image
        cache    shop-cache-1  running  none    <image id>
        db       shop-db-1     running  none    <image id>
        web      shop-web-1    exited   none    <image id>
      hint: Mend what the second error names, then deploy again, or start what is missing by hand."
    `)
    expect(phasesOf(outcome)).toBe(failedRollout)
    project.engine.intercept = () => undefined
    project.engine.sources = { web: 'web three' }
    expect(told(await project.deploy())).toBe('no error')
    expect(project.view()).toContain('web of web three GREETING=hello running on shop_default')
  })

  test('after the commit point says that the new release serves', async () => {
    const project = shop()
    await project.deploy()
    bad({ exit: 1, after: 6_000, logs: 'out of luck' })(project)
    project.engine.intercept = () => {
      if (project.releases()[0]?.phases.finalize === 'running') project.engine.state.now += 10_000
      return undefined
    }
    const outcome = await project.deploy()
    expect(
      told(outcome)
        .replaceAll(project.folder, '.')
        .replaceAll(/rel-\d+-\d+/g, '<id>'),
    ).toMatchInlineSnapshot(`
      "after-commit (exit 10): Cannot confirm that web runs as released: it is exited
      container shop-web-1: exited, exit code 1
      last log lines:
        out of luck
      hint: Look at the container (docker logs), or deploy again: that recreates it. Its model is ./.stagecraft/releases/<id>/compose.json.
      v2 serves."
    `)
    expect(project.view()).toContain('web of web bad GREETING=hello exited on shop_default')
    project.engine.sources = { web: 'web three' }
    const next = await project.deploy()
    expect(told(next)).toBe('no error')
    expect(next.events).toContainEqual(
      expect.objectContaining({
        type: 'plan',
        plan: expect.objectContaining({ serving: { id: outcome.release?.id, version: 'v2' } }),
      }),
    )
  })

  test('without an engine makes no release', async () => {
    const project = shop()
    const stderr = 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?'
    project.engine.intercept = (argv) => (argv[1] === 'version' ? { damage: 'none', result: { stderr } } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome)).toMatchInlineSnapshot(`
      "unreachable (exit 8): Cannot reach the Docker engine: it does not answer
      Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?
      hint: Start it (sudo systemctl start docker), or point DOCKER_HOST or \`docker context use\` at one that runs."
    `)
    expect(outcome.release).toBeUndefined()
  })
})

describe('a signal', () => {
  /** Deploys a change of nearly everything, and sends a signal when a command is about to be run. */
  async function signalAt(project: FakeProject, when: (line: string, project: FakeProject) => boolean) {
    const controller = new AbortController()
    project.engine.intercept = (argv) => {
      if (!controller.signal.aborted && when(argv.join(' '), project)) controller.abort(15)
      return undefined
    }
    const outcome = await project.deploy({ signal: controller.signal })
    expect(controller.signal.aborted).toBe(true)
    return outcome
  }
  const inPhase = (phase: PhaseName) => (_: string, project: FakeProject) =>
    project.releases()[0]?.phases[phase] === 'running'

  test.each<[string, string, (line: string, project: FakeProject) => boolean]>([
    ['build', 'build', (line) => line.includes(' build -- web')],
    ['push', 'push', (line) => line.startsWith('docker pull')],
    ['migrate_pre', 'migrate_pre', () => false],
    ['rollout, before anything is changed', 'rollout', inPhase('rollout')],
    ['rollout, when Compose creates', 'rollout', (line) => line.includes(' up ') && line.endsWith(' api')],
    ['rollout, when Compose replaces', 'rollout', (line) => line.includes(' up ') && line.endsWith(' web')],
    [
      'rollout, while containers start',
      'rollout',
      (line) => line.startsWith('docker container inspect') && line.split(' ').length === 4,
    ],
  ])('in %s undoes what the phase did', async (_, phase, when) => {
    const project = shop()
    await project.deploy()
    const before = project.view()
    change(project, { api: { image: 'nginx:1' } })
    project.engine.registry['nginx:1'] = 'nginx'
    project.engine.sources = { web: 'web two' }
    const outcome = phase === 'migrate_pre' ? await signalBetween(project) : await signalAt(project, when)
    const { error, release } = outcome
    expect([error?.message, exitCodeOf(error)]).toEqual(['Cannot finish the release: ended by signal 15', 143])
    expect(error?.hint).toMatch(/^v1 \(rel-[0-9-]+\) still serves\.$/)
    expect(project.view()).toEqual(before)
    const at = PHASES.indexOf(phase as PhaseName)
    expect(PHASES.map((name) => release?.phases[name])).toEqual(
      PHASES.map((_, index) => (index < at ? 'completed' : index === at ? 'failed' : 'skipped')),
    )
    project.engine.intercept = () => undefined
    expect(told(await project.deploy())).toBe('no error')
  })

  /** No docker command runs in migrate_pre: the signal comes as push ends. */
  async function signalBetween(project: FakeProject): Promise<Outcome> {
    const controller = new AbortController()
    return project.deploy({
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === 'push' && event.status === 'completed') controller.abort(15)
      },
    })
  }

  test.each(['migrate_post', 'finalize'] as const)('in %s does not undo what serves', async (phase) => {
    const project = shop()
    await project.deploy()
    project.engine.sources = { web: 'web two' }
    const controller = new AbortController()
    const outcome = await project.deploy({
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === phase && event.status === 'running') controller.abort(2)
      },
    })
    expect(told(outcome)).toBe('no error')
    expect(project.view()).toContain('web of web two GREETING=hello running on shop_default')
    expect(phasesOf(outcome)).toBe(PHASES.map((name) => `${name} completed`).join(', '))
  })

  test('ends a command that hangs', async () => {
    const project = shop()
    await project.deploy()
    const before = project.view()
    project.engine.sources = { web: 'web two' }
    const controller = new AbortController()
    let ups = 0
    project.engine.intercept = (argv) => {
      if (!argv.includes('up') || ++ups > 1) return undefined
      queueMicrotask(() => controller.abort(1))
      return 'hang'
    }
    const outcome = await project.deploy({ signal: controller.signal })
    expect(exitCodeOf(outcome.error)).toBe(129)
    expect(project.view()).toEqual(before)
  })
})

describe('what a tired operator must not overlook', () => {
  test('another name of the Compose project is refused: everything would be there twice, with empty volumes', async () => {
    const project = shop()
    await project.deploy()
    const before = project.engine.state.containers.map(({ id }) => id)
    project.engine.model = composeModel('shop2', {
      services: project.engine.model?.services ?? {},
      volumes: { data: {} },
    })
    const outcome = await project.deploy()
    expect(told(outcome)).toContain('config (exit 3): Cannot deploy as Compose project shop2: what serves is shop\n')
    expect(project.releases()).toHaveLength(1)
    expect(project.engine.state.containers.map(({ id }) => id)).toEqual(before)
  })

  test('a job runs again when what it prepared is gone with it', async () => {
    const needsDb = { db: { condition: 'service_started', required: true } } as const
    const needsJob = { job: { condition: 'service_completed_successfully', required: true } } as const
    const project = shop({
      job: { image: 'redis:7', depends_on: needsDb },
      cache: { image: 'redis:7', depends_on: needsJob },
    })
    project.engine.behave = ({ service }) => (service === 'job' ? { exit: 0 } : undefined)
    expect(told(await project.deploy())).toBe('no error')
    expect(formatPlan(await project.plan())).toContain('  job    unchanged  has run, and nothing changed')
    project.engine.state.containers.splice(0)
    expect(formatPlan(await project.plan())).toContain('  job    job     runs again: db is created anew')
  })

  test('a held service that is down is said to be, and is no reason to fail', async () => {
    const project = shop()
    project.write('stagecraft.yml', 'environments: {local: {services: {db: {rollout: {strategy: hold}}}}}\n')
    await project.deploy()
    for (const container of project.engine.containersOf('shop'))
      if (container.service === 'db') container.state = 'stopped'
    const plan = formatPlan(await project.plan())
    expect(plan.find((line) => line.startsWith('  db'))).toMatch(
      /^ {2}db +hold +held, but exited: it is not started again by a deploy; docker start shop-db-1$/,
    )
    expect(told(await project.deploy())).toBe('no error')
  })
})
