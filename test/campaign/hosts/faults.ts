import { readFileSync } from 'node:fs'
import type { Ran, Running } from '../../support/engine.ts'
import type { Version } from '../app.ts'
import { descendants, killNow, programOf, signal } from '../processes.ts'
import type { Operator } from './operators.ts'
import type { Place } from './place.ts'
import type { World } from './world.ts'

/** A run that a fault is injected into, and what the fault may use. */
export interface Scene {
  readonly world: World
  /** the host that it happens on, where it happens on one */
  readonly place: Place
  readonly victim: Operator
  readonly other: Operator
  readonly running: Running
  /** @returns a number from 0, below `sides`, decided by the seed */
  readonly roll: (sides: number) => number
  /** what the other operator did meanwhile, with the exit codes that are right for it */
  readonly meanwhile: { readonly what: string; readonly ran: Ran; readonly exits: readonly number[] }[]
  /** what the other operator deploys, where that is part of the fault */
  readonly rival: Version
}

/** What can happen to a run on hosts, at a random moment. */
export interface HostFault {
  readonly name: string
  /** allowed exit codes, in addition to those of an undisturbed run */
  readonly exits: readonly number[]
  /** a disk in memory does not outlive it */
  readonly needs?: 'ext4'
  /** what the host answers can only be asked once that has been undone, and it may take a while to come back */
  readonly away?: true
  readonly inflict: (scene: Scene) => Promise<unknown>
}

const program = ({ running, victim }: Scene) => programOf(running.pid, victim.engine.binary()) ?? 0
const pause = ({ roll }: Scene, least: number, most: number) => Bun.sleep(least + roll(most - least))

/** Undone, not undone, given up or finished: what a run may report about hosts that it can no longer reach. */
const OUT_OF_REACH = [0, 5, 6, 8, 10]
const DISK = [0, 5, 9, 10]

const fault = (name: string, exits: readonly number[], inflict: HostFault['inflict']): HostFault => ({
  name,
  exits,
  inflict,
})

const away = (name: string, inflict: HostFault['inflict']): HostFault => ({
  ...fault(name, OUT_OF_REACH, inflict),
  away: true,
})

const signalled = (name: string, code: number, ...signals: NodeJS.Signals[]) =>
  fault(name, [code, 10], async (scene) => {
    for (const each of signals) {
      signal(program(scene), each)
      await Bun.sleep(200)
    }
  })

/** As a laptop sleeps: the program and all that it has started, for longer than its lock lasts. */
async function suspended(scene: Scene, work: () => Promise<unknown>): Promise<void> {
  const top = program(scene)
  if (top === 0) return
  const tree = [top]
  signal(top, 'SIGSTOP')
  for (const pid of descendants(top)) if (signal(pid, 'SIGSTOP')) tree.push(pid)
  try {
    await work()
  } finally {
    for (const pid of tree.reverse()) signal(pid, 'SIGCONT')
  }
}

async function rivalDeploys(
  { world, other, rival, meanwhile }: Scene,
  more: readonly string[],
  exits: readonly number[],
) {
  const ran = await world.start(other, rival, more).done
  meanwhile.push({ what: `the deploy of ${rival.name} by ${other.name}`, ran, exits })
}

export const HOST_FAULTS: readonly HostFault[] = [
  fault('nothing but clocks that differ', [], async () => {}),
  fault('kill -9 of the run', [137], async (scene) => killNow(program(scene), 'alone')),
  fault('kill -9 of the run and all that it started', [137], async (scene) => killNow(program(scene), 'group')),
  signalled('TERM', 143, 'SIGTERM'),
  signalled('INT twice', 130, 'SIGINT', 'SIGINT'),
  fault('the ssh of the run is killed', OUT_OF_REACH, async (scene) => {
    const ssh = descendants(program(scene)).filter((pid) => /(^|\/)ssh\0/.test(commandLine(pid)))
    signal(ssh[scene.roll(Math.max(1, ssh.length))] ?? 0, 'SIGKILL')
  }),
  fault('the laptop sleeps', [...OUT_OF_REACH, 9], (scene) => suspended(scene, () => pause(scene, 17_000, 20_000))),
  fault('the laptop sleeps, and another deploys', [...OUT_OF_REACH, 9], async (scene) => {
    let deployed: Promise<void> | undefined
    await suspended(scene, async () => {
      deployed = rivalDeploys(scene, ['--wait', '60s'], [0])
      // It wakes when the other one is done, or while it runs.
      await (scene.roll(2) === 0 ? deployed : Promise.race([deployed, pause(scene, 16_000, 20_000)]))
    })
    await deployed
  }),
  fault('two deploy at once', [7], (scene) => rivalDeploys(scene, [], [0, 7])),
  away('the cable of a host is cut', ({ place }) => place.lab('cut')),
  away('the cable of a host is out for a moment', async (scene) => {
    await scene.place.lab('cut')
    await pause(scene, 500, 4000)
    await scene.place.lab('heal')
  }),
  { ...away('the power of a host fails', ({ place }) => place.lab('kill')), needs: 'ext4' },
  fault('the sshd of a host stops', OUT_OF_REACH, ({ place }) => place.lab('hold', 'sshd')),
  fault('the sshd of a host restarts', OUT_OF_REACH, async ({ place }) => {
    await place.lab('hold', 'sshd')
    await place.lab('free', 'sshd')
  }),
  fault('the sshd of a host hangs', OUT_OF_REACH, ({ place }) => place.signal('STOP', 'sshd')),
  away('the engine of a host stops', ({ place }) => place.lab('hold', 'dockerd')),
  away('the engine of a host restarts', async ({ place }) => {
    await place.lab('hold', 'dockerd')
    await place.lab('free', 'dockerd')
  }),
  fault('the engine of a host hangs', OUT_OF_REACH, ({ place }) => place.signal('STOP', 'dockerd')),
  fault('the disk of a host is full', DISK, ({ place, roll }) => place.leave(roll(13))),
  fault('the disk of a host becomes read-only', DISK, ({ place }) => place.readOnly()),
  fault('the disk of a host is slow, and another reads', [], async (scene) => {
    await scene.place.slow(0.1)
    await whileRunning(scene, async () => {
      for (const args of [
        ['releases', 'list', '--json'],
        ['status', '--json'],
      ])
        scene.meanwhile.push({ what: args.join(' '), ran: await scene.world.run(scene.other, args), exits: [0, 5] })
    })
  }),
  fault('images come and go on a host', [], async (scene) => {
    const script = 'tar -C / -c etc/hostname | docker import -m "$1" - "churn:$1" && docker rmi "churn:$1"'
    let count = 0
    await whileRunning(scene, () => scene.place.try(script, `${scene.victim.folder.name}-${++count}`))
  }),
  fault('the proxy of a host is removed', [5, 6, 10], ({ place }) => place.try('docker rm -f stagecraft-proxy')),
  fault('the proxy of a host is stopped', [5, 6, 10], ({ place }) => place.try('docker stop -t 1 stagecraft-proxy')),
]

/** Repeats something while the run continues; 100 times at most. */
async function whileRunning({ running }: Scene, work: () => Promise<unknown>): Promise<void> {
  let over = false
  void running.done.then(() => {
    over = true
  })
  for (let times = 0; times < 100 && !over; times++) await work()
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended
  }
}
