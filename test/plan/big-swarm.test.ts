import { expect, test } from 'bun:test'
import { costOf } from '../scenes/big-swarm.ts'

test('200 services on 50 nodes: the plan, and a rollout of all, take less than 2 s of our own time', async () => {
  const { plan, convergence, ...found } = await costOf(200, 50, 10)
  expect(found).toEqual({ changed: 200, done: 200, tasks: 10_000 })
  expect(plan + convergence).toBeLessThan(2_000)
}, 60_000)
