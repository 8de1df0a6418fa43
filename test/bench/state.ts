// Run alone: prints the rows, exit 1 if one does not hold.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { openState } from '../../lib/record/releases.ts'
import { historyOf } from './history.ts'
import { type Row, ratioRow } from './row.ts'

const RELEASES = 10_000
const WRITES = 1 + 2 * PHASES.length
const PAIRS = 9

/** What recording a whole deploy costs after 10,000 releases, against as many bare writes of a file of that size. */
export function stateRows(): Row[] {
  // Next to the build's output, and so on the disk that holds the repository: /tmp may be memory, where fsync is free.
  const parent = join(import.meta.dir, '../../dist')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'bench-state-'))
  try {
    const history = historyOf(RELEASES)
    const pairs = Array.from({ length: PAIRS }, () => ({
      theirs: millisecondsOf(() => writeBare(folder, history)),
      ours: recordDeploy(folder, history),
    }))
    return [ratioRow(`state: ${WRITES} writes after 10,000 releases, against bare ones`, pairs, 2)]
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function writeBare(folder: string, bytes: Buffer): void {
  const [temporary, file] = [join(folder, 'bare.tmp'), join(folder, 'bare.json')]
  for (let count = 0; count < WRITES; count++) {
    const fd = openSync(temporary, 'w', 0o600)
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
    fsyncSync(fd)
    closeSync(fd)
    renameSync(temporary, file)
    const folderFd = openSync(folder, 'r')
    fsyncSync(folderFd)
    closeSync(folderFd)
  }
}

/** From opening the state to the last phase, as one `stagecraft deploy` does it. */
function recordDeploy(folder: string, history: Buffer): number {
  const file = join(folder, 'releases.json')
  writeFileSync(file, history)
  const milliseconds = millisecondsOf(() => {
    const state = openState(file, { clock: Date.now })
    const { id } = state.createRelease({ environment: 'prod', version: 'v', commit_sha: '' })
    for (const phase of PHASES) {
      state.updatePhase(id, phase, 'running')
      state.updatePhase(id, phase, 'completed')
    }
  })
  const { releases } = JSON.parse(readFileSync(file, 'utf8'))
  if (releases.length !== RELEASES + 1) throw new Error(`${releases.length} releases after the deploy`)
  return milliseconds
}

function millisecondsOf(run: () => void): number {
  const began = performance.now()
  run()
  return performance.now() - began
}

if (import.meta.main) {
  const rows = stateRows()
  for (const { what, measured, limit, ok } of rows) {
    process.stdout.write(`${what}: ${measured}, must be ${limit}: ${ok ? 'ok' : 'BROKEN'}\n`)
  }
  process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1
}
