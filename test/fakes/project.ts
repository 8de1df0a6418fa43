import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { unescapeDollars } from '../../lib/compose/load.ts'
import type { ComposeModel } from '../../lib/compose/model.ts'
import { type Host, localHost } from '../../lib/hosts/host.ts'
import type { Event } from '../../lib/output/events.ts'
import type { Plan } from '../../lib/plan/input.ts'
import { openProject, openSettings, type ProjectOptions } from '../../lib/project/open.ts'
import type { LockedSession, Session } from '../../lib/project/session.ts'
import type { Project, Settings } from '../../lib/project/settings.ts'
import { type Bundle, readBundle } from '../../lib/record/bundle.ts'
import { openState, stateFile } from '../../lib/record/releases.ts'
import type { Release } from '../../lib/record/releases-file/format.ts'
import type { RollbackRequest } from '../../lib/record/rollback-target.ts'
import { planDown, takeDown } from '../../lib/release/by-hand/down.ts'
import type { DownWish } from '../../lib/release/by-hand/down-plan.ts'
import { deploy, planDeploy } from '../../lib/release/deploy.ts'
import { withEnvironmentLocked } from '../../lib/release/locked.ts'
import { type Moved, moveState } from '../../lib/release/move-state.ts'
import { planRollback, prepareRollback, type Rollback, rollback } from '../../lib/release/rollback.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { type Damage, FakeEngine } from './engine.ts'

/** A deploy syncs some forty files: in memory that costs nothing. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

const PREVIOUS: RollbackRequest = { to: 'previous' }

/** How a deploy ended, whole. */
export interface Outcome {
  readonly error: StagecraftError | undefined
  readonly events: readonly Event[]
  /** the newest release; undefined where none was made */
  readonly release: Release | undefined
  readonly bundle: Bundle | undefined
}

/** A project folder with an engine in memory. */
export class FakeProject {
  readonly folder: string
  /** connects to the hosts of an environment that has some */
  openHost: NonNullable<ProjectOptions['openHost']> | undefined
  /** a manager of a Swarm, for an environment that has `hosts` */
  openManager: (() => Promise<Partial<Host>>) | undefined
  /** How a Swarm itself keeps the releases: test/hosts/swarm-store.test.ts. */
  readonly openSwarm = async (): Promise<Host> => ({
    ...localHost(this.engine.exec, stateFile(this.folder)),
    marks: 'configs',
    ...(await this.openManager?.()),
  })
  #versions = 0
  #life = 0

  /** @param folder where; default: a new one in memory @param engine another project's, to be on the same one */
  constructor(
    readonly title: string,
    folder?: string,
    readonly engine = new FakeEngine(),
  ) {
    this.folder = realpathSync(folder ?? mkdtempSync(join(SCRATCH, `stagecraft-${title}-`)))
  }

