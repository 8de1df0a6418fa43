import type { Running } from '../support/engine.ts'
import { HOLDS, type Holder, STEPS, type Step } from './hold.ts'
import { killNow, programOf, signal } from './processes.ts'
import type { Site } from './site.ts'
import type { Subject } from './subject.ts'

/** A fault that can be injected into a run while it is held at a step. */
export interface Fault {
  readonly name: string
  readonly needs?: 'dockerd' | 'disk'
  /** Injects it, and lets the run continue. */
  inflict(scene: Scene): Promise<void>
  /** Undoes it, before the next command. */
  mend?(scene: Scene): Promise<void>
}

export interface Scene {
  readonly subject: Subject
  readonly site: Site
  readonly holder: Holder
  readonly running: Running
}

const program = ({ subject, running }: Scene) => programOf(running.pid, subject.engine.binary()) ?? 0

const signalled = (name: string, ...signals: NodeJS.Signals[]): Fault => ({
  name,
  async inflict(scene) {
    const pid = program(scene)
    for (const [at, each] of signals.entries()) {
      if (at > 0) await Bun.sleep(200)
      signal(pid, each)
    }
    // A command that the first signal ends is ended by that signal, not because it continues.
    await Promise.race([scene.running.done, Bun.sleep(1000)])
    scene.holder.go()
  },
})

const killed = (name: string, how: 'alone' | 'group'): Fault => ({
  name,
  async inflict(scene) {
    killNow(program(scene), how)
    scene.holder.go()
  },
})

export const FAULTS: readonly Fault[] = [
  killed('kill -9 of the process', 'alone'),
  killed('kill -9 of the process and all that it started', 'group'),
  signalled('TERM', 'SIGTERM'),
  signalled('HUP', 'SIGHUP'),
  signalled('INT twice', 'SIGINT', 'SIGINT'),
  {
    name: 'TERM of the docker command alone',
    async inflict({ holder }) {
      await holder.endCommand()
      holder.go()
    },
  },
  {
    name: 'the engine stops',
    needs: 'dockerd',
    async inflict({ site, holder }) {
      await site.stopEngine()
      holder.go()
    },
    mend: ({ site }) => site.startEngine(),
  },
  {
    name: 'the engine restarts',
    needs: 'dockerd',
    async inflict({ site, holder }) {
      await site.stopEngine()
      await site.startEngine()
      holder.go()
    },
  },
  {
    name: 'the engine hangs',
    needs: 'dockerd',
    async inflict({ site, holder }) {
      await site.signalEngine('STOP')
      holder.go()
    },
    mend: ({ site }) => site.signalEngine('CONT'),
  },
  {
    name: 'the disk of the project is full',
    needs: 'disk',
    async inflict({ site, holder }) {
      site.fillDisk()
      holder.go()
    },
    mend: async ({ site }) => site.emptyDisk(),
  },
  {
    name: 'the state becomes read-only',
    needs: 'disk',
    async inflict({ site, holder }) {
      await site.setReadOnly(true)
      holder.go()
    },
    mend: ({ site }) => site.setReadOnly(false),
  },
]

/** Streams are as they are from the first moment on: these runs are not held. */
export const STREAMS = {
  'nobody reads stdout': '"$@" | :',
  'stdout is a full device': '"$@" >/dev/full',
  'stderr is closed': '"$@" 2>&-',
} as const

/** The allowed outcomes of a fault at a step. Any other outcome is a failure. */
export interface Allowed {
  readonly exits: readonly number[]
  readonly serves: readonly string[]
  /** what the next command reports as found; `-` is nothing */
  readonly found: readonly string[]
}

const COMMITTED: readonly Step[] = ['retire', 'finalize']

/** Undone until the commit point, finished after it. */
export function allowedFor(fault: string, step: Step): Allowed {
  const committed = COMMITTED.includes(step)
  const touched = step === 'prepare' || step === 'switch'
  const dead = committed ? ['finished'] : touched ? ['undone'] : ['nothing']
  // The application cannot run twice: right after a kill in the switch either one may answer, or none.
  const left = committed ? ['new'] : step === 'switch' ? ['old', 'new', 'nothing'] : ['old']
  const restored = committed ? ['new'] : ['old']
  if (fault.startsWith('kill -9')) return { exits: [137], serves: left, found: dead }
  if (fault === 'INT twice') return { exits: committed ? [0, 130] : [130], serves: left, found: [...dead, '-'] }
  if (fault === 'TERM') return { exits: [committed ? 0 : 143], serves: restored, found: ['-'] }
  if (fault === 'HUP') return { exits: [committed ? 0 : 129], serves: restored, found: ['-'] }
  if (fault.startsWith('TERM of'))
    return {
      // removing is tried twice
      exits: committed ? [0, 10] : [5],
      serves: restored,
      found: committed ? ['-', 'finished'] : ['-'],
    }
  if (fault === 'the engine stops')
    return { exits: committed ? [8, 10] : touched ? [6, 8] : [8], serves: ['nothing'], found: ['-', ...dead] }
  if (fault === 'the engine restarts')
    return { exits: [0, committed ? 10 : 5, 8], serves: ['old', 'new'], found: ['-', ...dead] }
  if (fault === 'the engine hangs')
    return { exits: committed ? [8, 10] : touched ? [6, 8] : [5, 8], serves: left, found: ['-', ...dead] }
  // The prune in finalize may free enough space.
  const roomAgain = step === 'finalize' && fault.includes('full') ? [0] : []
  return { exits: [9, ...roomAgain], serves: restored, found: ['-', ...dead] }
}

export { HOLDS, STEPS, type Step }
