import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { failing, idsOf, phasesOf } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { formatError } from '../support/failure.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a deploy that fails', () => {
  test('in the build prints the output of the build, and skips the rest', async () => {
    const project = shop()
    const { outcome, ids, text } = await failing(project, () => {
      project.engine.sources = {}
    })
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot build web: docker compose build exited with 17
      #7 ERROR: failed to build web
      hint: v1 (<id>) is still live."
    `)
    expect(phasesOf(outcome)).toBe(
      'build failed, push skipped, migrate_pre skipped, rollout skipped, migrate_post skipped, finalize skipped',
    )
    expect(idsOf(project)).toEqual(ids)
    expect(outcome.bundle?.error?.message).toBe(outcome.error?.message ?? '')
  })

  test('because an image does not exist says which', async () => {
    const { outcome, text } = await failing(shop(), (project) => change(project, { cache: { image: 'redis:nine' } }))
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot pull redis:nine: docker pull exited with 1
      Error response from daemon: manifest for redis:nine not found: manifest unknown
      hint: v1 (<id>) is still live."
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
      v1 (<id>) is still live."
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
      v1 (<id>) is still live."
    `)
  })

  test('because an image must not be pulled and is not there', async () => {
    const project = shop()
    const { text } = await failing(project, () =>
      change(project, { cache: { image: 'redis:own', pull_policy: 'never' } }),
    )
    expect(text).toMatchInlineSnapshot(`
      "failed (exit 5): Cannot find the image of cache: the engine has no redis:own
      hint: Its pull_policy is \`never\`: build or load the image first.
      v1 (<id>) is still live."
    `)
    await expect(project.plan()).rejects.toThrow('Cannot find the image of cache: the engine has no redis:own')
    project.engine.addImage('redis:own', 'redis')
    expect((await project.plan()).version).toBe('next')
    // All obstacles are reported at once.
    change(project, {
      cache: { image: 'a:own', pull_policy: 'never' },
      queue: { image: 'a:own', pull_policy: 'never' },
      store: { image: 'b:own', pull_policy: 'never', container_name: 'neighbour' },
    })
    project.engine.intercept = (argv) =>
      argv[1] === 'ps' && argv.join().includes('.Ports')
        ? { damage: 'none', result: { code: 0, stdout: 'neighbour\t\t\t\n' } }
        : undefined
    const error = await project.plan().catch((thrown: unknown) => thrown)
    expect(formatError(error)).toEqual([
      'Cannot deploy: 3 things are in the way',
      'Cannot find the image of cache, queue: the engine has no a:own',
      'Cannot find the image of store: the engine has no b:own',
      'Cannot name the container of store neighbour: the container neighbour has that name',
      '  hint: Its pull_policy is `never`: build or load the image first.',
      '        Remove it (docker rm -f neighbour), or change `container_name`. Nothing has been changed.',
    ])
  })

  test('because of a port that is taken fails before it builds, without a release', async () => {
    const project = shop({ web: { build: { context: '/x' }, ports: [{ target: 80, published: '8080' }] } })
    project.engine.intercept = (argv) =>
      argv[1] === 'ps' && argv.join().includes('.Ports')
        ? { damage: 'none', result: { code: 0, stdout: 'blog-app-1\tblog\tapp\t0.0.0.0:8080->80/tcp\n' } }
        : undefined
    const outcome = await project.deploy()
    expect(told(outcome)).toBe(
      'failed (exit 5): Cannot give port 8080 to web: the container blog-app-1 (app of the Compose project blog) has it\n' +
        'hint: Stop it (docker stop blog-app-1), or publish another port. Nothing has been changed.',
    )
    expect([outcome.release, project.engine.changes().filter((line) => line.includes('build'))]).toEqual([
      undefined,
      [],
    ])
  })

  test('masks secrets in the output of docker', async () => {
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
