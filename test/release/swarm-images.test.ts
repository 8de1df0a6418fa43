import { afterEach, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Service } from '../../lib/compose/model.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeNodes } from '../scenes/swarm-nodes.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

// Images that are built, and how they get to the nodes of a Swarm. What real engines do: test/e2e/swarm-images.test.ts.

const all: FakeNodes[] = []
afterEach(() => {
  for (const nodes of all.splice(0)) nodes.remove()
})

function shop(more: Service = {}): FakeNodes {
  const nodes = new FakeNodes('swarm-images')
  all.push(nodes)
  const { project } = nodes
  const prod = { engine: 'swarm', hosts: ['root@n1', 'root@n2', 'root@n3'], compose_project: 'shop' }
  project.write('stagecraft.yml', JSON.stringify({ project: { name: 'shop' }, environments: { prod } }))
  project.write('web/Dockerfile', 'FROM busybox:1\n')
  const web = { build: { context: join(project.folder, 'web') }, ...more }
  project.engine.model = composeModel('shop', { services: { web } })
  nodes.laptop.model = project.engine.model
  source(nodes, 'one')
  return nodes
}

function source({ laptop }: FakeNodes, content: string): void {
  laptop.sources['web'] = content
}

const NAMES = ['n1', 'n2', 'n3']
const everywhere = (nodes: FakeNodes) => NAMES.map((name) => nodes.images(name))
const only = (deploy: object): Service => ({ deploy: { placement: deploy } })

describe('an image that is built', () => {
  test('is sent to all nodes once, and named there by its id, which no node tries to pull', async () => {
    const nodes = shop()
    const { error, bundle } = await nodes.project.deploy()
    expect(error?.message).toBeUndefined()
    expect(everywhere(nodes)).toEqual([['shop-web: one'], ['shop-web: one'], ['shop-web: one']])
    const { id, reference } = bundle?.images['web'] ?? {}
    const [service] = nodes.project.engine.swarm.services
    expect([id, service?.spec.image]).toEqual([reference, reference])
    expect(reference).toMatch(/^sha256:[0-9a-f]{64}$/)
    await nodes.project.deploy()
    expect(nodes.loads).toEqual({ n1: 1, n2: 1, n3: 1 })
  })

  test('is sent only to the nodes that may run it', async () => {
    const nodes = shop(only({ constraints: ['node.labels.disk == ssd'] }))
    nodes.project.engine.swarm.labels = { n2: { disk: 'ssd' } }
    nodes.listed = ['n1', 'n2']
    expect((await nodes.project.deploy()).error?.message).toBeUndefined()
    expect(everywhere(nodes)).toEqual([[], ['shop-web: one'], []])
  })

  test('is refused if a node that may run it is not a host, before anything is built', async () => {
    const nodes = shop()
    nodes.listed = ['n1', 'n2']
    const { error, release } = await nodes.project.deploy()
    expect([error?.kind, error?.message, release, nodes.laptop.changes()]).toEqual([
      'config',
      'Cannot run web on n3: its image is built here, and that is none of the hosts',
      undefined,
      [],
    ])
    expectGolden('core/swarm.md', 'not-listed', formatError(error).join('\n'))
    expect(await nodes.project.plan().catch((thrown: unknown) => thrown)).toBeInstanceOf(StagecraftError)
  })

  test('is refused as unreachable if a host that cannot be used may be that node', async () => {
    const nodes = shop()
    nodes.listed = ['n1', 'n2']
    nodes.failed = [new StagecraftError('unreachable', 'Cannot connect to root@n3: it does not answer')]
    const { error } = await nodes.project.deploy()
    expect([error?.kind, error?.message, error?.detail]).toEqual([
      'unreachable',
      'Cannot bring the image of web to n3: not all hosts of the Swarm can be used',
      'Cannot connect to root@n3: it does not answer',
    ])
  })

  test('is not sent to a node that is down, with a warning', async () => {
    const nodes = shop()
    nodes.project.engine.swarm.down.add('n3')
    nodes.listed = ['n1', 'n2']
    const { error, events } = await nodes.project.deploy()
    expect(error?.message).toBeUndefined()
    expect(events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))).toEqual([
      'n3 is down: it does not get the image of web',
    ])
    expect(everywhere(nodes)[2]).toEqual([])
  })

  test('is removed from the nodes once no release needs it', async () => {
    const nodes = shop()
    for (const content of ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']) {
      source(nodes, content)
      expect((await nodes.project.deploy()).error?.message).toBeUndefined()
    }
    const kept = ['eight', 'five', 'four', 'seven', 'six', 'three'].map((content) => `shop-web: ${content}`)
    expect(everywhere(nodes).map((images) => images.toSorted())).toEqual([kept, kept, kept])
    const marked = Object.keys(nodes.engines['n2']?.state.tags ?? {}).filter((tag) => tag.split('-').length > 3)
    expect(marked.length).toBe(kept.length)
  })
})

describe('a rollback on a Swarm', () => {
  async function two(): Promise<FakeNodes> {
    const nodes = shop()
    await nodes.project.deploy()
    source(nodes, 'two')
    await nodes.project.deploy()
    return nodes
  }
  const lose = (nodes: FakeNodes, name: string) => {
    const { state } = nodes.engines[name] ?? nodes.laptop
    state.tags = {}
    state.images = {}
  }

  test('sends its images again to a node that lacks them', async () => {
    const nodes = await two()
    lose(nodes, 'n3')
    const { error, release } = await nodes.project.rollback()
    expect([error?.message, release?.version]).toEqual([undefined, 'v1'])
    expect(nodes.images('n3')).toEqual(['shop-web: one'])
  })

  test('sends them from this machine if no node has them', async () => {
    const nodes = await two()
    for (const name of NAMES) lose(nodes, name)
    expect((await nodes.project.rollback()).error?.message).toBeUndefined()
    expect(everywhere(nodes)).toEqual([['shop-web: one'], ['shop-web: one'], ['shop-web: one']])
  })

  test('is refused before anything is changed if they are nowhere', async () => {
    const nodes = await two()
    for (const name of NAMES) lose(nodes, name)
    lose(nodes, 'laptop')
    const before = nodes.project.engine.swarm.view()
    const { error, release } = await nodes.project.rollback()
    expect([error?.kind, error?.message.replace(/rel-[\d-]+/, '<id>')]).toEqual([
      'not-found',
      'Cannot roll back to <id> (v1): n1 does not have the image of web (shop-web:v1)',
    ])
    expect([release?.version, nodes.project.engine.swarm.view()]).toEqual(['v2', before])
  })
})
