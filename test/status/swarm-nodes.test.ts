import { describe, expect, test } from 'bun:test'
import { doctorLines } from '../../lib/cli/commands/doctor.ts'
import { statusJson } from '../../lib/cli/status/json.ts'
import { openDocker } from '../../lib/docker/client.ts'
import { openSettings } from '../../lib/project/open.ts'
import { swarmChecks } from '../../lib/status/doctor/swarm.ts'
import { NO_FIGURES } from '../../lib/status/figures.ts'
import { formatWatched } from '../../lib/status/watch-format.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import type { FakeSwarm } from '../fakes/swarm.ts'
import { deployed, look, printed } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

function newShop(): FakeProject {
  const project = temporary(new FakeProject('nodes'))
  const prod = { engine: 'swarm', compose_project: 'shop' }
  project.write('stagecraft.yml', JSON.stringify({ environments: { prod } }))
  project.engine.addImage('busybox:1', 'busybox')
  project.engine.model = composeModel('shop', { services: { web: { image: 'busybox:1', deploy: { replicas: 2 } } } })
  return project
}

describe('status names', () => {
  test('nodes that are down or drained; they are no drift', async () => {
    const project = await deployed(newShop())
    const { swarm } = project.engine
    swarm.nodes.push('n4', 'n5')
    swarm.down.add('n4')
    swarm.drained.add('n5')
    const status = await look(project)
    const nodes = printed(project, status)
      .split('\n')
      .find((line) => line.startsWith('nodes: '))
    expectGolden('core/swarm.md', 'nodes', nodes ?? '')
    expect(status.drift).toEqual([])
    const json = statusJson(status, { currents: new Set(), interrupted: new Set() })
    expect(json.nodes?.slice(0, 4).map(({ name, state, leader }) => [name, state, leader ?? false])).toEqual([
      ['n1', 'ready', true],
      ['n2', 'ready', false],
      ['n3', 'ready', false],
      ['n4', 'down', false],
    ])
  })

  test('them with --watch too, without figures of other nodes', async () => {
    const project = await deployed(newShop())
    const status = await look(project)
    const lines = formatWatched(status, NO_FIGURES, project.engine.clock.now(), (_, text) => text)
    const at = lines.findIndex((line) => line.startsWith('CONTAINER'))
    expectGolden('core/swarm.md', 'watched', lines.slice(at).join('\n'))
  })
})

describe('doctor', () => {
  async function checks(change: (swarm: FakeSwarm) => void, failed: readonly StagecraftError[] = []) {
    const project = newShop()
    change(project.engine.swarm)
    const { exec } = project.engine
    const reached = ['n1', 'n2', 'n9'].map((node) => ({ name: `root@${node}`, node, exec, attach: async () => 0 }))
    project.openManager = async () => ({ nodes: async () => ({ reached, failed }) })
    const settings = await openSettings({
      ...{ directory: project.folder, environment: undefined, stateOverride: undefined, onSwarm: true },
      openSwarm: project.openSwarm,
    })
    return swarmChecks(
      settings,
      openDocker(exec, (text) => text),
    )
  }
  const rows = (all: Awaited<ReturnType<typeof checks>>) =>
    all.map(({ ok, what, found }) => `${ok ? 'ok' : 'BAD'} ${what}: ${found}`)

  test('looks at the Swarm, its managers and nodes, and each of the hosts', async () => {
    const found = await checks(
      (swarm) => {
        swarm.nodes.push('n4', 'n5')
        swarm.down.add('n4')
        swarm.drained.add('n5')
        swarm.engines['n2'] = '26.1.5'
        swarm.workers.add('n2')
      },
      [new StagecraftError('unreachable', 'Cannot connect to n3: it refuses the connection')],
    )
    expectGolden('core/swarm.md', 'doctor', doctorLines(found).join('\n'))
  })

  test.each([
    [1, 'ok managers: 1: without it nothing can be changed; 3 tolerate the loss of one'],
    [2, 'ok managers: 2 of 2 reachable: none of them may fail; 1 would do as well'],
    [3, 'ok managers: 3 of 3 reachable: 1 of them may fail'],
    [4, 'ok managers: 4 of 4 reachable: 1 of them may fail; 3 would do as well'],
    [5, 'ok managers: 5 of 5 reachable: 2 of them may fail'],
  ])('%p managers', async (count, expected) => {
    const found = await checks((swarm) => {
      swarm.nodes = Array.from({ length: count }, (_, at) => `n${at + 1}`)
    })
    expect(rows(found)).toContain(expected)
  })

  test('an engine that is no manager is a problem', async () => {
    const found = await checks((swarm) => {
      swarm.isManager = false
    })
    expect(rows(found)).toEqual(['BAD swarm: the engine is not a manager of one'])
  })
})
