import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Registry, startTlsRegistry } from '../scenes/registry.ts'
import { canSwarm, LOSE, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import { host, LAB_DIR } from '../support/lab.ts'
import { expectCode } from './app.ts'

// An image that is built on a laptop, pushed to a registry, and pulled by all nodes of a Swarm. The nodes themselves are not
// logged in.
describe.skipIf(!canSwarm)('an image in a registry, on a Swarm', () => {
  const app = new SwarmApp('swarm-registry')
  const { folder } = app
  const [first, , third] = MANAGERS
  const login = { user: 'ana', password: 'only-for-this-test' }
  const [open, closed] = ['open', 'closed'].map((title) => host('h1').folder(`registry-${title}`))
  const registries: Registry[] = []

  beforeAll(async () => {
    await app.begin()
    if (open === undefined || closed === undefined) return
    const trusting = MANAGERS
    registries.push(await startTlsRegistry(open, { at: 'h1', port: 5463, trusting }))
    registries.push(await startTlsRegistry(closed, { at: 'h1', port: 5464, trusting, login }))
  })
  afterAll(async () => {
    await Promise.allSettled(registries.map((registry) => registry.remove()))
    await app.end()
    await Promise.all([open?.cleanUp(), closed?.cleanUp()])
  })

  const nameOf = (at: number) => registries[at]?.name ?? ''

  function write(word: string, registry: number): void {
    folder.write('web/Dockerfile', `FROM busybox:1\nRUN echo ${word} >/word\n`)
    const command = ['sh', '-c', 'cat /word; touch /ready; exec sleep 1d']
    const { image: _, ...web } = said('x', { build: './web', command, deploy: { replicas: 3 } })
    app.write({ web }, {}, {}, { registry: nameOf(registry) })
  }

  /** docker's own folder of a user, who is logged in to a registry or not. */
  function dockerConfig(title: string, auths: object): { env: Record<string, string> } {
    const path = join(folder.here, `.docker-${title}`)
    mkdirSync(path, { recursive: true })
    symlinkSync(join(LAB_DIR, 'docker/cli-plugins'), join(path, 'cli-plugins'))
    writeFileSync(join(path, 'config.json'), JSON.stringify({ auths }))
    return { env: { DOCKER_CONFIG: path } }
  }

  const image = async () => {
    const format = ['--format', '{{.Spec.TaskTemplate.ContainerSpec.Image}}']
    return (await host(first).docker(['service', 'inspect', ...format, `${app.stack}_web`])).stdout.trim()
  }

  test('is deployed by its digest, and restored by it when its tag has moved and a node has lost it', async () => {
    write('one', 0)
    expectCode(await app.deploy('main'), 0)
    const one = await image()
    expect(one).toMatch(new RegExp(`^${nameOf(0)}/${app.stack}-web@sha256:[0-9a-f]{64}$`))
    write('two', 0)
    expectCode(await app.deploy('main'), 0)
    expect(await image()).not.toBe(one)
    expect(await app.says('web')).toContain('two')
    expectCode(await host(third).exec(['sh', '-c', LOSE, app.stack]), 0)
    expectCode(await folder.stagecraft(['rollback']), 0)
    expect(await image()).toBe(one)
    expect((await app.tasks())['web']?.length).toBe(3)
    await app.isWell()
  })

  test('that wants a login is pulled by all nodes with that of the operator, and refused without', async () => {
    write('three', 1)
    const without = await folder.stagecraft(['deploy', '--version', 'v3'], dockerConfig('without', {}))
    expectCode(without, 5)
    expect(without.stderr).toContain('Log in to the registry with `docker login`')
    const auth = Buffer.from(`${login.user}:${login.password}`).toString('base64')
    const how = dockerConfig('with', { [nameOf(1)]: { auth } })
    expectCode(await folder.stagecraft(['deploy', '--version', 'v4'], how), 0)
    expect(await image()).toStartWith(`${nameOf(1)}/${app.stack}-web@sha256:`)
    expect(await app.says('web')).toContain('three')
    await app.isWell()
  })
})
