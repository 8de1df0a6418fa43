import { describe, expect, test } from 'bun:test'
import { type Campaign, type Fault, tryFaults } from '../scenes/rolling-campaign.ts'
import { SCENARIOS } from '../scenes/routed.ts'
import { dice } from '../support/dice.ts'

const scenarios = Object.entries(SCENARIOS)

/** Every fault of a scenario, or one of `sides`. */
const attempts: [
  string,
  (campaign: Campaign, fault: Fault, roll: (sides: number) => number) => Promise<string[]>,
  number,
][] = [
  ['dies, and the next one repairs it', (campaign, fault) => campaign.die(fault), 1],
  ['dies, and the next one is a deploy', (campaign, fault) => campaign.die(fault, false), 2],
  ['dies, and so does the one that repairs it', (campaign, fault, roll) => campaign.dieTwice(fault, 1 + roll(25)), 2],
  ['fails once', (campaign, fault) => campaign.fail(fault), 1],
]

describe.each(attempts)('a run that %s: one version answers, and in the end all is old or new', (_, attempt, sides) => {
  test.each(scenarios)('%s', async (_, scenario) => {
    const roll = dice(5)
    const { wrong, tried } = await tryFaults(
      scenario,
      (campaign, fault) => attempt(campaign, fault, roll),
      () => roll(sides) === 0,
    )
    expect(wrong).toEqual(new Map())
    expect(tried).toBeGreaterThan(15)
  })
})
