import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Engine } from '../support/engine.ts'
import { type Folder, folderAt } from '../support/folder.ts'
import { LAB_DIR } from '../support/lab.ts'
import { runCommand } from '../support/steps.ts'
import { descendants } from './processes.ts'

const LAB_HOST = join(import.meta.dir, '../lab/lab-host')
const DISK_KB = 2048

/** The lab host that the application is on, of which the engine and the disk can be made to fail. */
export class Site {
  constructor(readonly engine: Engine) {}

  /** A project folder on a small disk of its own. */
  async smallDisk(folder: Folder): Promise<Folder> {
    await this.#inHost(['mount', '-t', 'tmpfs', '-o', `size=${DISK_KB}k`, 'stagecraft-campaign', folder.path])
    // Only the host sees the mount: it is reached through its first process.
    const shell = Number(readFileSync(join(LAB_DIR, 'hosts', this.engine.name, 'unshare.pid'), 'utf8'))
    const [first] = descendants(shell)
    const seenHere = (path: string) => `/proc/${first}/root${path}`
    this.#disk = folderAt({ ...this.engine, seenHere }, folder.name)
    return this.#disk
  }

  #disk: Folder | undefined

  /** To the last page. */
  fillDisk(): void {
    const file = join(this.#disk?.here ?? '', 'fill')
    for (let size = 1024 * 1024; size >= 512; size /= 2)
      try {
        for (let written = 0; written <= DISK_KB * 1024; written += size) appendFileSync(file, Buffer.alloc(size))
      } catch {
        // no room for as much: half of it may fit
      }
  }

  emptyDisk(): void {
    rmSync(join(this.#disk?.here ?? '', 'fill'), { force: true })
  }

  /** The whole disk cannot be: a lock is open on it. So the folder of the state is mounted over itself. */
  async setReadOnly(on: boolean): Promise<void> {
    const state = `${this.#disk?.path}/.stagecraft`
    if (!on) return this.#inHost(['umount', '-l', state])
    await this.#inHost(['mount', '--bind', state, state])
    await this.#inHost(['mount', '-o', 'remount,bind,ro', state])
  }

  async stopEngine(): Promise<void> {
    await this.#lab('hold', this.engine.name, 'dockerd')
  }

  async startEngine(): Promise<void> {
    await this.#lab('free', this.engine.name, 'dockerd')
    for (let tries = 0; tries < 600; tries++) {
      const { code } = await this.engine.docker(['version'], { timeout: 20 })
      if (code === 0) return
      await Bun.sleep(200)
    }
    throw new Error(`The engine of ${this.engine.name} did not come back in 120 s`)
  }

  async signalEngine(name: 'STOP' | 'CONT'): Promise<void> {
    await this.#inHost(['pkill', `-${name}`, '-x', 'dockerd'])
  }

  /** After any fault: everything works again, and the disk is removed. */
  async heal(): Promise<void> {
    await this.engine.exec(['pkill', '-CONT', '-x', 'dockerd'])
    await this.startEngine()
    const disk = this.#disk
    if (disk) await this.engine.exec(['sh', '-c', 'umount -l "$0/.stagecraft" 2>/dev/null; umount -l "$0"', disk.path])
  }

  async #lab(...args: string[]): Promise<void> {
    const { code, output } = await runCommand([LAB_HOST, ...args], { limit: 240 })
    if (code !== 0) throw new Error(`Cannot ${args.join(' ')}: ${output}`)
  }

  async #inHost(argv: string[]): Promise<void> {
    const { code, stderr } = await this.engine.exec(argv, { timeout: 120 })
    if (code !== 0) throw new Error(`Cannot ${argv.join(' ')} on ${this.engine.name}: ${stderr}`)
  }
}
