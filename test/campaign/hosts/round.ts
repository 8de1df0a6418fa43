import { dice } from '../../support/dice.ts'
import type { Ran, Running } from '../../support/engine.ts'
import { BAD_FATES, type Fate, type Version } from '../app.ts'
import { type Failures, summaryOf } from '../checks.ts'
import { eventsOf } from '../records.ts'
import { checkAll, checkExit, checkOneVersion } from './checks.ts'
import { HOST_FAULTS, type HostFault, type Scene } from './faults.ts'
import { eventsPrinted, type Operator } from './operators.ts'
import { historyOf } from './view.ts'
import type { World } from './world.ts'

/** One fault and its result: the index and the seed reproduce it. */
export interface Round {
  readonly fault: string
  readonly title: string
  readonly exit: number
  /** what the next command reported as found; undefined: nothing */
  readonly outcome: string | undefined
  readonly failures: Failures
  readonly seconds: number
}

/** Everything that the dice decide. */
export interface Choice {
  readonly index: number
  readonly fault: HostFault
  readonly kind: Fate | 'rollback'
  readonly extra: boolean
  readonly nextExtra: boolean
  /** after how many lines of output it happens, and how many milliseconds later */
  readonly lines: number
  readonly delay: number
  readonly place: number
  readonly victim: number
  readonly skews: readonly number[]
  /** whether a prune comes before the next deploy */
  readonly prune: boolean
  readonly roll: (sides: number) => number
}

const SKEWS = [0, 0, -120, 20, 45, 3600]
const MOST_LINES = 26
const MOST_DELAY = 600

/** One fault after the other, in an order that the seed decides: after one full cycle each has been used once. */
export function choose(seed: number, index: number, faults: readonly HostFault[] = HOST_FAULTS): Choice {
  const roll = dice(seed * 100_003 + index)
  const shuffle = dice(seed + Math.floor(index / faults.length))
  const order = faults.map((fault) => ({ fault, at: shuffle(1_000_000) })).sort((a, b) => a.at - b.at)
  const fault = order[index % faults.length]?.fault as HostFault
  const fate = roll(2) === 0 ? 'good' : (BAD_FATES[roll(BAD_FATES.length)] ?? 'good')
  return {
    ...{ index, fault, roll, kind: roll(6) === 0 ? 'rollback' : fate },
    ...{ extra: roll(2) === 0, nextExtra: roll(2) === 0, lines: roll(MOST_LINES), delay: roll(MOST_DELAY) },
    ...{ place: roll(2), victim: roll(2), prune: roll(2) === 0 },
    skews: [SKEWS[roll(SKEWS.length)] ?? 0, SKEWS[roll(SKEWS.length)] ?? 0],
  }
}

/** Injects one fault into one run, then has the other operator look and deploy; checks everything. */
export async function oneRound(world: World, choice: Choice): Promise<Round> {
  const began = performance.now()
  const { index, fault, kind, skews } = choice
  const [victim, other] = pairOf(world, choice)
  for (const [which, operator] of world.operators.entries()) operator.skew = world.clocks ? (skews[which] ?? 0) : 0
  const place = world.places[choice.place] ?? world.first
  const version = world.version(kind === 'rollback' ? 'good' : kind, choice.extra)
  const [rival, next] = [world.version('good', choice.extra), world.version('good', choice.nextExtra)]
  const title = `${index}: ${fault.name} (${place.name}), ${kind === 'rollback' ? 'rollback' : `deploy of ${version.name}, ${kind},`} by ${victim.name} (${clockOf(victim)}), after ${choice.lines} lines and ${choice.delay} ms; then ${other.name} (${clockOf(other)})${choice.prune ? ' prunes and' : ''} deploys ${next.name}`
  const before = (await historyOf(world.first, world.shop)).live ?? '?'
  const running = world.start(victim, kind === 'rollback' ? undefined : version)
  const scene: Scene = { world, place, victim, other, running, rival, roll: choice.roll, meanwhile: [] }
  const late = await moment(running, choice)
  await fault.inflict(scene)
  const ran = await running.done
  const meanwhile = scene.meanwhile.flatMap(({ what, ran, exits }) =>
    exits.includes(ran.code) ? [] : [`${what}: ${summaryOf(ran)}`],
  )
  const overtaken = scene.meanwhile.some(({ what, ran: { code } }) => code === 0 && what.includes('deploy'))
  if (fault.away) await healAll(world)
  // Its report is what was true when it last asked, not what happens after that.
  const claimed = overtaken || late ? undefined : { before, within: fault.away ? COMES_BACK : AT_ONCE }
  const ordinary = kind === 'good' || kind === 'rollback' ? 0 : 5
  const exit = await checkExit(world, ran, [ordinary, ...fault.exits], claimed)
  if (!fault.away) await healAll(world)
  const { outcome, failures } = await afterwards(world, { ...choice, late }, next)
  const all = [...meanwhile, ...exit, ...failures, ...world.canaries.found.splice(0)]
  const failed = all.length > 0 ? [...all, `the run itself: ${summaryOf(ran)}`] : []
  const seconds = (performance.now() - began) / 1000
  return { fault: fault.name, title, exit: ran.code, outcome, failures: failed, seconds }
}

