// What a deploy writes - state, lock, bundle, journal, model, content, events - fails or is where the process dies, at
// every system call in turn. Needs strace. On CI its absence is a failure; elsewhere it is said.
import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openState } from '../../lib/record/releases.ts'
import { isLocked } from '../../lib/system/flock.ts'
import { type Call, callsOf, eachCall, have, underStrace, untilHit } from '../support/strace.ts'

const PROGRAM = join(import.meta.dir, '../fixtures/deploy-under-fault.ts')
/** The calls that change something. Reading is no danger. (statx and newfstatat: the marks of the program.) */
const CHANGES = ['openat', 'write', 'fsync', 'fchmod', 'chmod', 'rename', 'mkdir', 'unlink', 'statx', 'newfstatat']

const ALL = process.env['STAGECRAFT_ALL_FAULTS'] === '1'

const root = mkdtempSync(join(tmpdir(), 'stagecraft-deploy-faults-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function run(options: readonly string[]) {
  const project = mkdtempSync(join(root, 'project-'))
  return { project, ...(await underStrace([PROGRAM, project], join(project, 'trace'), options, CHANGES)) }
}

/** Whatever happened: every file is whole, and the lock is free. @returns what is not so */
function problemsIn(project: string): string[] {
  const folder = join(project, '.stagecraft')
  const problems: string[] = []
  const releases = openState(join(folder, 'releases.json'), { clock: Date.now }).listReleases()
  if (releases.length < 1 || releases.length > 2) problems.push(`${releases.length} releases`)
  const running = releases.flatMap(({ phases }) => Object.values(phases).filter((status) => status === 'running'))
  if (running.length > 1) problems.push(`${running.length} phases running`)
  for (const { id } of releases)
    for (const name of ['release.json', 'compose.json']) {
      const file = join(folder, 'releases', id, name)
      if (existsSync(file) && !isJson(readFileSync(file, 'utf8'))) problems.push(`torn ${name}`)
    }
  if (isLocked(join(folder, 'locks/local.lock'))) problems.push('still locked')
  return problems
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** @returns what is wrong with how it ended; nothing is fine. */
async function problemsOf(call: Call, inject: string): Promise<string[]> {
  const forget = ({ project }: { readonly project: string }) => rmSync(project, { recursive: true, force: true })
  const outcome = await untilHit(call, inject, run, forget)
  const problems = [...judge(outcome.exit, outcome.stdout), ...problemsIn(outcome.project)]
  forget(outcome)
  return problems.map((problem) => `${inject} at ${call.line}: ${problem}`)
}

/** A fault that is survived (a removal that fails, an event written later) is fine; one that is not ends with 9, whole. */
function judge(exit: string, stdout: string): string[] {
  if (exit === 'killed') return stdout === '' ? [] : [`killed, but it said ${stdout}`]
  const { told, serves, switched } = JSON.parse(stdout) as { told: string; serves: string; switched: boolean }
  const isNew = serves.includes('web of two running') && serves.includes('fresh of redis running')
  const wrong: string[] = []
  if (exit !== '0' && exit !== '9') wrong.push(`exit ${exit}`)
  if (exit === '9' && !switched && serves !== 'old') wrong.push(`not switched, but runs ${serves}`)
  if ((switched || exit === '0') && !isNew) wrong.push(`switched, but runs ${serves}`)
  const says = switched ? /v2 is live/ : /is still live|Nothing has been changed/
  if (exit === '9' && !says.test(told)) wrong.push('it does not say what is live')
  return wrong.map((what) => `${what}; it said: ${told}`)
}

describe.if(have('strace', Bun.which('strace') !== null, import.meta.path))('every write of a deploy', () => {
  const calls = async () => {
    const { exit, stdout, trace, project } = await run([])
    expect({ exit, ...JSON.parse(stdout) }).toMatchObject({ exit: '0', switched: true })
    const found = callsOf(trace).filter(({ name, line }) => !/stat/.test(name) && !/O_RDONLY|ENOENT|EEXIST/.test(line))
    expect(found.length).toBeGreaterThan(150)
    rmSync(project, { recursive: true })
    return found
  }

  // A twelfth of the places each, another by the other; by hand all of them (STAGECRAFT_ALL_FAULTS=1).
  // A quota is a full disk, and a failing one fails anywhere: a few.
  test.each([
    ['signal=KILL', 12, 0],
    ['error=ENOSPC', 12, 6],
    ['error=EIO', 16, 1],
    ['error=EDQUOT', 16, 9],
  ] as const)(
    'may meet %s',
    async (inject, each, offset) => {
      const chosen = (await calls()).filter((_, index) => ALL || index % each === offset)
      expect(await eachCall(chosen, (call) => problemsOf(call, inject))).toEqual([])
    },
    ALL ? 3_600_000 : 900_000,
  )
})
