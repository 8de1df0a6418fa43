import { type Load, startLoad, versionsBetween } from '../../load/load.ts'
import type { Engine } from '../../support/engine.ts'
import { median, type Row } from '../row.ts'
import { type Way, ways } from './ways.ts'

const ROUNDS = 2
const RATE = 100
/** Milliseconds after a command for which requests are still counted; in the second half, what answers is looked at. */
const AFTER = 3_000
/** Milliseconds after a release was killed: processes that continue by themselves have ended by then. */
const AFTER_KILL = 12_000

/** What was done to an application under load, and the result. */
interface Outcome {
  readonly made: number
  readonly failed: number
  readonly code: number
  /** how many requests the wanted version answered */
  readonly answered: number
  /** milliseconds: all of it, and until the wanted version answered a request */
  readonly took: number
  readonly switched: number
  /** what answers at the end, and what runs: `new`, `old`, or of each service */
  readonly answers: string
  readonly runs: string
  /** what web has of the version that should run, where that was looked at: `image env config secret` */
  readonly exact?: string
}

type Scenario = 'good' | 'back' | 'failing' | 'after it' | 'killed' | 'after that'

/** Each way in turn, round after round, on one engine: the same application, load and changes. */
export async function peerRows(engine: Engine): Promise<Row[]> {
  const all = await ways(engine)
  const outcomes = new Map(all.map((way) => [way, new Map<Scenario, Outcome[]>()]))
  try {
    for (const way of all) await begin(engine, way)
    for (let round = 1; round <= ROUNDS; round++)
      for (const way of all)
        for (const [scenario, outcome] of await once(engine, way, round)) {
          const own = outcomes.get(way)
          own?.set(scenario, [...(own.get(scenario) ?? []), outcome])
        }
    return [...outcomes].flatMap(([way, found]) => rowsOf(way, found))
  } finally {
    for (const way of all) await way.cleanUp()
  }
}

async function begin(engine: Engine, way: Way): Promise<void> {
  way.write('v0', false)
  const { code, stderr } = await run(way, way.first ?? way.release('v0'))
  if (code !== 0) throw new Error(`Cannot begin with ${way.name} on ${engine.name}: exit ${code}\n${stderr}`)
}

const run = (way: Way, commands: string) => way.folder.exec(['sh', '-ec', commands], { timeout: 300 })

/** One round of a way. Versions are called by their round: `g` is good, `f` fails, `k` is killed; `h` and `i` come after. */
async function once(engine: Engine, way: Way, round: number): Promise<[Scenario, Outcome][]> {
  const [good, bad, next, killed, last] = [`g${round}`, `f${round}`, `h${round}`, `k${round}`, `i${round}`]
  const before = round === 1 ? 'v0' : `i${round - 1}`
  const release = (version: string, fails = false) => {
    way.write(version, fails)
    return measure(engine, way, { new: version }, () => run(way, way.release(version)))
  }
  if (round > 1 && way.repair !== undefined) await run(way, way.repair) // a killed release may have left it broken
  const found: [Scenario, Outcome][] = [['good', await release(good)]]
  const { commands, git } = way.back
  if (git) {
    way.write(before, false)
    way.folder.write('token', `${good}\n`) // a secret is not in git: no one has restored the old one
  }
  const back = await measure(engine, way, { old: before }, () => run(way, commands(before)))
  found.push(['back', { ...back, exact: await exactness(way, before) }])
  found.push(['failing', await release(bad, true)], ['after it', await release(next)])
  way.write(killed, false)
  found.push(['killed', await measure(engine, way, { new: killed }, () => killedHalfway(way, killed), AFTER_KILL)])
  found.push(['after that', await release(last)])
  return found
}

/** The version that a command should make live: a new one, or an old one again. */
type Wanted = { readonly new: string } | { readonly old: string }

/** Does something under load. */
async function measure(
  { ip }: Engine,
  way: Way,
  wanted: Wanted,
  act: () => Promise<{ code: number }>,
  after = AFTER,
): Promise<Outcome> {
  const load = await startLoad({ ip, port: way.port, host: way.host, rate: RATE, seconds: 300, long: false })
  await Bun.sleep(500)
  const began = load.now()
  const { code } = await act()
  const ended = load.now()
  await Bun.sleep(after)
  const over = load.now()
  const result = await load.stop()
  const number = result.versions.indexOf(versionOf(wanted))
  const answered = result.requests.filter(([at, , by]) => by === number && at >= began)
  const first = Math.min(...answered.map(([at, took]) => at + took))
  return {
    ...{ made: result.made, failed: result.failures.length, code, took: ended - began },
    answered: answered.length,
    switched: first - began, // Infinity: never
    answers: answersAt(result, over - AFTER / 2, over, wanted),
    runs: await runningIn(way, wanted),
  }
}

function versionOf(wanted: Wanted): string {
  return 'new' in wanted ? wanted.new : wanted.old
}

/** @returns `new`, `old`, both or `none` */
function ageOf(versions: readonly string[], wanted: Wanted): string {
  const [own, other] = 'new' in wanted ? ['new', 'old'] : ['old', 'new']
  const ages = versions.map((version) => (version === versionOf(wanted) ? own : other))
  return [...new Set(ages)].toSorted().join(' and ') || 'none'
}

