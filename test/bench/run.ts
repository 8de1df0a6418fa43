// The figures that must hold, as a table. Exit 1 if one does not. `--only startup|state|swarm|deploy|rollback|rolling|edge|ssh` measures less;
// Only `--only peers` compares it with other tools (spec/guides/comparison.md).
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { RUN } from '../support/folder.ts'
import { host, isUp } from '../support/lab.ts'
import { dockerAnswers, Lab, whyNoLab } from '../support/lab-life.ts'
import { commandStep, endAll } from '../support/steps.ts'
import { deployRows } from './deploy.ts'
import { edgeRows } from './edge.ts'
import { peerRows } from './peers/rows.ts'
import { endStacks } from './peers/ways.ts'
import { rollbackRows } from './rollback.ts'
import { rollingRows } from './rolling.ts'
import type { Row } from './row.ts'
import { sshRows } from './ssh.ts'
import { startupRows } from './startup.ts'
import { stateRows } from './state.ts'
import { swarmRows } from './swarm.ts'

const { values: flags } = parseArgs({ options: { only: { type: 'string' } } })
process.chdir(join(import.meta.dir, '../..'))
const isPeers = flags.only === 'peers'
const lab = whyNoLab() === undefined ? new Lab(isPeers ? ['h4'] : ['h1', 'h3']) : undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop())

try {
  const build = await commandStep('build', [process.execPath, 'build.ts'])
  if (build.failed > 0) throw new Error(build.output)
  const labUp = lab?.up()
  const rows = [...(await part('startup', startupRows)), ...(await part('state', stateRows))]
  rows.push(...(await part('swarm', swarmRows)))
  await labUp
  if (isPeers) {
    rows.push(...(await peerRows(isUp('h4') ? host('h4') : host('h1'))))
  } else if (isUp('h1') || (await dockerAnswers())) {
    rows.push(...(await part('deploy', () => deployRows(host('h1')))))
    rows.push(...(await part('rollback', () => rollbackRows(host('h1')))))
    rows.push(...(await part('rolling', () => rollingRows(host('h1')))))
    rows.push(...(await part('edge', () => edgeRows(host('h1')))))
    if (isUp('h3')) rows.push(...(await part('ssh', sshRows)))
  } else rows.push({ what: '`deploy`', measured: 'no Docker engine answers', limit: 'an engine', ok: false })
  print(rows)
  process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1
} finally {
  await lab?.down()
}

/** `--only <part>` measures just that. */
async function part(name: string, rows: () => Row[] | Promise<Row[]>): Promise<Row[]> {
  return flags.only === undefined || flags.only === name ? rows() : []
}

async function stop(): Promise<void> {
  await endAll()
  if (isPeers && isUp('h4')) await endStacks(host('h4'), RUN)
  if (lab?.startedSome) await lab.down()
  else if (isUp('h1')) await host(isPeers ? 'h4' : 'h1').cleanUp(RUN)
  process.exit(130)
}

function print(rows: readonly Row[]): void {
  const [cpu] = cpus()
  const machine = `${cpu?.model ?? 'unknown'}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`
  const cells = rows.map(({ what, measured, limit, ok }) => [what, measured, limit, ok ? 'ok' : 'BROKEN'])
  const table = [['what', 'measured', 'must be', ''], ...cells]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |\n`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|\n`
  const [head = [], ...body] = table
  process.stdout.write(
    `${machine}, ${new Date().toISOString().slice(0, 10)}\n\n${line(head)}${rule}${body.map(line).join('')}`,
  )
}
