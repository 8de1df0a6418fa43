import { afterEach, describe, expect, test } from 'bun:test'
import type { Damage } from '../fakes/engine.ts'
import { type FakeFleet, NAMES, type Name } from '../fakes/fleet.ts'
import { told } from '../scenes/shop.ts'
import { NEW, OLD, of, removeFleets, running, serving, write } from '../scenes/shop-fleet.ts'

afterEach(removeFleets)

const DAMAGES = ['none', 'all'] as const

/**
 * Comes back to where version one serves, with version two in the files, before each docker command of the change on one
 * host. @param tryOne what becomes of it there: whatever is wrong
 */
async function atEachCommand(
  title: string,
  name: Name,
  tryOne: (fleet: FakeFleet, at: number) => Promise<readonly string[]>,
): Promise<void> {
  const fleet = await serving(`${title}-${name}`)
  fleet.keep()
  write(fleet, 2)
  const calls = await changeOn(fleet, name)
  const wrong = new Map<string, string>()
  for (const [index, argv] of calls.entries())
    for (const what of await tryOne(fleet, index + 1)) wrong.set(what, `${index + 1}. ${argv.slice(0, 6).join(' ')}`)
  expect(wrong).toEqual(new Map())
}

/** The same, where the command has done nothing and where it has done all that it was asked for. */
const withEach =
  (tryOne: (fleet: FakeFleet, at: number, damage: Damage) => Promise<readonly string[]>) =>
  async (fleet: FakeFleet, at: number) => {
    const wrong: string[] = []
    for (const damage of DAMAGES) {
      fleet.comeBack()
      wrong.push(...(await tryOne(fleet, at, damage)).map((what) => `${damage}: ${what}`))
    }
    return wrong
  }

describe.each(['a', 'b'] as const)('at each docker command of a change on host %s', (name) => {
  test('it fails: all hosts run the old or all the new release, and the next deploy repairs it', async () => {
    const fails = withEach(async (fleet, at, damage) => {
      fleet.engines[name].intercept = (_, count) => (count === at ? { damage } : undefined)
      return tryOut(fleet)
    })
    await atEachCommand('hosts-any', name, fails)
  })

  test('the host is lost: the others are all old or all new, and once it is back a deploy repairs it', async () => {
    const kinds = new Set<string>()
    await atEachCommand('hosts-lost', name, async (fleet, at) => {
      fleet.comeBack()
      fleet.onCommand = (each, _, count) => {
        if (each === name && count === at) fleet.lost.add(name)
      }
      const others = NAMES.filter((each) => each !== name)
      return tryOut(fleet, others, kinds)
    })
    expect([...kinds].toSorted()).toEqual(['after-commit', 'not-restored', 'unreachable'])
  })

  test('the run dies: the next deploy repairs it', async () => {
    const dies = withEach(async (fleet, at, damage) => {
      await fleet.dieAt(name, at, damage, () => fleet.project.deploy({ version: 'v2' }))
      return problemsNext(fleet)
    })
    await atEachCommand('hosts-dead', name, dies)
  })
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
  return [...wrong, ...(await problemsNext(fleet))]
}

/** @returns what is not as it has to be after a deploy that must not fail */
async function problemsNext(fleet: FakeFleet): Promise<string[]> {
  const next = await fleet.project.deploy({ version: 'v3' })
  const wrong = next.error ? [`next deploy: ${told(next)}`] : []
  for (const name of NAMES)
    if (!Bun.deepEquals(running(fleet, name), of(NEW, name)))
      wrong.push(`next: ${name}: ${running(fleet, name).join('; ')}`)
  return wrong
}
