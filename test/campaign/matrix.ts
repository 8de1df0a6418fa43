import type { Ran } from '../support/engine.ts'
import type { Version } from './app.ts'
import { type Allowed, allowedFor, FAULTS, type Fault, HOLDS, STEPS, STREAMS, type Step } from './faults.ts'
import { Holder } from './hold.ts'
import type { Site } from './site.ts'
import { type Subject, tellFailures, type Verdict } from './subject.ts'

/** The result of one fault at one step: a row of the table. */
export interface Cell extends Verdict {
  readonly fault: string
  readonly step: Step | 'throughout'
  readonly exit: number
  /** what answered right afterwards, before the next command */
  readonly serves: string
  /** what the next command reported as found, or `-` */
  readonly found: string
}

/** An engine that hangs is given up sooner than by default. */
const IMPATIENT = { STAGECRAFT_ENGINE_TIMEOUT: '12s' }

/** Every fault at every step, in the order of the table; `only` chooses some of them, `onCell` is called after each. */
export async function matrix(
  subject: Subject,
  site: Site | undefined,
  only: (fault: string, step: Cell['step']) => boolean = () => true,
  onCell: (cell: Cell) => void = () => {},
): Promise<Cell[]> {
  const cells: Cell[] = []
  const add = async (cell: Cell) => {
    cells.push(cell)
    onCell(cell)
    if (cell.failures.length > 0) await subject.reset()
  }
  const holder = new Holder(subject.engine.folder('tools'), `${subject.folder.path}/.stagecraft/releases.json`)
  for (const fault of FAULTS)
    for (const step of STEPS)
      if (only(fault.name, step) && (fault.needs === undefined || site))
        await add(await oneFault(subject, site, holder, fault, step))
  for (const [name, shell] of Object.entries(STREAMS))
    if (only(name, 'throughout')) await add(await oneStream(subject, name, shell))
  return cells
}

async function oneFault(
  subject: Subject,
  site: Site | undefined,
  holder: Holder,
  fault: Fault,
  step: Step,
): Promise<Cell> {
  // Services to retire must exist before, services to create and images to pull must not.
  const extra = step !== 'prepare' && step !== 'push'
  if (subject.serving.extra !== extra) await subject.advance(extra)
  const before = subject.serving
  const version = subject.version('good', !before.extra, { pulls: true })
  const known = subject.known()
  const running = subject.start(version, { env: { ...(await holder.prepare(HOLDS[step])), ...IMPATIENT } })
  const held = await holder.held(running.done)
  const scene = { subject, site: site as Site, holder, running }
  if (held) await fault.inflict(scene)
  const ran = await running.done
  const serves = await answerOf(subject, before, version)
  if (held) await fault.mend?.(scene)
  const missed = held ? [] : ['the run was never held there']
  return judge({ fault: fault.name, step, ran, serves, known, missed, allowed: allowedFor(fault.name, step) }, subject)
}

async function oneStream(subject: Subject, name: string, shell: string): Promise<Cell> {
  const before = subject.serving
  const version = subject.version('good', !before.extra)
  const known = subject.known()
  const inFile = `{ ${shell.replace('"$@"', '{ "$@"; echo $? >"$0"; }')}; }`
  const file = `${subject.folder.path}/exit`
  const { code: _, ...output } = await subject.start(version, { wrap: ['sh', '-c', inFile, file] }).done
  const ran = { ...output, code: Number(subject.folder.read('exit')) }
  subject.folder.remove('exit')
  const serves = await answerOf(subject, before, version)
  const allowed = { exits: [name === 'stdout is a full device' ? 9 : 0], serves: ['new'], found: ['-'] }
  return judge({ fault: name, step: 'throughout', ran, serves, known, missed: [], allowed }, subject)
}

interface Outcome {
  readonly fault: string
  readonly step: Cell['step']
  readonly ran: Ran
  readonly serves: string
  readonly known: ReadonlySet<string>
  readonly missed: readonly string[]
  readonly allowed: Allowed
}

async function judge({ fault, step, ran, serves, known, missed, allowed }: Outcome, subject: Subject): Promise<Cell> {
  const verdict = await subject.judge(ran, known, subject.version('good', true))
  const found = verdict.outcome ?? '-'
  const outside = [
    ...(allowed.exits.includes(ran.code) ? [] : [`it ended with ${ran.code}, not ${allowed.exits.join(' or ')}`]),
    ...(allowed.serves.includes(serves) ? [] : [`afterwards ${serves} serves, not ${allowed.serves.join(' or ')}`]),
    ...(allowed.found.includes(found) ? [] : [`the next command found ${found}, not ${allowed.found.join(' or ')}`]),
  ]
  const cell = {
    ...verdict,
    fault,
    step,
    exit: ran.code,
    serves,
    found,
    failures: [...missed, ...outside, ...verdict.failures],
  }
  tellFailures(`${fault}, ${step}`, cell, ran)
  return cell
}

async function answerOf({ engine, port }: Subject, before: Version, version: Version): Promise<string> {
  const { status, body } = await engine.fetch(port)
  const text = body.trim()
  return status !== 200 ? 'nothing' : text === before.name ? 'old' : text === version.name ? 'new' : text
}
