import { type Load, type LoadGenerator, percentile, startLoad } from '../load/load.ts'
import { type ContainerEvent, watchContainers } from '../load/watch.ts'
import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { deploy, run, webOf, writeApp } from './app.ts'
import { median, type Row } from './row.ts'

const ROLLOUTS = 20
const RATE = 300
/** How long one takes is measured with little else to do: half of these requests a second take 1 to 2 s. */
const [TIMED, LITTLE] = [7, 6]

/** The comparison: the same application and load, behind a Caddy of its own that finds it by Docker's DNS. */
const OTHERS = {
  '`docker compose up -d`': 'docker compose up -d --no-deps web',
  // https://github.com/Wowu/docker-rollout: scale to twice as many, wait until they are healthy, remove the old ones.
  'docker-rollout': `old=$(docker compose ps -q web)
docker compose up -d --no-deps --no-recreate --scale web=2 web
for i in $(seq 120); do
  healthy=$(docker inspect --format '{{.State.Health.Status}}' $(docker compose ps -q web) | grep -c '^healthy$')
  [ "$healthy" -lt 2 ] || break
  sleep 0.5
done
docker stop $old && docker rm $old`,
} as const

/** A rollout under load: when it began and ended, in milliseconds since the load began. */
type Span = readonly [from: number, to: number]

/** 20 rollouts under 300 requests a second: what was lost, how slow it was, and how long one takes. */
export async function rollingRows(engine: Engine): Promise<Row[]> {
  const ours = await rollOurs(engine)
  const rows = [
    row(
      `failed requests in ${ROLLOUTS} rollouts, of ${ours.load.made}`,
      failed(ours.load),
      '0',
      ours.load.failures.length === 0,
    ),
  ]
  const others: Row[] = []
  for (const [name, script] of Object.entries(OTHERS)) {
    const { load, rollouts, steady } = await rollOther(engine, script)
    rows.push(row(`the same with ${name}, of ${load.made}`, failed(load), '(told only)', true))
    others.push(row(`the same with ${name}`, slower(load, rollouts, steady), '(told only)', true))
  }
  return [...rows, ...latencyRows(ours), ...others, timeRow(ours.times)]
}

function row(what: string, measured: string, limit: string, ok: boolean): Row {
  return { what, measured, limit, ok }
}

function failed({ failures }: Load): string {
  const kinds = new Map<string, number>()
  for (const failure of failures) {
    const why = failure.replace(/^[\d.]+ s \w+: /, '').replace(/ .*/, '')
    kinds.set(why, (kinds.get(why) ?? 0) + 1)
  }
  const list = [...kinds].map(([why, count]) => `${count} ${why}`).join(', ')
  return list === '' ? '0' : `${failures.length} (${list})`
}

interface Ours {
  readonly load: Load
  /** the rollout phases, and the deploys that they are part of: before it, an image is built */
  readonly rollouts: readonly Span[]
  readonly deploys: readonly Span[]
  readonly steady: readonly Span[]
  readonly times: readonly Time[]
}

/**
 * Of one rollout, in milliseconds: all of its rollout phase; from the new container's start until it was healthy; from the
 * first request that it was given until the last one of the old container had its answer.
 */
interface Time {
  readonly rollout: number
  readonly start: number
  readonly drain: number
}

async function rollOurs(engine: Engine): Promise<Ours> {
  const folder = engine.folder('bench-rolling')
  const release = async (version: string) => {
    writeApp(folder, { web: webOf(version) })
    await deploy(folder, version)
  }
  try {
    const host = `${folder.name}.test`
    const expose = { host, port: 3000, health: '/up', tls: 'off' }
    folder.write('stagecraft.yml', JSON.stringify({ environments: { local: { services: { web: { expose } } } } }))
    await release('v0')
    const load = await startLoad({ ip: engine.ip, host, rate: RATE, seconds: 900, long: false })
    const [rollouts, deploys, steady, durations]: [Span[], Span[], Span[], number[]] = [[], [], [], []]
    const epoch = Date.now() - load.now()
    for (let number = 1; number <= ROLLOUTS; number++) {
      const quiet = load.now()
      await Bun.sleep(2000)
      const from = load.now()
      steady.push([quiet + 500, from])
      await release(`v${number}`)
      deploys.push([from, load.now()])
      const { began, duration } = rolloutOf(folder)
      rollouts.push([began - epoch, began - epoch + duration])
    }
    const result = await load.stop()
    const watch = watchContainers(engine, folder.name, 300)
    const little = await startLoad({ ip: engine.ip, host, rate: LITTLE, seconds: 300, long: false })
    for (let number = 1; number <= TIMED; number++) {
      await release(`timed-${number}`)
      durations.push(rolloutOf(folder).duration)
    }
    const timed = await little.stop()
    const failures = [...result.failures, ...timed.failures]
    const times = timesOf(durations, timed, await watch.stop())
    return { load: { ...result, failures }, rollouts, deploys, steady, times }
  } finally {
    await folder.cleanUp()
  }
}