const pairOf = ({ operators }: World, { victim }: Choice) =>
  [operators[victim] as Operator, operators[1 - victim] as Operator] as const

/** Milliseconds: what is true now; what a host that begins again may take to answer. */
const [AT_ONCE, COMES_BACK] = [1_000, 60_000]

const healAll = (world: World) => Promise.all(world.places.map((place) => place.heal()))

const clockOf = ({ skew }: Operator) => (skew === 0 ? 'clock right' : `clock ${skew > 0 ? '+' : ''}${skew} s`)

/** Waits until the run has printed as much as was chosen, and a little longer. @returns whether it has said by then how it ends */
async function moment(running: Running, { lines, delay }: Choice): Promise<boolean> {
  let over = false
  void running.done.then(() => {
    over = true
  })
  const end = performance.now() + 120_000
  while (!over && eventsPrinted(running) < lines && performance.now() < end) await Bun.sleep(10)
  await Promise.race([running.done, Bun.sleep(delay)])
  return /"type":"finished"|"status":"failed"|"phase":"finalize","status":"completed"/.test(running.output())
}

/**
 * The other operator looks, perhaps prunes, and deploys: afterwards all is well, on all hosts. Damage to the proxy after a
 * run had said how it ends is for the next deploy to repair, not for a prune.
 */
async function afterwards(world: World, choice: Choice & { late: boolean }, next: Version) {
  const [victim, other] = pairOf(world, choice)
  const status = await world.run(other, ['status', '--json'])
  const failures: Failures = [0, 5].includes(status.code) ? [] : [`status by ${other.name}: ${summaryOf(status)}`]
  const said: Ran[] = []
  if (choice.prune) {
    const prune = await world.run(other, ['prune', '--json', '--wait', '2m'], 280)
    said.push(prune)
    if (prune.code !== 0) failures.push(`prune by ${other.name}: ${summaryOf(prune)}`)
    else
      failures.push(
        ...(await checkOneVersion(world, { answers: !choice.late })).map((what) => `after a prune: ${what}`),
      )
  }
  const deployed = await world.deploy(other, next)
  said.push(deployed)
  if (deployed.code !== 0) failures.push(`the next deploy, of ${next.name} by ${other.name}: ${summaryOf(deployed)}`)
  failures.push(...(await checkAll(world, next)))
  const lock = await world.run(victim, ['lock', 'status'])
  if (lock.code !== 0) failures.push(`lock status by ${victim.name}: ${summaryOf(lock)}`)
  const recoveries = said.flatMap(({ stdout }) => eventsOf(stdout)).filter(({ type }) => type === 'recovery')
  if (failures.length > 0) failures.push(...recoveries.map(({ message }) => `recovery said: ${message}`))
  if (failures.length > 0) failures.push(...said.map((ran) => `then: ${summaryOf(ran)}`))
  return { outcome: recoveries[0]?.outcome, failures }
}
