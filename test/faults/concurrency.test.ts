// Several processes at one state file, and at one environment: nothing that was acknowledged is lost, nobody shares.
// Needs neither an engine nor root: docker is test/fixtures/idle-docker/docker.
import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readLock } from '../../lib/lock/environment-lock.ts'
import { openState } from '../../lib/record/releases.ts'
import type { Release } from '../../lib/record/releases-file/format.ts'
import { type Printed, scratch, stagecraft } from '../support/command-line.ts'

const FIXTURES = join(import.meta.dir, '../fixtures')
/** Milliseconds: alongside the end-to-end tests, which take all processors, everything takes several times as long. */
const LIMIT = 600_000

/** How often each of two environments is deployed at the same time; by hand more of it. */
const ROUNDS = Number(process.env['STAGECRAFT_ROUNDS'] ?? 25)

let remove: (() => void) | undefined
afterEach(() => remove?.())

function project() {
  const folder = scratch({ 'stagecraft.yml': 'project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n' })
  remove = folder.remove
  return {
    path: folder.path,
    state: join(folder.path, '.stagecraft/releases.json'),
    log: join(folder.path, 'docker.log'),
  }
}

/** @returns what the file holds, oldest first */
function recordsIn(file: string): Release[] {
  return openState(file, { clock: Date.now }).history().toReversed()
}

/** The ids increase, so each is there once, and each record names the one before it of its environment. */
function expectWhole(records: readonly Release[]): void {
  const unordered = records.flatMap(({ id }, index) => (index > 0 && id <= (records[index - 1]?.id ?? '') ? [id] : []))
  const latest = new Map<string, string>()
  const unchained = records.flatMap(({ id, environment, previous_id }) => {
    const before = latest.get(environment)
    latest.set(environment, id)
    return previous_id === before ? [] : [id]
  })
  expect({ unordered, unchained }).toEqual({ unordered: [], unchained: [] })
}

/** @returns how often what follows differs from what came before it */
function changesIn(list: readonly string[]): number {
  return list.filter((entry, index) => index > 0 && entry !== list[index - 1]).length
}

type Attempt = Printed & { readonly version: string }

async function deployOnce(
  version: string,
  environment: string,
  { path, log }: ReturnType<typeof project>,
): Promise<Attempt> {
  const env = { PATH: `${FIXTURES}/idle-docker:${process.env['PATH']}`, WHO: version, DOCKER_LOG: log }
  return { version, ...(await stagecraft(['deploy', '--env', environment, '--version', version], { cwd: path, env })) }
}

/** Attempts of a side until it has had its number of deploys: so many more than that no luck is needed. */
const MOST_ATTEMPTS = 1000

/** Deploys again and again, `<side>1`, `<side>2` …, until `count` were not refused. */
async function deployUntil(count: number, side: string, shared: ReturnType<typeof project>): Promise<Attempt[]> {
  const attempts: Attempt[] = []
  while (withExit(attempts, 0).length < count && attempts.length < MOST_ATTEMPTS)
    attempts.push(await deployOnce(`${side}${attempts.length + 1}`, 'prod', shared))
  return attempts
}

function withExit(attempts: readonly Attempt[], code: number): string[] {
  return attempts.flatMap(({ exit, version }) => (exit === code ? [version] : []))
}

function versionsOf(records: readonly Release[]): string[] {
  return records.map(({ version }) => version).sort()
}

function notCompleted(records: readonly Release[]): Release[] {
  return records.filter(({ phases }) => Object.values(phases).some((status) => status !== 'completed'))
}

function expectFree(stateFile: string, environment: string): void {
  expect(readLock(stateFile, environment)).toEqual({ locked: false })
  expect(existsSync(join(stateFile, `../locks/${environment}.json`))).toBe(false)
}

test(
  'two processes make 500 releases each in one file: there are 1,000, with 1,000 ids',
  async () => {
    const { state } = project()
    const sides = [
      ['prod', '500', 'staging'],
      ['staging', '500', 'prod'],
    ]
    const makers = sides.map((side) =>
      Bun.spawn([process.execPath, join(FIXTURES, 'release-maker.ts'), state, ...side], { stdin: 'ignore' }),
    )
    expect(await Promise.all(makers.map(({ exited }) => exited))).toEqual([0, 0])
    const records = recordsIn(state)
    expect(records.length).toBe(1000)
    expectWhole(records)
    for (const environment of ['prod', 'staging']) {
      const own = records.filter((record) => record.environment === environment)
      expect(own.map(({ version }) => version)).toEqual(Array.from({ length: 500 }, (_, made) => `v${made}`))
    }
    // They worked at the same time: each had begun before the other one had ended.
    const of = records.map(({ environment }) => environment)
    expect(of.indexOf('prod')).toBeLessThan(of.lastIndexOf('staging'))
    expect(of.indexOf('staging')).toBeLessThan(of.lastIndexOf('prod'))
  },
  LIMIT,
)

test(
  'of the deploys of two who deploy one environment 15 times each is completed and recorded, or exits 7 and left no trace',
  async () => {
    const shared = project()
    const sides = await Promise.all(['a', 'b'].map((side) => deployUntil(15, side, shared)))
    const attempts = sides.flat()
    expect(attempts.find(({ exit }) => exit !== 0 && exit !== 7)).toBeUndefined()
    const [done, refused] = [withExit(attempts, 0), withExit(attempts, 7)]
    expect(done.length).toBe(30)
    const records = recordsIn(shared.state)
    expect(versionsOf(records)).toEqual(done.toSorted())
    expect(notCompleted(records)).toEqual([])
    expectWhole(records)
    // The runs that were refused asked the engine nothing, and nobody else's question came between those of a run.
    const asked = readFileSync(shared.log, 'utf8').trimEnd().split('\n')
    expect([...new Set(asked)].sort()).toEqual(done.toSorted())
    expect(changesIn(asked)).toBe(done.length - 1)
    expectFree(shared.state, 'prod')
    // They did meet.
    expect(refused.length).toBeGreaterThan(0)
  },
  LIMIT,
)

test(
  `two environments of one project are deployed ${ROUNDS} times each, at the same time: nothing is lost`,
  async () => {
    const shared = project()
    const attempts: Attempt[] = []
    for (
      let round = 1;
      round <= ROUNDS;
      round++ // both at once, each time
    )
      attempts.push(
        ...(await Promise.all(['prod', 'staging'].map((name) => deployOnce(`${name}-${round}`, name, shared)))),
      )
    expect(attempts.find(({ exit }) => exit !== 0)).toBeUndefined()
    const records = recordsIn(shared.state)
    expect(versionsOf(records)).toEqual(attempts.map(({ version }) => version).sort())
    expect(records.length).toBe(2 * ROUNDS)
    expect(notCompleted(records)).toEqual([])
    expectWhole(records)
    for (const environment of ['prod', 'staging']) {
      const own = records.filter((record) => record.environment === environment)
      expect(own.map(({ version }) => version)).toEqual(
        Array.from({ length: ROUNDS }, (_, n) => `${environment}-${n + 1}`),
      )
      expectFree(shared.state, environment)
    }
    expect(changesIn(records.map(({ environment }) => environment))).toBeGreaterThanOrEqual(ROUNDS)
  },
  LIMIT,
)
