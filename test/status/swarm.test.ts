import { expect, test } from 'bun:test'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { deployed, look, printed } from '../scenes/status.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

async function shop(): Promise<FakeProject> {
  const project = temporary(new FakeProject('status-swarm'))
  write(project, 'swarm')
  project.engine.addImage('busybox:1', 'busybox')
  const services = { web: { image: 'busybox:1', deploy: { replicas: 2 } }, worker: { image: 'busybox:1' } }
  project.engine.model = composeModel('shop', { services })
  return deployed(project)
}

function write(project: FakeProject, engine: string): void {
  project.write('stagecraft.yml', JSON.stringify({ environments: { prod: { engine, compose_project: 'shop' } } }))
}

test('what runs on a Swarm is as released, and on which node', async () => {
  const project = await shop()
  const lines = printed(project, await look(project)).split('\n')
  expect(lines[0]).toMatch(/^prod: v1 \(rel-\S+\) live since .*, as released$/)
  const at = lines.findIndex((line) => line.startsWith('SERVICE  TASKS'))
  expectGolden('core/swarm.md', 'status', lines.slice(at, lines.indexOf('', at)).join('\n'))
})

test('a service that was scaled or changed by hand, and one that is gone, are not as released', async () => {
  const project = await shop()
  const { swarm } = project.engine
  swarm.scale('shop_web', 3)
  swarm.services = swarm.services.filter(({ name }) => name !== 'shop_worker')
  const { drift } = await look(project)
  expect(drift).toEqual([
    { kind: 'service', name: 'web', why: '3 containers, released with 2' },
    { kind: 'service', name: 'worker', why: 'it does not exist any more' },
  ])
})

test('what runs under the other engine is not looked at, and that is said', async () => {
  const project = await shop()
  write(project, 'compose')
  const { drift } = await look(project)
  expect(drift.map(({ name, why }) => `${name}: ${why}`)).toEqual([
    'all of it: it was released with `engine: swarm`, and is not looked at with `engine: compose`',
  ])
})

test('tasks that an update has ended are no restarts; those that have ended by themselves are', async () => {
  const project = await shop()
  const { engine } = project
  const endOld = () => {
    for (const task of engine.swarm.tasks.filter(({ desired }) => desired === 'shutdown'))
      Object.assign(task, { state: 'failed', error: '"task: non-zero exit (137)"' })
  }
  const release = async (word: string) => {
    const web = { image: 'busybox:1', environment: { WORD: word }, deploy: { replicas: 2 } }
    engine.model = composeModel('shop', { services: { web, worker: { image: 'busybox:1' } } })
    await deployed(project)
    endOld()
  }
  const restarts = async () =>
    (await look(project)).services?.flatMap(({ containers }) => containers.map((one) => one.restarts))
  await release('one')
  await release('two')
  await release('one')
  expect(await restarts()).toEqual([0, 0, 0])
  const [live] = engine.swarm.tasks.filter(({ desired, slot }) => desired === 'running' && slot === 2)
  if (live) engine.swarm.tasks.push({ ...live, id: 'crashed', desired: 'shutdown', state: 'failed' })
  expect(await restarts()).toEqual([0, 1, 0])
})
