import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { canSwarm, LOSE, MANAGERS, SwarmApp, said } from '../scenes/swarm.ts'
import { host } from '../support/lab.ts'
import { expectCode, until } from './app.ts'

// An image that is built on a laptop, and how it gets to the nodes of a Swarm without a registry.
describe.skipIf(!canSwarm)('an image that is built, on a Swarm', () => {
  const app = new SwarmApp('swarm-images')
  const { folder } = app
  const [first, , third] = MANAGERS

  beforeAll(async () => {
    await app.begin()
    write('one')
    expectCode(await app.deploy('v1'), 0)
  })
  afterAll(() => app.end())

  function write(word: string, hosts?: readonly (typeof MANAGERS)[number][]): void {
    folder.write('web/Dockerfile', `FROM busybox:1\nRUN echo ${word} >/word\n`)
    const command = ['sh', '-c', 'cat /word; touch /ready; exec sleep 1d']
    // One task on each node, wherever Swarm would like to have three of them.
    const { image: _, ...web } = said('x', { build: './web', command, deploy: { mode: 'global', replicas: undefined } })
    app.write({ web }, {}, hosts ? { hosts: hosts.map((name) => `root@${name}`) } : {})
  }

  /** The ids of the stack's images on a node, by their content. */
  const kept = async (name: (typeof MANAGERS)[number]) => {
    const filter = ['--filter', `reference=${app.stack}-web`, '--format', '{{.ID}}', '--no-trunc']
    return [...new Set((await host(name).docker(['image', 'ls', ...filter])).stdout.split('\n').filter(Boolean))]
  }

  test('runs on all nodes, by its id', async () => {
    expect(await app.says('web')).toEqual(['one'])
    const image = ['service', 'inspect', '--format', '{{.Spec.TaskTemplate.ContainerSpec.Image}}', `${app.stack}_web`]
    const { stdout } = await host(first).docker(image)
    expect(await Promise.all(MANAGERS.map(kept))).toEqual(MANAGERS.map(() => [stdout.trim()]))
    await app.isWell()
  })

  test('is sent again, for a rollback, to a node that has lost it', async () => {
    write('two')
    expectCode(await app.deploy('v2'), 0)
    expect(await app.says('web')).toContain('two')
    const before = await kept(first)
    const ps = ['ps', '-q', '--filter', `label=com.docker.swarm.service.name=${app.stack}_web`]
    await until('its old task is gone', async () => {
      const { stdout } = await host(third).docker(ps)
      return stdout.trim().split('\n').length === 1 || stdout
    })
    expectCode(await host(third).exec(['sh', '-c', LOSE, app.stack]), 0)
    expect((await kept(third)).length).toBe(1)
    const ran = await folder.stagecraft(['rollback'])
    expectCode(ran, 0)
    expect(ran.stderr).toContain(`${third} did not have the image of web`)
    expect((await kept(third)).toSorted()).toEqual(before.toSorted())
    await app.isWell()
  })

  test('is refused while a node that may run it is not among the hosts, and nothing is changed', async () => {
    const before = await app.tasks()
    write('three', MANAGERS.slice(0, 2))
    const ran = await app.deploy('v3')
    expectCode(ran, 3)
    expect(ran.stderr).toContain(`Cannot run web on ${third}: its image is built here, and that is none of the hosts`)
    expect(await app.tasks()).toEqual(before)
  })
})
