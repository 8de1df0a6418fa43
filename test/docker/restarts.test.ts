import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import type { Behaviour } from '../fakes/engine-state.ts'
import { FakeProject, story } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'

// What ends while its database comes up, in a whole deploy. What the gate says of it: test/docker/gate.test.ts.

const temporary = temporaries()

function shop(behaviours: Record<string, Behaviour>, services: Record<string, Service>): FakeProject {
  const project = temporary(new FakeProject('restarts'))
  project.engine.addImage('busybox:1', 'busybox')
  project.engine.behave = ({ service }) => behaviours[service]
  return change(project, services)
}

function change(project: FakeProject, services: Record<string, Service>): FakeProject {
  const images = Object.entries(services).map(([name, service]) => [name, { image: 'busybox:1', ...service }])
  project.engine.model = composeModel('shop', { services: Object.fromEntries(images) })
  return project
}

const SLOW: Behaviour = { after: 0, recovers: 3 }
const side: Service = { network_mode: 'service:web' }

describe('a service that is restarted while its database comes up', () => {
  test('is waited for by what is to be in its network, and said', async () => {
    const project = shop({ web: SLOW }, { web: {}, side })
    const { error, events } = await project.deploy()
    expect(error?.message).toBeUndefined()
    expect(story(events).filter((line) => /^ {2}(web|side) (wait|ready)/.test(line))).toEqual([
      '  web wait',
      '  web wait',
      '  web wait',
      '  web ready',
      '  side ready',
    ])
    expect(project.view()).toEqual(['side of busybox running in web', 'web of busybox running on shop_default'])
  })

  test('and comes up never is the reason, not what could not join it', async () => {
    const project = shop({ web: { exit: 3, restarts: true } }, { web: {}, side })
    const { error } = await project.deploy()
    expect(error?.message).toBe('Cannot start web: it crashes and restarts (exit code 3)')
    expect(project.view()).toEqual([])
  })

  test('in the switch is waited for as well: nothing else answers meanwhile', async () => {
    const project = shop({ web: SLOW }, { web: { environment: { A: '1' } } })
    expect((await project.deploy()).error?.message).toBeUndefined()
    change(project, { web: { environment: { A: '2' } } })
    const { error, events } = await project.deploy()
    expect([error?.message, story(events).filter((line) => line === '  web wait').length]).toEqual([undefined, 3])
  })

  test('is waited for where the previous release is restored', async () => {
    const project = shop({ web: SLOW, bad: { exit: 1 } }, { web: { environment: { A: '1' } } })
    await project.deploy()
    const before = project.view()
    change(project, {
      web: { environment: { A: '2' } },
      bad: { depends_on: { web: { condition: 'service_healthy' } } },
    })
    expect((await project.deploy()).error?.message).toBe('Cannot start bad: it ended with exit code 1')
    expect(project.view()).toEqual(before)
  })
})
