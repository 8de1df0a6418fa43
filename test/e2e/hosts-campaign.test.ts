import { afterAll, describe, expect, test } from 'bun:test'
import { HOST_FAULTS } from '../campaign/hosts/faults.ts'
import { hostsCampaign } from '../campaign/hosts/hosts.ts'
import { NAMES } from '../campaign/hosts/shop.ts'
import type { World } from '../campaign/hosts/world.ts'
import { writtenRows } from '../campaign/tables.ts'
import { isUp } from '../support/lab.ts'

/**
 * A process and a disk; engines are in faults.test.ts, the proxy in proxy-loss, laptops that sleep and cables in ssh-locks and
 * ssh-faults.
 */
const SOME = ['kill -9 of the run and all that it started', 'the disk of a host is full']

// By itself, after the other end-to-end tests: some of them need the same hosts.
describe.skipIf(!NAMES.every(isUp) || !isUp('h1'))('two operators on two hosts, a little of the campaign', () => {
  let world: World | undefined
  afterAll(async () => {
    await world?.cleanUp()
  })

  test('after any fault of a run, its report is true, and the other run continues', async () => {
    const printed: string[] = []
    const faults = HOST_FAULTS.filter(({ name }) => SOME.includes(name))
    const print = (line: string) => printed.push(line)
    const some = { seed: 12, from: 0, count: SOME.length, minutes: 40, faults, print }
    const rounds = await hostsCampaign(some, (made) => {
      world = made
    })
    world = undefined
    expect(rounds.flatMap(({ title, failures }) => failures.map((what) => `${title}: ${what}`))).toEqual([])
    expect(rounds.map(({ fault }) => fault).sort()).toEqual(SOME.toSorted())
    // Checks that this machine cannot run (no libfaketime) are listed in the output.
    const leftOut = printed.filter((line) => line.startsWith('LEFT OUT'))
    if (leftOut.length > 0) process.stderr.write(`${leftOut.join('\n')}\n`)
    // What the spec says of a fault is said of one that there is, and no check failed.
    const names = [...HOST_FAULTS.map(({ name }) => name), 'all']
    const written = writtenRows('hosts')
    expect(written.filter(([fault = '']) => !names.includes(fault))).toEqual([])
    expect(written.filter((row) => row.at(-1) !== '0')).toEqual([])
  }, 3_000_000) // rounds of minutes each on a busy machine
})
