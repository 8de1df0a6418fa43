import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { clockLibrary } from '../../support/clocks.ts'
import { markdownTable } from '../../support/markdown.ts'
import { HOST_FAULTS, type HostFault } from './faults.ts'
import type { DiskKind } from './place.ts'
import { choose, oneRound, type Round } from './round.ts'
import { World } from './world.ts'

/** Which faults: `from` the first index, `count` how many; `minutes` after which no more are begun. */
export interface HostsCampaign {
  readonly seed: number
  readonly from: number
  readonly count: number
  readonly minutes: number
  readonly faults: readonly HostFault[]
  /** a file of passed faults, to which new passes are added: they are not repeated */
  readonly held?: string | undefined
  readonly print: (line: string) => void
}

/** Characters of a line of what was printed. */
const MOST_SHOWN = 400

/** As many are on one kind of disk, then as many on the other. */
const BLOCK = 50

/** @returns the result of each fault; each was printed on one line, with what is needed to repeat it */
export async function hostsCampaign(
  campaign: HostsCampaign,
  onWorld: (world: World) => void = () => {},
): Promise<Round[]> {
  const { seed, from, count, minutes, held, print } = campaign
  const clocks = await clockLibrary()
  if (clocks === undefined) print('LEFT OUT: clocks that differ (libfaketime is not there, and apt cannot fetch it)')
  const end = performance.now() + minutes * 60_000
  const done: Round[] = []
  const before = heldBefore(held, seed)
  let world: World | undefined
  try {
    for (let index = from; index < from + count; index++) {
      const known = before.get(index)
      if (known) {
        done.push(known)
        continue
      }
      if (performance.now() > end) {
        print(`LEFT OUT: ${from + count - index} faults, from ${index} on: ${minutes} minutes are over`)
        break
      }
      const disk: DiskKind = Math.floor(index / BLOCK) % 2 === 0 ? 'ext4' : 'tmpfs'
      if (world?.first.disk !== disk) {
        await world?.cleanUp()
        world = new World(disk, clocks)
        onWorld(world)
        await world.begin()
      }
      const faults = campaign.faults.filter(({ needs }) => (needs ?? disk) === disk)
      const round = await oneRound(world, choose(seed, index, faults))
      done.push(round)
      print(lineOf(seed, round))
      if (round.failures.length > 0) await world.reset()
      else if (held) appendFileSync(held, `${JSON.stringify({ seed, index, round })}\n`)
    }
  } finally {
    await world?.cleanUp()
  }
  return done
}

/** @returns the results of a seed's passed faults, by their index */
function heldBefore(file: string | undefined, seed: number): Map<number, Round> {
  if (file === undefined || !existsSync(file)) return new Map()
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const all = lines.map((line) => JSON.parse(line) as { seed: number; index: number; round: Round })
  return new Map(all.flatMap((each) => (each.seed === seed ? [[each.index, each.round] as const] : [])))
}

function lineOf(seed: number, { title, exit, outcome, failures, seconds }: Round): string {
  const verdict = failures.length === 0 ? 'ok' : 'FAILED'
  const line = `${verdict} seed ${seed}, ${title}: exit ${exit}, then ${outcome ?? 'nothing'} to repair (${seconds.toFixed(0)} s)`
  // Events can be long: what they begin with says enough.
  const short = (text: string) =>
    text
      .split('\n')
      .map((each) => each.slice(0, MOST_SHOWN))
      .join('\n    ')
  return [line, ...failures.map((failure) => `  - ${short(failure)}`)].join('\n')
}

/** One row per fault: its exit codes, what the next command found, and how many checks failed. */
export function hostsTable(rounds: readonly Round[], faults: readonly HostFault[] = HOST_FAULTS): string {
  const head = ['fault', 'runs', 'exits', 'the next command finds', 'failed checks']
  const rows = faults.flatMap(({ name }) => {
    const some = rounds.filter(({ fault }) => fault === name)
    return some.length > 0 ? [[name, ...cellsOf(some)]] : []
  })
  return markdownTable([head, ...rows, ['all', ...cellsOf(rounds)]])
}

function cellsOf(rounds: readonly Round[]): string[] {
  const failed = rounds.filter(({ failures }) => failures.length > 0).length
  const exits = tally(rounds.map(({ exit }) => String(exit)).sort((a, b) => Number(a) - Number(b)))
  return [String(rounds.length), exits, tally(rounds.map(({ outcome }) => outcome ?? 'nothing').sort()), String(failed)]
}

/** @returns each text and how often it is there */
function tally(texts: readonly string[]): string {
  return [...new Set(texts)].map((text) => `${text} × ${texts.filter((each) => each === text).length}`).join(', ')
}
