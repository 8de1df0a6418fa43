import { type Damage, isQuestion } from '../fakes/engine.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { HOST, prepareScenario, type Scenario, snapshot } from './routed.ts'
import { told } from './shop.ts'

type Prepared = Awaited<ReturnType<typeof prepareScenario>>
type Snapshot = Prepared['old']

/** A command of a scenario, and what happens at it. */
export interface Fault {
  readonly index: number
  readonly damage: Damage
}

/** What is wrong after which fault: one example of each. */
export type Wrong = Map<string, string>

const DAMAGES: Damage[] = ['none', 'half', 'all']

/** @param choose whether a fault is tried: there are many */
export async function tryFaults(
  scenario: Scenario,
  attempt: (campaign: Campaign, fault: Fault) => Promise<string[]>,
  choose: () => boolean = () => true,
): Promise<{ wrong: Wrong; tried: number }> {
  const prepared = await prepareScenario(scenario)
  const campaign = new Campaign(scenario, prepared)
  const wrong: Wrong = new Map()
  let tried = 0
  for (const [index, argv] of prepared.calls.entries())
    for (const damage of isQuestion(argv) ? DAMAGES.slice(0, 1) : DAMAGES) {
      if (!choose()) continue
      tried++
      for (const what of await attempt(campaign, { index, damage }))
        wrong.set(what, `${prepared.commands[index]} (${damage})`)
    }
  prepared.project.remove()
  return { wrong, tried }
}

/** Tries what one fault does to a change, looking at each command at what a request would get. */
export class Campaign {
  readonly #seen = new Set<string>()

  constructor(
    readonly scenario: Scenario,
    readonly prepared: Prepared,
  ) {}

  /** A run dies there; then only its recovery, or at once the next deploy. */
  async die({ index, damage }: Fault, mendFirst = true): Promise<string[]> {
    const project = this.#start()
    const releases = project.releases().length
    await project.dieAt(index + 1, damage, this.prepared.work)
    const wrong: string[] = []
    if (mendFirst) {
      const recovered = await project.recover()
      if (recovered.error) wrong.push(`recovery: ${told(recovered)}`)
      wrong.push(...this.#judge(project, recovered, releases))
    }
    return [...wrong, ...(await this.#next(project))]
  }

  /** A run dies there, and the run that repairs it dies at its own command `at`. */
  async dieTwice({ index, damage }: Fault, at: number): Promise<string[]> {
    const project = this.#start()
    const releases = project.releases().length
    await project.dieAt(index + 1, damage, this.prepared.work)
    await project.dieAt(at, at % 2 === 0 ? 'half' : 'all', () => project.recover())
    const recovered = await project.recover()
    const wrong = recovered.error ? [`second recovery: ${told(recovered)}`] : this.#judge(project, recovered, releases)
    return [...wrong, ...(await this.#next(project))]
  }

  /** A command fails, once. */
  async fail({ index, damage }: Fault): Promise<string[]> {
    const project = this.#start()
    const releases = project.releases().length
    project.engine.intercept = (_, count) => (count === index + 1 ? { damage } : undefined)
    const outcome = (await this.prepared.work().catch((error: unknown) => ({ error }))) as Outcome // both have an error
    project.engine.intercept = () => undefined
    const kind = outcome.error?.kind
    const made = project.releases().length > releases
    const switched = made && outcome.bundle?.switched_at !== undefined
    const wrong: string[] = []
    if (!switched) wrong.push(...this.#judge(project, outcome, releases))
    if (switched && !this.#isNow(project.engine.proxy.answer(HOST))) wrong.push('switched, but the new does not serve')
    if (switched && ![undefined, 'after-commit'].includes(kind)) wrong.push(`switched, but ${kind}`)
    if (!switched && !['failed', 'unreachable', 'config'].includes(kind ?? '')) wrong.push(`not switched, but ${kind}`)
    return [...wrong, ...(await this.#next(project))]
  }

  #start(): FakeProject {
    const project = this.prepared.start()
    this.#seen.clear()
    project.engine.watch = () => {
      const { proxy } = project.engine
      const { answers, calls } = this.scenario
      const [answer, call] = [proxy.answer(HOST), proxy.call('shop_default', 'api', 4000)]
      if (answer.length !== 1 || !answers.includes(answer[0] ?? ''))
        this.#seen.add(`a request got ${answer.join(' or ')}`)
      const isOne = call.length === 1 || this.scenario.gap === true
      if (!isOne || call.some((got) => !calls.includes(got))) this.#seen.add(`a caller got ${call.join(' or ')}`)
    }
    return project
  }

  #isNow(answer: readonly string[]): boolean {
    return Bun.deepEquals(answer, this.prepared.now.answers)
  }

  /** All old or all new, as the newest release says. */
  #judge(project: FakeProject, { bundle }: Pick<Outcome, 'bundle'>, releases: number): string[] {
    const switched = project.releases().length > releases && bundle?.switched_at !== undefined
    const { old, now } = this.prepared
    return [
      ...(bundle?.journal === undefined ? [] : ['the journal is still open']),
      ...differences(switched ? now : old, snapshot(project)).map((what) => `${switched ? 'new' : 'old'}: ${what}`),
    ]
  }

  async #next(project: FakeProject): Promise<string[]> {
    const wrong: string[] = []
    if (this.scenario.work === undefined) {
      const { error } = await project.deploy()
      if (this.scenario.fails ? error?.kind !== 'failed' : error) wrong.push(`next deploy: ${told({ error })}`)
      for (const what of differences(this.prepared.now, snapshot(project))) wrong.push(`after the next deploy: ${what}`)
    } else await project.recover()
    project.engine.watch = () => {}
    return [...wrong, ...this.#seen]
  }
}

/** What a failed first expose may leave: an unused proxy and an unused network. */
const IDLE =
  /^(stagecraft-proxy of caddy 2 (running|created)( on stagecraft-shop)?$|0--stagecraft-proxy |stagecraft-shop )/

function differences(expected: Snapshot, found: Snapshot): string[] {
  const idle = expected.proxy.length === 0
  const trim = (snapshot: Snapshot) => {
    const without = (lines: readonly string[]) => (idle ? lines.filter((line) => !IDLE.test(line)) : lines)
    const answers = snapshot.answers.map((word) => (idle && word === '404' ? 'nobody' : word))
    return { ...snapshot, answers, proxy: without(snapshot.proxy), networks: without(snapshot.networks) }
  }
  const [a, b] = [trim(expected), trim(found)]
  const keys = Object.keys(a) as (keyof typeof a)[] // of this very object
  return keys.flatMap((key) =>
    Bun.deepEquals(a[key], b[key]) ? [] : [`${key} ${b[key].join('; ')} (expected ${a[key].join('; ')})`],
  )
}
