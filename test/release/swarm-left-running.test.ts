import { describe, expect, test } from 'bun:test'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** A folder of its own, whose environment is always `prod` of `shop`. @param other has the engine */
function folder(engine: string, other?: FakeProject): FakeProject {
  const project = temporary(new FakeProject('left-running', undefined, other?.engine))
  project.write('stagecraft.yml', JSON.stringify({ environments: { prod: { engine, compose_project: 'shop' } } }))
  project.engine.addImage('busybox:1', 'busybox')
  project.engine.model = composeModel('shop', { services: { web: { image: 'busybox:1' } } })
  return project
}

describe('what runs under the other engine, and is in the history of another place', () => {
  test('a Compose project keeps a stack of that name from being made', async () => {
    const project = folder('compose')
    expect((await project.deploy()).error?.message).toBeUndefined()
    const { error } = await folder('swarm', project).deploy()
    expectGolden('core/swarm.md', 'left-running', formatError(error).join('\n'))
    expect([error?.kind, project.engine.swarm.view()]).toEqual(['config', []])
  })

  test('a stack keeps a Compose project of that name from being made', async () => {
    const project = folder('swarm')
    expect((await project.deploy()).error?.message).toBeUndefined()
    const { error } = await folder('compose', project).deploy()
    expect([error?.kind, error?.message, error?.detail]).toEqual([
      'config',
      'Cannot deploy as Compose project shop: it runs as a stack of a Swarm',
      'its services: web',
    ])
  })
})
