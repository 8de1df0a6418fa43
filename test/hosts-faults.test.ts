import { afterEach, describe, expect, test } from 'bun:test'
import { type FakeFleet, NAMES, type Name } from './support/fake-fleet.ts'
import { told } from './support/shop.ts'
import { NEW, OLD, of, running, serving, write } from './support/shop-fleet.ts'

const fleets: FakeFleet[] = []
afterEach(() => {
  for (const fleet of fleets.splice(0)) fleet.remove()
})

async function served(title: string): Promise<FakeFleet> {
  const fleet = await serving(title)
  fleets.push(fleet)
  return fleet
}

describe('whichever docker command fails on one host', () => {
  test.each(['a', 'b'] as const)(
    '%s: all serve the old or all the new, and the next deploy mends it',
    async (name) => {
      const fleet = await served(`hosts-any-${name}`)
      fleet.keep()
      write(fleet, 2)
      const calls = await changeOn(fleet, name)
      const wrong = new Map<string, string>()
      for (let at = 1; at <= calls.length; at++)
        for (const damage of ['none', 'all'] as const) {
          fleet.comeBack()
          fleet.engines[name].intercept = (_, count) => (count === at ? { damage } : undefined)
          for (const what of await tryOut(fleet))
            wrong.set(what, `${at}. ${calls[at - 1]?.slice(0, 6).join(' ')} (${damage})`)
        }
      expect(wrong).toEqual(new Map())
    },
    60_000,
  )
})

describe('whenever a host is lost', () => {
  test.each(['a', 'b'] as const)(
    '%s: the others are all old or all new, and when it is back the next deploy mends it',
    async (name) => {
      const fleet = await served(`hosts-lost-${name}`)
      fleet.keep()
      write(fleet, 2)
      const calls = await changeOn(fleet, name)
      const wrong = new Map<string, string>()
      const kinds = new Set<string>()
      for (let at = 1; at <= calls.length; at++) {
        fleet.comeBack()
        fleet.onCommand = (each, _, count) => {
          if (each === name && count === at) fleet.lost.add(name)
        }
        const others = NAMES.filter((each) => each !== name)
        for (const what of await tryOut(fleet, others, kinds))
          wrong.set(what, `${at}. ${calls[at - 1]?.slice(0, 6).join(' ')}`)
      }
      expect(wrong).toEqual(new Map())
      expect([...kinds].toSorted()).toEqual(['after-commit', 'not-restored', 'unreachable'])
    },
    60_000,
  )
})

describe('a run on several hosts that dies', () => {
  test.each(['a', 'b'] as const)(
    'at any command on %s: the next deploy mends it',
    async (name) => {
      const fleet = await served(`hosts-dead-${name}`)
      fleet.keep()
      write(fleet, 2)
      const calls = await changeOn(fleet, name)
      const wrong = new Map<string, string>()
      for (let at = 2; at <= calls.length; at++)
        for (const damage of ['none', 'all'] as const) {
          fleet.comeBack()
          await fleet.dieAt(name, at, damage, () => fleet.project.deploy({ version: 'v2' }))
          const next = await fleet.project.deploy({ version: 'v3' })
          const line = `${at}. ${calls[at - 1]?.slice(0, 6).join(' ')} (${damage})`
          if (next.error) wrong.set(told(next), line)
          for (const each of NAMES)
            if (!Bun.deepEquals(running(fleet, each), of(NEW, each)))
              wrong.set(`${each}: ${running(fleet, each).join('; ')}`, line)
        }
      expect(wrong).toEqual(new Map())
    },
    60_000,
  )
})

/** @returns the docker commands of a deploy of what is written, on one host. The fleet is where it was afterwards */
async function changeOn(fleet: FakeFleet, name: Name): Promise<string[][]> {
  fleet.comeBack()
  expect(told(await fleet.project.deploy())).toBe('no error')
  const { calls } = fleet.engines[name]
  expect(calls.length).toBeGreaterThan(15)
  return calls
}

/** @returns what is not as it has to be, after a deploy that may fail and one that must not */
async function tryOut(fleet: FakeFleet, hosts: readonly Name[] = NAMES, kinds = new Set<string>()): Promise<string[]> {
  const releases = fleet.project.releases().length
  const outcome = await fleet.project.deploy({ version: 'v2' })
  if (outcome.error) kinds.add(outcome.error.kind)
  const made = fleet.project.releases().length > releases
  const switched = made && outcome.bundle?.switched_at !== undefined
  const wrong: string[] = []
  for (const name of hosts) {
    const now = running(fleet, name)
    const expected = of(switched ? NEW : OLD, name)
    const well = switched ? expected.every((line) => now.includes(line)) : Bun.deepEquals(now, expected)
    if (!well) wrong.push(`${name} (${switched ? 'new' : 'old'}, ${outcome.error?.kind}): ${now.join('; ')}`)
  }
  if (switched && ![undefined, 'after-commit'].includes(outcome.error?.kind))
    wrong.push(`new serves, but ${told(outcome)}`)
  if (!switched && outcome.error === undefined) wrong.push('no error, and the old serves')
  for (const name of NAMES) fleet.engines[name].intercept = () => undefined
  fleet.onCommand = () => {}
  fleet.lost.clear()
  const next = await fleet.project.deploy({ version: 'v3' })
  if (next.error) wrong.push(`next deploy: ${told(next)}`)
  for (const name of NAMES)
    if (!Bun.deepEquals(running(fleet, name), of(NEW, name)))
      wrong.push(`next: ${name}: ${running(fleet, name).join('; ')}`)
  return wrong
}