  write(file: string, content: string, mode?: number): string {
    const path = join(this.folder, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    if (mode !== undefined) chmodSync(path, mode)
    return path
  }

  open(environment?: string): Promise<Project> {
    return openProject(this.engine.exec, { ...this.#place(environment), warn: () => {} })
  }

  #place(environment: string | undefined) {
    const { openHost } = this
    const place = {
      directory: this.folder,
      environment,
      stateOverride: undefined,
      onSwarm: true,
      openSwarm: this.openSwarm,
    }
    return { ...place, ...(openHost ? { openHost } : {}) }
  }

  world(emit: (event: Event) => void = () => {}, signal = new AbortController().signal): Session {
    const life = this.#life
    // The dead ask for nothing more, also not what they had begun alongside what is waited for.
    const exec: Exec = (argv, options) =>
      life === this.#life ? this.engine.exec(argv, options) : new Promise(() => {})
    return { exec, clock: this.engine.clock, emit, user: 'tester', signal }
  }

  async plan(version = 'next', emit: (event: Event) => void = () => {}): Promise<Plan> {
    return only(await planDeploy(await this.open(), { name: version, commit: '' }, this.world(emit))).plan
  }

  /** Deploys what the engine's model says now. Never throws for a deploy that fails. */
  async deploy(
    options: {
      version?: string
      environment?: string
      signal?: AbortSignal
      onEvent?: (event: Event) => void
      mend?: () => void
      /** as a host keeps what was written */
      persist?: () => Promise<void>
    } = {},
  ): Promise<Outcome> {
    const { persist } = options
    const project = await this.open(options.environment)
    const version = options.version ?? `v${++this.#versions}`
    const kept = (world: LockedSession) => (persist ? { ...world, held: { ...world.held, persist } } : world)
    return this.#outcome(project, (world) => deploy(project, { name: version, commit: '' }, kept(world)), options)
  }

  /** Only what every command does first: repairs what a run that died has left. */
  async recover(environment?: string): Promise<Outcome> {
    return this.#outcome(await openSettings(this.#place(environment)), async () => {})
  }

  /** `stagecraft down`, answered with yes. */
  async down(wish: Partial<DownWish> = {}, environment?: string): Promise<Outcome> {
    const settings = await openSettings(this.#place(environment))
    const all = { volumes: false, history: false, ...wish }
    const work = async (world: LockedSession) => takeDown(settings, await planDown(settings, all, world), all, world)
    return this.#outcome(settings, work, { command: 'down' })
  }

  /** `stagecraft state move`, for the project that a deploy would be of. */
  async moveState(lost = false): Promise<Outcome & { moved?: Moved | undefined }> {
    const project = await this.open()
    let moved: Moved | undefined
    const work = async (world: LockedSession) => {
      moved = await moveState(project, project.model.name, world, { lost })
    }
    const outcome = await this.#outcome(project, work, { command: 'state move' })
    return { ...outcome, moved }
  }

  /** Does work that changes the environment, as the commands do. */
  async #outcome(
    settings: Settings,
    work: (world: LockedSession) => Promise<unknown>,
    options: { signal?: AbortSignal; onEvent?: (event: Event) => void; mend?: () => void; command?: string } = {},
  ): Promise<Outcome> {
    const events: Event[] = []
    const emit = (event: Event) => {
      events.push(event)
      options.onEvent?.(event)
    }
    const error = await withEnvironmentLocked(
      settings,
      { command: options.command ?? 'deploy', wait: 0 },
      this.world(emit, options.signal),
      work,
    ).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    options.mend?.() // what the test broke, before anything is looked at
    if (error !== undefined && !(error instanceof StagecraftError)) throw error
    const release = this.releases()[0]
    return { error, events, release, bundle: release && readBundle(this.stateFile, release.id) }
  }

  /**
   * Does `work` as if its process had died at a docker command, the n-th or the first that fits: that one does what
   * `damage` says, and what was on disk and on the engine then is what is left. @returns whether it came to that command
   */
  async dieAt(
    which: number | ((argv: readonly string[]) => boolean),
    damage: Damage,
    work: () => Promise<unknown>,
  ): Promise<boolean> {
    const fits = (argv: readonly string[], count: number) => (typeof which === 'number' ? count === which : which(argv))
    let dead = false
    this.engine.calls = []
    this.engine.intercept = (argv, count) => {
      if (dead) return { damage: 'none' } // the dead ask for nothing more
      dead = fits(argv, count)
      if (dead) this.keep('dead')
      return dead ? { damage } : undefined
    }
    await work().catch(() => {})
    if (dead) this.#life++
    this.engine.intercept = () => undefined
    if (dead) this.comeBack('dead')
    return dead
  }

  /** @throws where there is nothing to roll back to */
  async prepareRollback(request: RollbackRequest = PREVIOUS, environment?: string): Promise<Rollback> {
    const settings = await openSettings(this.#place(environment))
    return prepareRollback(settings, request, this.world())
  }

  async planRollback(request?: RollbackRequest): Promise<Plan> {
    return only(await planRollback(await this.prepareRollback(request), this.world())).plan
  }

  /** Never throws for a rollback that fails, or cannot begin: then `release` is still the newest one of all. */
  async rollback(request?: RollbackRequest, environment?: string): Promise<Outcome> {
    const settings = await openSettings(this.#place(environment))
    return this.#outcome(settings, (world) => rollback(prepareRollback(settings, request ?? PREVIOUS, world), world))
  }

  get stateFile(): string {
    return join(this.folder, '.stagecraft/releases.json')
  }

  releases(): Release[] {
    return openState(this.stateFile, { clock: this.engine.clock.now }).listReleases()
  }

  /** The model that a release runs by. */
  model(release: Release | undefined): ComposeModel {
    const file = join(this.folder, '.stagecraft/releases', release?.id ?? '', 'compose.json')
    return unescapeDollars(JSON.parse(readFileSync(file, 'utf8'))) as ComposeModel // written by the code under test
  }

  /** Keeps a copy of the state and the bundles, for `comeBack`. @param as a test's own, or that of a run that dies */
  keep(as: 'kept' | 'dead' = 'kept'): void {
    rmSync(`${this.folder}.${as}`, { recursive: true, force: true })
    cpSync(join(this.folder, '.stagecraft'), `${this.folder}.${as}`, { recursive: true })
  }

  comeBack(to: 'kept' | 'dead' = 'kept'): void {
    rmSync(join(this.folder, '.stagecraft'), { recursive: true })
    cpSync(`${this.folder}.${to}`, join(this.folder, '.stagecraft'), { recursive: true })
  }

  /** What runs, in words. */
  view(): string[] {
    return this.engine.view(this.engine.model?.name ?? '')
  }

  remove(): void {
    for (const end of ['', '.kept', '.dead']) rmSync(`${this.folder}${end}`, { recursive: true, force: true })
  }
}

/** Events as short lines: a phase and what became of it, a service and what happened to it. */
export function story(events: readonly Event[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'phase')
      return event.status === 'running' ? [] : [`${event.phase} ${event.status}${event.note ? `: ${event.note}` : ''}`]
    if (event.type === 'service') return [`  ${event.service} ${event.step}`]
    if (event.type === 'migration') return [`  ${event.database} ${event.step}: ${event.note.replace(/ \(.*/, '')}`]
    if (event.type === 'proxy') return [`  proxy ${event.step}: ${event.note}`]
    if (event.type === 'warning') return [`  warning: ${event.message}`]
    return event.type === 'output' ? [`  | ${event.line}`] : []
  })
}

function only<T>([one]: readonly T[]): T {
  if (one === undefined) throw new Error('there is none')
  return one
}