/** Costs that no tool can avoid: the engine, which starts the containers, and the source of the requests. */
function timesOf(durations: readonly number[], load: Load, events: readonly ContainerEvent[]): Time[] {
  const starts = events.filter(({ action, service }) => action === 'start' && service === 'web')
  return durations.map((rollout, index) => {
    const began = starts[index]
    const healthy = events.find(({ action, id }) => action === 'healthy' && id === began?.id)
    const [old, fresh] = [answersOf(load, index), answersOf(load, index + 1)]
    const start = (healthy?.at ?? Number.NaN) - (began?.at ?? Number.NaN)
    return { rollout, start, drain: Math.max(0, old.lastEnd - fresh.firstBegan) }
  })
}

/** @param version as the load saw them, one after the other @returns when it was first asked, and when it last answered */
function answersOf({ requests }: Load, version: number): { firstBegan: number; lastEnd: number } {
  const own = requests.filter((request) => request[2] === version)
  return {
    firstBegan: own.reduce((first, [at]) => Math.min(first, at), Number.POSITIVE_INFINITY),
    lastEnd: own.reduce((last, [at, took]) => Math.max(last, at + took), 0),
  }
}

/** @returns when the newest release's rollout phase began, as epoch milliseconds, and how many it took. */
function rolloutOf(folder: Folder): { began: number; duration: number } {
  const id = JSON.parse(folder.read('.stagecraft/releases.json')).releases.at(-1).id
  const { rollout } = JSON.parse(folder.read(`.stagecraft/releases/${id}/release.json`)).phases
  return { began: Date.parse(rollout.started_at), duration: rollout.duration_ms }
}

function latencyRows({ load, rollouts, deploys, steady }: Ours): Row[] {
  const ok = percentile(load, 99, rollouts) <= 2 * percentile(load, 99, steady)
  return [
    row('p99 latency within the rollouts, against between them', slower(load, rollouts, steady), '≤ 2 ×', ok),
    row('the same within the whole deploys, builds included', slower(load, deploys, steady), '(told only)', true),
  ]
}

/** How slow the slowest percent of requests is in some spans, against in others. */
function slower(load: Load, spans: readonly Span[], against: readonly Span[]): string {
  const [during, between] = [percentile(load, 99, spans), percentile(load, 99, against)]
  return `${(during / between).toFixed(2)} × (${during.toFixed(1)} ms against ${between.toFixed(1)} ms)`
}

function timeRow(times: readonly Time[]): Row {
  const ratio = median(times.map(({ rollout, start, drain }) => rollout / (start + drain)))
  const [all, start, drain] = (['rollout', 'start', 'drain'] as const).map((key) =>
    Math.round(median(times.map((time) => time[key]))),
  )
  const measured = `${ratio.toFixed(2)} × (${all} ms; start to healthy ${start} ms, drain ${drain} ms)`
  return row('a rollout, against its container’s start and the drain', measured, '≤ 1.3 ×', ratio <= 1.3)
}

async function rollOther(engine: Engine, script: string): Promise<Omit<Ours, 'times' | 'deploys'>> {
  const folder = engine.folder('bench-other')
  const shell = (command: string) => run(folder, ['sh', '-c', command])
  let load: LoadGenerator | undefined
  const [rollouts, steady]: [Span[], Span[]] = [[], []]
  try {
    const port = await engine.freePort()
    const proxy = {
      image: 'caddy:2',
      ports: [`${port}:80`],
      command: ['caddy', 'reverse-proxy', '--from', ':80', '--to', 'web:3000'],
    }
    writeApp(folder, { web: webOf('v0'), proxy })
    await shell('docker compose build && docker compose up -d --wait')
    load = await startLoad({ ip: engine.ip, port, host: 'other.test', rate: RATE, seconds: 900, long: false })
    for (let number = 1; number <= ROLLOUTS; number++) {
      const quiet = load.now()
      await Bun.sleep(2000)
      writeApp(folder, { web: webOf(`v${number}`), proxy })
      const from = load.now()
      steady.push([quiet + 500, from])
      await shell(script)
      rollouts.push([from, load.now()])
    }
    return { load: await load.stop(), rollouts, steady }
  } finally {
    await folder.cleanUp()
  }
}
