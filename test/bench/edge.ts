import { join } from 'node:path'
import { type Load, type LoadTarget, percentile, startLoad } from '../load/load.ts'
import type { Engine } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { runCommand } from '../support/steps.ts'
import { deploy, run, webOf, writeApp } from './app.ts'
import { median, type Row } from './row.ts'

const [ROUNDS, SECONDS, RATE, SWITCHES, CHANGES] = [5, 3, 300, 25, 10]
/** Milliseconds from one switch to the next: as often as if routes changed all the time. */
const BETWEEN = 600
/** Of the requests a second of a plain Caddy. */
const LEAST = 0.7

/** How an application is reached: its own port, a plain Caddy, or the proxy that Stagecraft runs. */
type Way = 'bare' | 'plain' | 'ours'
type Targets = Readonly<Record<Way, LoadTarget>>

/**
 * What the proxy costs, in one run: the application itself, a Caddy that knows one address, and ours, which looks for a file at
 * each request; and what a switch costs that is a configuration which a proxy loads (so it is with a changed route of ours).
 */
export async function edgeRows(engine: Engine): Promise<Row[]> {
  const [ours, plain] = [engine.folder('bench-edge'), engine.folder('bench-plain')]
  try {
    const targets: Targets = { ...(await beginPlain(engine, plain)), ours: await beginOurs(engine, ours) }
    const loaded = await underLoad(targets.plain, () => switchAll(plain))
    const renamed = await underLoad(targets.ours, () => release(ours, 'v1'))
    const changed = await underLoad(targets.ours, () => changeRoutes(ours))
    return [...(await costRows(targets)), ...switchRows(loaded, renamed, changed)]
  } finally {
    await Promise.all([ours.cleanUp(), plain.cleanUp()])
  }
}

async function beginOurs(engine: Engine, folder: Folder): Promise<LoadTarget> {
  const host = writeRoute(folder, 0)
  await release(folder, 'v0')
  return { ip: engine.ip, host, rate: RATE, seconds: 300, long: false }
}

/** @returns the name of the route */
function writeRoute(folder: Folder, number: number): string {
  const host = `${folder.name}.test`
  const expose = { host, port: 3000, health: '/up', tls: 'off', headers: { 'X-Number': `${number}` } }
  folder.write('stagecraft.yml', JSON.stringify({ environments: { local: { services: { web: { expose } } } } }))
  return host
}

/** Nothing else of the application changes, so that each deploy loads a configuration. */
async function changeRoutes(folder: Folder): Promise<void> {
  for (let number = 1; number <= CHANGES; number++) {
    writeRoute(folder, number)
    await deploy(folder, 'v1')
  }
}

async function release(folder: Folder, version: string): Promise<void> {
  writeApp(folder, { web: webOf(version) })
  await deploy(folder, version)
}

async function beginPlain(engine: Engine, folder: Folder): Promise<Pick<Targets, 'bare' | 'plain'>> {
  const [bare, plain] = [await engine.freePort(), await engine.freePort()]
  const proxy = { image: 'caddy:2', ports: [`${plain}:80`], volumes: ['./caddy:/etc/caddy:ro'] }
  writeApp(folder, { a: { ...webOf('a'), ports: [`${bare}:3000`] }, b: webOf('b'), proxy })
  leadTo(folder, 'a')
  await run(folder, ['docker', 'compose', 'up', '-d', '--build', '--wait'])
  const target = { ip: engine.ip, host: 'plain.test', rate: RATE, seconds: 300, long: false }
  return { bare: { ...target, port: bare }, plain: { ...target, port: plain } }
}

function leadTo(folder: Folder, service: 'a' | 'b'): void {
  folder.write('caddy/Caddyfile', `:80 {\n  reverse_proxy ${service}:3000 {\n    lb_try_duration 10s\n  }\n}\n`)
}

async function switchAll(folder: Folder): Promise<void> {
  for (let number = 1; number <= SWITCHES; number++) {
    leadTo(folder, number % 2 === 0 ? 'a' : 'b')
    await run(folder, ['docker', 'compose', 'exec', '-T', 'proxy', 'caddy', 'reload', '-c', '/etc/caddy/Caddyfile'])
    await Bun.sleep(BETWEEN)
  }
}

async function underLoad(target: LoadTarget, change: () => Promise<void>): Promise<Load> {
  const load = await startLoad(target)
  await Bun.sleep(1000)
  await change()
  await Bun.sleep(1000)
  return load.stop()
}

/** How many are answered if all is asked at once; milliseconds at a rate that all can answer. */
interface Cost {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Each round asks all three, one after the other: the machine is as busy for each. */
async function costRows(targets: Targets): Promise<Row[]> {
  const ways = ['bare', 'plain', 'ours'] as const
  const rounds: Record<Way, Cost>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const measured = []
    for (const way of ways) measured.push([way, await measure(targets[way])] as const)
    rounds.push(Object.fromEntries(measured) as (typeof rounds)[number])
  }
  const row = (key: keyof Cost, what: string, unit: string, least?: number): Row => {
    const ratio = median(rounds.map(({ ours, plain }) => ours[key] / plain[key]))
    const [bare, plain, ours] = ways.map((way) => `${median(rounds.map((round) => round[way][key])).toFixed(1)}${unit}`)
    return {
      what: `${what}, against a plain Caddy`,
      measured: `${ratio.toFixed(2)} × (${ours}; Caddy ${plain}, the bare application ${bare})`,
      limit: least ? `≥ ${least} ×` : '(told only)',
      ok: ratio >= (least ?? 0),
    }
  }
  return [
    row('perSecond', 'requests a second through the proxy', '', LEAST),
    row('p50', `half of ${RATE} a second is faster than`, ' ms'),
    row('p99', `of ${RATE} a second 99 % are faster than`, ' ms'),
  ]
}

async function measure(target: LoadTarget): Promise<Cost> {
  const argv = ['node', join(import.meta.dir, '../load/rate.mjs'), JSON.stringify({ ...target, seconds: SECONDS })]
  const { code, output } = await runCommand(argv)
  const { perSecond, failed } = code === 0 ? JSON.parse(output) : { perSecond: 0, failed: output }
  if (failed !== 0) throw new Error(`Cannot measure ${target.host}: ${failed} failed`)
  const load = await underLoad(target, () => Bun.sleep(SECONDS * 1000))
  const all = [[0, Number.POSITIVE_INFINITY]] as const
  return { perSecond, p50: percentile(load, 50, all), p99: percentile(load, 99, all) }
}

function switchRows(loaded: Load, renamed: Load, changed: Load): Row[] {
  const lost = ({ failures, made }: Load) => `${failures.length} of ${made}`
  return [
    {
      what: `failed while a Caddy loads ${SWITCHES} configurations`,
      measured: lost(loaded),
      limit: '(told only)',
      ok: true,
    },
    {
      what: `failed while ${CHANGES} deploys change a route of ours`,
      measured: lost(changed),
      limit: '(told only)',
      ok: true,
    },
    {
      what: 'failed while a release of ours switches',
      measured: lost(renamed),
      limit: '0',
      ok: renamed.failures.length === 0,
    },
  ]
}
