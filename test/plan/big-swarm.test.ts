import { expect, test } from 'bun:test'
import { costOf, GENEROUS } from '../scenes/big-swarm.ts'

test('200 services on 50 nodes: the plan, and a rollout of all, take a few seconds of CPU time', async () => {
  const { plan, convergence, ...found } = await costOf(200, 50, 5)
  expect(found).toEqual({ changed: 200, done: 200, tasks: 10_000 })
  expect(plan + convergence).toBeLessThan(GENEROUS)
})
