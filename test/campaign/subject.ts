import type { Engine, Ran, Running } from '../support/engine.ts'
import type { Folder } from '../support/folder.ts'
import { type Application, begin, type Fate, type Version, writeVersion } from './app.ts'
import { checkNext, checkReads, checkRecords, summaryOf } from './checks.ts'
import { idOf, viewOf } from './engine-view.ts'
import { Acknowledged, eventsOf, type Moment, momentOf, readState } from './records.ts'
import type { Site } from './site.ts'

/** What is done to the application, and everything that must be remembered to judge the result. */
export class Subject implements Application {
  folder: Folder
  acknowledged = new Acknowledged()
  /** what answers, as long as nothing is done */
  serving: Version = { name: 'v0', fate: 'good', extra: false }
  port = 0
  #versions = 0
  #db: string | undefined

  constructor(
    readonly engine: Engine,
    title: string,
    /** gives the project folder a disk of its own */
    readonly site?: Site,
  ) {
    this.folder = engine.folder(title)
  }

  /** Two releases, so that there is something to roll back to. @returns milliseconds that the second one took */
  async begin(): Promise<number> {
    if (this.port === 0) {
      this.port = await this.engine.freePort()
      this.folder = (await this.site?.smallDisk(this.folder)) ?? this.folder
    }
    await begin(this, this.version('good', false))
    this.#db = idOf(await viewOf(this, this.serving.name), 'db')
    const began = performance.now()
    this.serving = this.version('good', true)
    const ran = await this.start(this.serving).done
    if (ran.code !== 0) throw new Error(`Cannot begin: ${summaryOf(ran)}`)
    return performance.now() - began
  }

  /** After a failed check: a new application, so that the next round is judged by itself. */
  async reset(): Promise<void> {
    await this.engine.cleanUp(this.folder.name)
    this.folder.remove('.stagecraft')
    this.acknowledged = new Acknowledged()
    await this.begin()
  }

  /** One more good release. */
  async advance(extra = !this.serving.extra): Promise<void> {
    const version = this.version('good', extra)
    const ran = await this.start(version).done
    if (ran.code !== 0) throw new Error(`Cannot continue: ${summaryOf(ran)}`)
    this.serving = version
  }

  version(fate: Fate, extra: boolean, more: Partial<Version> = {}): Version {
    return { name: `v${++this.#versions}`, fate, extra, ...more }
  }

  /** Starts a deploy of a version, or a rollback. */
  start(version: Version | undefined, how: { wrap?: readonly string[]; env?: Record<string, string> } = {}): Running {
    if (version) writeVersion(this, version)
    const what = version ? ['deploy', '--version', version.name] : ['rollback', '--yes']
    const argv = [...(how.wrap ?? []), this.engine.binary(), ...what, '--json']
    return this.engine.start(argv, { cwd: this.folder.path, timeout: 280, env: how.env ?? {} })
  }

  known(): ReadonlySet<string> {
    return new Set(readState(this.folder).map(({ id }) => id))
  }

  /** Records the content of the state file during a run. */
  watch(): { stop: () => void } {
    const timer = setInterval(() => {
      try {
        this.acknowledged.observe(readState(this.folder))
      } catch {
        // a problem with it is found again, and reported, when the run has ended
      }
    }, 20)
    return { stop: () => clearInterval(timer) }
  }

  /** Judges what a run left behind, before and after the next command. */
  async judge(ran: Ran, known: ReadonlySet<string>, next: Version): Promise<Verdict> {
    const answered = (await this.engine.fetch(this.port)).status === 200
    this.acknowledged.printed(eventsOf(ran.stdout))
    const records = checkRecords(this, this.acknowledged)
    if (records.length > 0) return { answered, moment: NOWHERE, failures: records, outcome: undefined }
    const moment = momentOf(this.folder, readState(this.folder), known)
    const reads = await checkReads(this, moment)
    const { outcome, failures } = await checkNext(this, next, moment, this.#db, this.acknowledged)
    this.serving = next
    return { answered, moment, failures: [...reads, ...failures], outcome }
  }
}

const NOWHERE: Moment = { at: 'unknown', release: undefined, switched: false }

/** The result of one run that a fault was injected into. */
export interface Verdict {
  readonly moment: Moment
  /** the application answered before the next command */
  readonly answered: boolean
  /** what the next command reported as found */
  readonly outcome: string | undefined
  readonly failures: readonly string[]
}

/** Everything needed to look into a failed check; nothing if none failed. */
export function tellFailures(title: string, { moment, failures }: Verdict, ran: Ran): void {
  if (failures.length === 0) return
  process.stderr.write(`FAILED ${title}, ${moment.at} ${moment.release?.id ?? ''}\n`)
  for (const failure of failures) process.stderr.write(`  - ${failure.replaceAll('\n', '\n    ')}\n`)
  process.stderr.write(`  the run itself: ${summaryOf(ran).replaceAll('\n', '\n    ')}\n`)
}
