import { type Bench, checkWritten, type Fault } from './faults.ts'
import type { Machine } from './machine.ts'
import type { States } from './state.ts'

/** A small file system of a machine, made for this and removed afterwards. */
export class SmallDisk {
  constructor(
    readonly machine: Machine,
    readonly path: string,
    readonly kind: 'tmpfs' | 'ext4',
  ) {}

  /** @returns whether it could be made: loop devices are not everywhere */
  async make(): Promise<boolean> {
    const script =
      this.kind === 'tmpfs'
        ? 'mkdir -p "$0" && mount -t tmpfs -o size=2m,nr_inodes=400 stagecraft-test "$0"'
        : 'mkdir -p "$0" && head -c 4M /dev/zero >"$0.img" && mkfs.ext4 -q -b 4096 -O ^has_journal -m 0 -F "$0.img" && mount -o loop "$0.img" "$0"'
    return (await this.#run(script)).code === 0
  }

  remove = () => this.#run('umount -l "$0"; rmdir "$0"; rm -f "$0.img"')
  /** Fills it until so many pages are free. */
  leave = (pages: number) =>
    this.#run(
      'n=$(($(df -P -B4096 "$0" | awk \'NR == 2 {print $4}\') - $1)); [ $n -le 0 ] || head -c $((n * 4096)) /dev/zero >"$0/fill"; :',
      String(pages),
    )
  /** Until so many files can be made. */
  leaveFiles = (count: number) =>
    this.#run(
      'mkdir "$0/fills"; n=$(($(df -Pi "$0" | awk \'NR == 2 {print $4}\') - $1)); while [ $n -gt 0 ]; do : >"$0/fills/$n"; n=$((n - 1)); done; :',
      String(count),
    )
  empty = () => this.#run('rm -rf "$0/fill" "$0/fills"')
  readOnly = (on: boolean) => this.#run(`mount -o remount,${on ? 'ro' : 'rw'} "$0"`)
  #run = (script: string, ...more: readonly string[]) => this.machine.run(['sh', '-c', script, this.path, ...more])
}

/** A write where so many pages, or so many files, are free: acknowledged data is there, and the disk is in order once there is room. */
export async function writeWithin(
  states: States,
  disk: SmallDisk,
  free: number,
  of: 'pages' | 'files',
): Promise<Fault> {
  const bench: Bench = { states, template: `${disk.path}/template`, folder: `${disk.path}/work` }
  await disk.empty()
  await states.copy(bench.template, bench.folder)
  await (of === 'pages' ? disk.leave(free) : disk.leaveFiles(free))
  const written = await states.write(bench.folder, 'new')
  const failures = await checkWritten(bench, written, () => disk.empty())
  return { group: `so many ${of} free, ${disk.kind}`, title: `${free}`, kept: written.kept, failures }
}

/** Nothing can be written, everything can be read. */
export async function writeReadOnly(states: States, disk: SmallDisk): Promise<Fault> {
  const bench: Bench = { states, template: `${disk.path}/template`, folder: `${disk.path}/work` }
  await disk.empty()
  await states.copy(bench.template, bench.folder)
  await disk.readOnly(true)
  const written = await states.write(bench.folder, 'new')
  const failures = await checkWritten(bench, written, () => disk.readOnly(false))
  if (written.kept) failures.push('it was acknowledged')
  return { group: `read-only, ${disk.kind}`, title: '', kept: written.kept, failures }
}
