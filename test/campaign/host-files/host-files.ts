import { availableParallelism } from 'node:os'
import { markdownTable } from '../../support/markdown.ts'
import { SmallDisk, writeReadOnly, writeWithin } from './disks.ts'
import {
  type Bench,
  ERRORS,
  type Fault,
  hitRead,
  hitWrite,
  killWrite,
  processSpots,
  readDuring,
  recordedSpots,
} from './faults.ts'
import type { Machine } from './machine.ts'
import { States } from './state.ts'
import { spotsOf } from './strace.ts'

/** How much of it: `share` 1 takes every call, 10 each tenth; the pages and files that are free. */
export interface Extent {
  readonly share: number
  readonly errors: readonly string[]
  readonly free: readonly number[]
  readonly kinds: readonly SmallDisk['kind'][]
  readonly print: (line: string) => void
}

export const ALL: Omit<Extent, 'print'> = {
  share: 1,
  errors: ERRORS,
  free: [...Array.from({ length: 41 }, (_, at) => at), 60, 100],
  kinds: ['tmpfs', 'ext4'],
}

/** Everything that can happen to the files of a host. @param root a folder of the machine that is made, and removed at the end */
export async function hostFiles(machine: Machine, root: string, extent: Extent): Promise<Fault[]> {
  const states = new States(machine)
  try {
    const made = await machine.run(['mkdir', root])
    if (made.code !== 0) throw new Error(`Cannot make ${root} on ${machine.name}: ${made.stderr}`)
    await states.make(`${root}/template`)
    return [...(await calls(states, root, extent)), ...(await disks(states, root, extent))]
  } finally {
    states.remove()
    await machine.run(['sh', '-c', 'chmod -R u+w "$0"; rm -rf "$0"', root])
  }
}

async function calls(states: States, root: string, { share, errors, print }: Extent): Promise<Fault[]> {
  const bench = (at: number): Bench => ({ states, template: `${root}/template`, folder: `${root}/work-${at}` })
  const some = <T>(all: readonly T[]) => all.filter((_, at) => at % share === share - 1)
  const done: Fault[] = []
  const note = (fault: Fault) => {
    done.push(fault)
    if (fault.failures.length > 0)
      print(`FAILED ${fault.group}: ${fault.title}\n${fault.failures.map((what) => `  - ${what}`).join('\n')}`)
  }
  // All benches have the same names of files: a record of one is true for the others.
  const spots = await recordedSpots(bench(0))
  const at = (path: string | undefined, folder: string) => path?.replace(bench(0).folder, folder)
  const hits = [
    ...some(spots).flatMap((spot) =>
      ['signal=KILL', ...errors.map((error) => `error=${error}`)].map((what) => ({ spot, what })),
    ),
    ...some(processSpots(40)),
  ]
  print(`${spots.length} calls of a write, ${hits.length} of them fail or are killed`)
  await each(hits, async ({ spot, what }, worker) =>
    note(await hitWrite(bench(worker), { ...spot, path: at(spot.path, bench(worker).folder) }, what)),
  )
  for (let call = share; call < 2000; call += share) {
    const { over, ...fault } = await killWrite(bench(0), call)
    if (over) break
    note(fault)
  }
  for (const fault of await readDuring(bench(0), share)) note(fault)
  const { template } = bench(0)
  const reads = await spotsOf(template, async (wrap) => states.recordRead(template, wrap))
  await each(
    [...some(reads).map((spot) => ({ spot, what: 'error=EIO' })), ...some(processSpots(30))],
    async ({ spot, what }) => note(await hitRead(bench(0), spot, what)),
  )
  return done
}

async function disks(states: States, root: string, { free, kinds, print }: Extent): Promise<Fault[]> {
  const done: Fault[] = []
  for (const kind of kinds) {
    const disk = new SmallDisk(states.machine, `${root}/${kind}`, kind)
    try {
      if (!(await disk.make())) {
        print(`LEFT OUT: ${kind}: it cannot be mounted on ${states.machine.name}`)
        continue
      }
      await states.copy(`${root}/template`, `${disk.path}/template`)
      for (const pages of free) done.push(await writeWithin(states, disk, pages, 'pages'))
      if (kind === 'tmpfs') for (const files of free) done.push(await writeWithin(states, disk, files, 'files'))
      done.push(await writeReadOnly(states, disk))
    } finally {
      await disk.remove()
    }
  }
  for (const { group, title, failures } of done)
    if (failures.length > 0) print(`FAILED ${group}: ${title}\n${failures.map((what) => `  - ${what}`).join('\n')}`)
  return done
}

/** A few at a time, each worker with a number of its own. */
async function each<T>(all: readonly T[], work: (one: T, worker: number) => Promise<void>): Promise<void> {
  const queue = [...all]
  const worker = async (_: unknown, number: number) => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one, number + 1)
  }
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, worker))
}

/** One row for each group of faults. */
export function hostFilesTable(faults: readonly Fault[]): string {
  const groups = [...new Set(faults.map(({ group }) => group))]
  const count = (some: readonly Fault[], is: (fault: Fault) => boolean) => String(some.filter(is).length)
  const cells = (some: readonly Fault[]) => [
    String(some.length),
    count(some, ({ kept }) => kept),
    count(some, ({ failures }) => failures.length > 0),
  ]
  const rows = groups.map((group) => [group, ...cells(faults.filter((fault) => fault.group === group))])
  return markdownTable([['fault', 'runs', 'acknowledged', 'failed checks'], ...rows, ['all', ...cells(faults)]])
}
