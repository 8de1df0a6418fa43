import { expect, test } from 'bun:test'
import { hostname } from 'node:os'
import { sayEngine } from '../../lib/hosts/engine-place.ts'
import type { Event } from '../../lib/output/events.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

const warned = (events: readonly Event[]) =>
  events.flatMap((event) => (event.type === 'warning' ? [`${event.message}\n${event.hint}`] : []))

function shop(): FakeProject {
  const project = temporary(new FakeProject('engine'))
  project.engine.registry = { 'web:1': 'web' }
  project.engine.model = composeModel('shop', { services: { web: { image: 'web:1' } } })
  return project
}

test('plan, deploy and rollback warn first if the engine is not that of last time, with both names', async () => {
  const project = shop()
  expect(warned((await project.deploy()).events)).toEqual([])
  expect(warned((await project.deploy({ version: 'v2' })).events)).toEqual([])
  const first = project.engine.machine
  project.engine.machine = 'web-9'
  project.engine.endpoint = 'ssh://deploy@web-9'
  const planned: Event[] = []
  await project.plan('next', (event) => planned.push(event))
  const outcome = await project.deploy({ version: 'v3' })
  for (const events of [planned, outcome.events]) {
    const [another = '', remote = ''] = warned(events)
    expect(another).toStartWith(
      `local is on another engine than last time: web-9 (ssh://deploy@web-9), and not ${first} (unix:///var/run/docker.sock)`,
    )
    expect(remote).toStartWith('local is on the engine of another machine: web-9 (ssh://deploy@web-9)\nImages, ports')
    expect(remote).toContain('`hosts: ssh://deploy@web-9`')
  }
  const order = outcome.events.map(({ type }) => type)
  expect(order.indexOf('warning')).toBeLessThan(order.indexOf('release'))
  expect(told(outcome)).toBe('no error')
  project.engine.endpoint = 'unix:///run/tunnel.sock'
  expect(warned((await project.deploy({ version: 'v4' })).events)).toEqual([]) // it is the one of last time, and mounts nothing
  project.engine.machine = first
  expect(warned((await project.rollback()).events)).toHaveLength(1)
})

test.each<[string, string, boolean, number]>([
  [hostname(), 'unix:///var/run/docker.sock', true, 0],
  [hostname(), 'tcp://127.0.0.1:2375', true, 0],
  ['web-9', 'tcp://10.0.0.9:2376', false, 1],
  ['web-9', 'ssh://web-9', false, 1],
  ['web-9', 'unix:///run/tunnel.sock', true, process.platform === 'linux' ? 1 : 0],
  ['web-9', 'unix:///run/tunnel.sock', false, 0],
  ['docker-desktop', 'unix:///run/desktop.sock', true, 0],
])(
  'the engine of %s by %s, where files are mounted: %p, is another machine’s: %p',
  (name, endpoint, hasFiles, times) => {
    const said: Event[] = []
    const now = { id: 'x', name, endpoint }
    sayEngine({ environment: 'local', now, before: now, hasFiles }, (event) => said.push(event))
    expect(said).toHaveLength(times)
  },
)
