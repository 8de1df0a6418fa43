import { afterEach, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isQuestion } from '../fakes/engine.ts'
import { prepared, removeProjects } from '../scenes/dead-run.ts'
import { NEW, serving, told } from '../scenes/shop.ts'

afterEach(removeProjects)

test('a run that lost its lock changes nothing more, and the next one undoes what it had begun', async () => {
  const { start, calls } = await prepared()
  for (const at of calls.keys()) {
    const project = start()
    const asked: (readonly string[])[] = []
    let lost = false
    project.engine.intercept = (argv, count) => {
      if (lost) asked.push(argv)
      if (count === at + 1) rmSync(join(project.folder, '.stagecraft/locks/local.lock'))
      lost ||= count === at + 1
      return undefined
    }
    const { error, bundle } = await project.deploy()
    project.engine.intercept = () => undefined
    const switched = bundle?.version !== 'v1' && bundle?.switched_at !== undefined
    if (!switched) {
      expect([at, error?.kind, error?.message]).toEqual([
        at,
        'state',
        expect.stringContaining('was removed or replaced'),
      ])
      expect(asked.filter((argv) => !isQuestion(argv) && argv[1] !== 'tag').map((argv) => argv.join(' '))).toEqual([])
    }
    const next = await project.deploy()
    expect([at, told(next), serving(project)]).toEqual([at, 'no error', NEW])
  }
})
