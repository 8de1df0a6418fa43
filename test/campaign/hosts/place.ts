import type { Ran } from '../../support/engine.ts'
import type { HostName } from '../../support/lab.ts'
import { host, labHostCommand } from '../../support/lab.ts'
import { NAMES } from './shop.ts'

/** What kind of small disk the environment's root is on: one in memory does not outlive a power cut. */
export type DiskKind = 'ext4' | 'tmpfs'

const MEGABYTES = 24

/** Also needed again after a power cut. */
const MOUNT = 'grep -q " $0 " /proc/mounts || [ ! -e "$0.img" ] || mount -o loop "$0.img" "$0"'

const HEAL = `pkill -CONT -x 'sshd|dockerd'
while [ $(grep -c " $0 " /proc/mounts) -gt 1 ] && umount -l "$0"; do :; done
${MOUNT}
rm -f "$0/fill"
while umount -l "$(command -v sync)" 2>/dev/null; do :; done`

/** A lab host and the small disk of its own that the environment's root is on, and what can be done to them. */
export class Place {
  readonly engine

  constructor(
    readonly name: HostName,
    readonly root: string,
    readonly disk: DiskKind,
  ) {
    this.engine = host(name)
  }

  /** Runs a script on the host, as root; `$0` is the root of the environments. @throws what it printed, if it fails */
  async run(script: string, ...more: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(script, ...more)
    if (code !== 0) throw new Error(`On ${this.name}: exit ${code} of ${script}\n${stderr}`)
    return stdout
  }

  try(script: string, ...more: readonly string[]): Promise<Ran> {
    return this.engine.exec(['sh', '-c', script, this.root, ...more], { timeout: 120 })
  }

  /** As `stagecraft bootstrap` leaves it: shared with all who may use the engine. */
  async makeDisk(): Promise<void> {
    if (this.disk === 'ext4')
      await this.run(`head -c ${MEGABYTES}M /dev/zero >"$0.img" && mkfs.ext4 -q -m 0 -F "$0.img" && mkdir -p "$0"`)
    else await this.run(`mkdir -p "$0" && mount -t tmpfs -o size=${MEGABYTES}m stagecraft-campaign "$0"`)
    await this.run(`${MOUNT}; chgrp docker "$0" && chmod 2770 "$0"`)
  }

  async removeDisk(): Promise<void> {
    await this.run('while umount -l "$0" 2>/dev/null; do :; done; rm -rf "$0.img"; rmdir "$0" 2>/dev/null; :')
  }

  /** Fills it until so many pages of 4 KiB are free. */
  async leave(pages: number): Promise<void> {
    const free = `df -P -B4096 "$0" | awk 'NR == 2 {print $4}'`
    await this.try(`n=$(($(${free}) - $1)); [ $n -le 0 ] || head -c $((n * 4096)) /dev/zero >"$0/fill"`, String(pages))
  }

  /** The whole disk cannot be: a lock is open on it. So its folder is mounted over itself. */
  readOnly = () => this.run('mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')

  /** Makes each sync take a while: a slow disk. */
  async slow(seconds: number): Promise<void> {
    const script = `cp "$(command -v sync)" /tmp/sync && printf '#!/bin/sh\\nsleep %s; exec /tmp/sync "$@"\\n' "$1" >/tmp/slow-sync
      chmod +x /tmp/slow-sync && mount --bind /tmp/slow-sync "$(command -v sync)"`
    await this.run(script, String(seconds))
  }

  signal = (name: 'STOP' | 'CONT', program: string) => this.try(`pkill -${name} -x "$1"; :`, program)
  lab = (verb: string, ...more: readonly string[]) => labHostCommand(verb, this.name, ...more)

  /** After any fault: its disk is there, writable and has room, its engine and its sshd answer. */
  async heal(): Promise<void> {
    const wasOff = (await this.try('true')).code !== 0
    if (wasOff) await this.lab('start')
    await this.lab('heal')
    for (const service of ['sshd', 'dockerd']) await this.lab('free', service)
    await this.run(HEAL)
    // The engine began before the disk was there again: once more, so that it starts what has files there.
    if (wasOff) {
      await this.lab('hold', 'dockerd')
      await this.lab('free', 'dockerd')
    }
    await this.untilUsable()
  }

  /** Also from here: after a power cut the old way there is remembered for a while. */
  private async untilUsable(): Promise<void> {
    for (let tries = 0; tries < 600; tries++) {
      const answers = (await this.try('timeout 5 docker version >/dev/null')).code === 0
      if (answers && (await listens(this.engine.ip, 22))) return
      await Bun.sleep(200)
    }
    throw new Error(`${this.name} does not come back in 120 s`)
  }
}

async function listens(hostname: string, port: number): Promise<boolean> {
  const socket = Bun.connect({ hostname, port, socket: { data() {} } }).catch(() => undefined)
  const connected = await Promise.race([socket, Bun.sleep(2000)])
  void socket.then((late) => late?.end())
  return connected !== undefined
}

export const newPlaces = (root: string, disk: DiskKind) => NAMES.map((name) => new Place(name, root, disk))