function answersAt(load: Load, from: number, to: number, wanted: Wanted): string {
  return ageOf(versionsBetween(load, from, to), wanted)
}

/** Prints the versions of the running containers of web, and of worker, a line each. */
const RUNNING = `for filter in "$1" "$2"; do
  ids=$(docker ps -q $filter --filter status=running)
  [ -z "$ids" ] || docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' $ids | sed -n 's/^VERSION=//p' | tr '\\n' ' '
  echo
done`

/** @returns the age of what runs, if it is the same for all services; otherwise of each service */
async function runningIn(way: Way, wanted: Wanted): Promise<string> {
  const { stdout } = await way.folder.exec(['sh', '-c', RUNNING, 'sh', way.filter('web'), way.filter('worker')])
  const [web = '', worker = ''] = stdout.split('\n').map((line) => ageOf(line.split(' ').filter(Boolean), wanted))
  return web === worker ? web : `web ${web}, worker ${worker}`
}

/** Ends all that a release has started here 0.3 s after the first container of the new version exists. */
const KILL = `count() { docker ps -aq $filter | wc -l; }
filter=$2; before=$(count)
setsid sh -ec "$1" >/dev/null 2>&1 </dev/null & pid=$!
while [ "$(count)" -le "$before" ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
sleep 0.3; kill -9 -$pid; wait $pid`

const killedHalfway = (way: Way, version: string) =>
  way.folder.exec(['sh', '-c', KILL, 'sh', way.release(version), way.filter('web')], { timeout: 120 })

const ALL = 'all of it'

/** What the running container of web has: a word for each part of the version that it should have. */
const PARTS = `id=$(docker ps -q $1 --filter status=running | head -n 1)
docker exec "$id" sh -c 'cat /app/release; echo "$VERSION"; cat /app.conf /run/secrets/token'`

async function exactness(way: Way, version: string): Promise<string> {
  const { stdout } = await way.folder.exec(['sh', '-c', PARTS, 'sh', way.filter('web')])
  const found = stdout.trim().split('\n')
  const parts = ['image', 'environment', 'config', 'secret'] as const
  const other = parts.filter((_, at) => found[at] !== version)
  return other.length === 0 ? ALL : `not: ${other.join(', ')}`
}

/** What we promise in each scenario, apart from no failed request: how it ends, and what answers then. */
const PROMISED: Record<Scenario, { readonly code: number; readonly answers: string }> = {
  good: { code: 0, answers: 'new' },
  back: { code: 0, answers: 'old' },
  failing: { code: 5, answers: 'old' },
  'after it': { code: 0, answers: 'new' },
  killed: { code: 137, answers: 'old' },
  'after that': { code: 0, answers: 'new' },
}

function rowsOf(way: Way, found: ReadonlyMap<Scenario, readonly Outcome[]>): Row[] {
  const isOurs = way.name === 'stagecraft'
  const rows = [...found].map(([scenario, outcomes]): Row => {
    const { code, answers } = PROMISED[scenario]
    const kept = ({ failed, exact = ALL, ...one }: Outcome) =>
      failed === 0 &&
      one.code === code &&
      one.answers === answers &&
      exact === ALL &&
      (scenario === 'killed' || one.runs === answers)
    return {
      what: `${way.name}: ${NAMES[scenario]}`,
      measured: textOf(scenario, outcomes),
      limit: isOurs ? `0 failed; exit ${code}; answers: ${answers}` : '(told only)',
      ok: !isOurs || outcomes.every(kept),
    }
  })
  const typed = [way.release('v'), way.back.commands('v')].map((commands) => commands.split('\n').length)
  const install = `${(way.installs / 1e6).toFixed(way.installs < 1e6 ? 3 : 0)} MB; ${typed.join(' and ')} commands`
  const what = `${way.name}: to install; to type for a release, and for the way back`
  return [...rows, { what, measured: install, limit: '(told only)', ok: true }]
}

function textOf(scenario: Scenario, outcomes: readonly Outcome[]): string {
  const sum = (key: 'made' | 'failed' | 'answered') => outcomes.reduce((total, outcome) => total + outcome[key], 0)
  const each = (key: 'code' | 'answers' | 'runs' | 'exact') =>
    [...new Set(outcomes.map((outcome) => outcome[key]))].join(', ')
  const seconds = (key: 'took' | 'switched') => `${(median(outcomes.map((one) => one[key])) / 1000).toFixed(1)} s`
  const more = {
    good: `, first answer after ${seconds('switched')}`,
    back: `, first answer after ${seconds('switched')}; as it was: ${each('exact')}`,
    failing: `; answered by it: ${sum('answered')}`,
  }
  const text = `${sum('failed')} of ${sum('made')} failed; exit ${each('code')}; answers: ${each('answers')}; runs: ${each('runs')}; ${seconds('took')}`
  return `${text}${scenario in more ? more[scenario as keyof typeof more] : ''}` // checked: it has that key
}

const NAMES: Record<Scenario, string> = {
  good: 'a good release',
  back: 'back to the release before',
  failing: 'a release whose healthcheck fails',
  'after it': 'the next good release',
  killed: 'a release killed halfway',
  'after that': 'the next release after that',
}
