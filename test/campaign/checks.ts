import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Release } from '../../lib/record/releases-file/format.ts'
import type { Ran } from '../support/engine.ts'
import { type Application, type Version, writeVersion } from './app.ts'
import { differences, idOf, type View, viewOf } from './engine-view.ts'
import { type Acknowledged, type Event, eventsOf, isOpen, type Moment, readState } from './records.ts'

/** A check that failed, with what was found instead. */
export type Failures = string[]

/** seconds that a command which only reads may take, even during other runs */
const READS_WITHIN = 60
/** seconds that the next deploy may take: it may wait for the last docker command of a run that died */
const NEXT_WITHIN = 280

/** The state file is whole, and holds what was acknowledged. */
export function checkRecords({ folder }: Application, acknowledged: Acknowledged): Failures {
  try {
    const releases = readState(folder)
    const running = releases.flatMap(({ id, phases }) =>
      Object.entries(phases).flatMap(([phase, status]) => (status === 'running' ? [`${phase} of ${id}`] : [])),
    )
    return [
      ...acknowledged.observe(releases).map((what) => `an acknowledged record was lost: ${what}`),
      ...(running.length > 1 ? [`more than one phase is running: ${running.join(', ')}`] : []),
    ]
  } catch (error) {
    return [`the state file is not whole: ${error instanceof Error ? error.message : error}`]
  }
}

/** Commands that only read work, do not wait, and report the outcome of the run. */
export async function checkReads({ folder }: Application, { release }: Moment): Promise<Failures> {
  const read = (...args: string[]) => folder.stagecraft(args, { timeout: READS_WITHIN })
  const [list, status, plan] = await Promise.all([
    read('releases', 'list', '--json'),
    read('status', '--json'),
    read('plan', '--version', 'next'),
  ])
  return [
    ...(list.code === 0 ? [] : [`releases list: ${summaryOf(list)}`]),
    ...([0, 5].includes(status.code) ? [] : [`status: ${summaryOf(status)}`]), // 5: something is not as released
    ...(plan.code === 0 ? [] : [`plan: ${summaryOf(plan)}`]),
    ...(release && isOpen(release) && list.code === 0 ? await checkInterrupted(folder, release.id, list) : []),
  ]
}

async function checkInterrupted(folder: Application['folder'], id: string, list: Ran): Promise<Failures> {
  const shown = (ran: Ran) => listed(ran).find((release) => release.id === id)?.status
  // The last docker command of a run that died holds the lock until it ends: till then the release is still running.
  for (let tries = 0, last = list; ; tries++) {
    if (shown(last) === 'interrupted') return []
    if (tries > 100) return [`releases list shows ${id} as ${shown(last)}, not as interrupted`]
    await Bun.sleep(200)
    last = await folder.stagecraft(['releases', 'list', '--json'], { timeout: READS_WITHIN })
  }
}

function listed({ stdout }: Ran): { id: string; status: string }[] {
  const [line = '{}'] = stdout.split('\n')
  return JSON.parse(line).releases ?? []
}

/** What the next command found and did, and whether everything is correct afterwards. */
export interface Next {
  /** of the recovery that it reported */
  readonly outcome: string | undefined
  readonly failures: Failures
  readonly seconds: number
}

/** Deploys a good version over the current state, and checks everything. */
export async function checkNext(
  application: Application,
  version: Version,
  moment: Moment,
  db: string | undefined,
  acknowledged: Acknowledged,
): Promise<Next> {
  const { folder } = application
  writeVersion(application, version)
  const began = performance.now()
  const ran = await folder.stagecraft(['deploy', '--json', '--version', version.name], {
    timeout: NEXT_WITHIN,
  })
  const seconds = (performance.now() - began) / 1000
  const events = eventsOf(ran.stdout)
  acknowledged.printed(events)
  const recoveries = events.filter(({ type }) => type === 'recovery')
  const failures = [
    ...(ran.code === 0 ? [] : [`the next deploy: ${summaryOf(ran)}`]),
    ...checkRecovery(moment, recoveries),
    ...checkRecords(application, acknowledged),
    ...checkClosed(folder.here, readState(folder)),
    ...differences(await viewOf(application, version.name), application, version, db),
    ...(await checkFree(application)),
    ...(await checkAnswer(application, version)),
  ]
  return { outcome: recoveries[0]?.outcome, failures, seconds }
}

/** One event reports the outcome of a run that died; there is none for a run that had ended. */
function checkRecovery({ release, switched }: Moment, recoveries: readonly Event[]): Failures {
  if (release === undefined || !isOpen(release))
    return recoveries.length > 1 ? [`it told of ${recoveries.length} recoveries, though no run had died`] : []
  const [only] = recoveries
  if (recoveries.length !== 1 || only?.release !== release.id)
    return [`it told of ${JSON.stringify(recoveries)}, not of ${release.id}`]
  const allowed = switched ? ['finished'] : ['undone', 'nothing']
  return allowed.includes(only.outcome ?? '') ? [] : [`${release.id} was ${only.outcome}, not ${allowed.join(' or ')}`]
}

function checkClosed(here: string, releases: readonly Release[]): Failures {
  const files = readdirSync(join(here, '.stagecraft'), { recursive: true }).map(String)
  return [
    ...releases.filter(isOpen).map(({ id }) => `${id} is still open`),
    ...files.filter((file) => file.endsWith('.tmp')).map((file) => `.stagecraft/${file} is left over`),
    ...files.filter((file) => /^locks\/.*\.json$/.test(file)).map((file) => `.stagecraft/${file} names a holder`),
  ]
}

async function checkFree({ folder }: Application): Promise<Failures> {
  const ran = await folder.stagecraft(['lock', 'status'], { timeout: READS_WITHIN })
  return ran.code === 0 ? [] : [`lock status: ${summaryOf(ran)}`]
}

async function checkAnswer(application: Application, { name }: Version): Promise<Failures> {
  const { status, body } = await application.engine.fetch(application.port)
  return status === 200 && body.trim() === name ? [] : [`the application answers ${status} ${body.trim()}, not ${name}`]
}

export function summaryOf({ code, stdout, stderr }: Ran): string {
  const last = (text: string) => text.trim().split('\n').slice(-12).join('\n')
  return `exit ${code}\n${last(stderr)}\n${last(stdout)}`.trimEnd()
}

export { idOf, type View, viewOf }
