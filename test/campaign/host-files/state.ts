import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { storeText } from '../../../lib/compose/content-store.ts'
import { READ, WRITE } from '../../../lib/hosts/scripts/objects.ts'
import { parseHostState } from '../../../lib/hosts/state/answer.ts'
import { type Changes, openStateCopy, type StateCopy } from '../../../lib/hosts/state/copy.ts'
import { exec } from '../../../lib/system/exec.ts'
import type { Ended, Machine } from './machine.ts'

/** The result of reading a folder: the name of a state that was made here, or what is wrong with it. */
export type Found = string

/** The result of one write. */
export interface Written extends Ended {
  /** it was acknowledged */
  readonly kept: boolean
}

/**
 * Three states of an environment, one after the other: `old`, `new`, `newer`. A folder of a machine is brought to `old`, then the writes
 * that lead from one to the next are made there by the scripts that a host runs: as often as wanted, and with anything before them.
 */
export class States {
  readonly #copies = mkdtempSync(join(tmpdir(), 'stagecraft-states-'))
  readonly #known = new Map<string, string>()
  #steps: Readonly<Record<string, Changes>> = {}

  constructor(readonly machine: Machine) {}

  /** @param template a folder of the machine that is made, and holds `old` */
  async make(template: string): Promise<void> {
    const mirror = await this.#next(template, 'old', (at) => {
      put(at, 'releases.json', history(2))
      for (const id of [1, 2]) putRelease(at, id)
      content(at, 'first')
    })
    const scratch = `${template}-scratch`
    await this.copy(template, scratch)
    await this.#next(scratch, 'new', changeToNew, mirror)
    await this.#next(scratch, 'newer', (at) => put(at, 'releases.json', history(4)), mirror)
    await this.machine.run(['rm', '-rf', scratch])
    mirror.remove()
  }

  async #next(
    folder: string,
    name: string,
    change: (copy: string) => void,
    mirror = openStateCopy(exec, join(this.#copies, 'copy')),
  ): Promise<StateCopy> {
    change(mirror.folder)
    const changes = (await mirror.changes()) as Changes
    this.#steps = { ...this.#steps, [name]: changes }
    const { kept, code, stderr } = await this.write(folder, name)
    if (!kept) throw new Error(`Cannot make ${folder} on ${this.machine.name}: exit ${code} ${stderr}`)
    changes.kept()
    const read = parseHostState((await this.#read(folder, [])).stdout, 'prod')
    if ('why' in read) throw new Error(`Cannot read ${folder}: ${read.why} ${read.path}`)
    this.#known.set(signOf(read.files), name)
    return mirror
  }

  copy = (from: string, to: string) =>
    this.machine.run(['sh', '-c', 'chmod -R u+w "$1" 2>/dev/null; rm -rf "$1" && cp -a "$0" "$1"', from, to])

  /** Writes the changes that lead to a state. @param wrap what comes before the shell */
  async write(
    folder: string,
    state: string,
    wrap: readonly string[] = [],
    more: Parameters<Machine['run']>[1] = {},
  ): Promise<Written> {
    const changes = this.#steps[state]
    if (!changes) throw new Error(`There is no state ${state}`)
    const { archive, sums, before, next } = changes
    const argv = [...wrap, 'sh', '-c', WRITE, 'stagecraft', folder, '', '/dev/null', sums, before, next]
    const ended = await this.machine.run(argv, { ...more, input: archive.toString('base64') })
    return { ...ended, kept: ended.stdout.split('\n').includes('kept') }
  }

  /** What a reader finds. While no writer runs, or the writer is stopped, it is one of the states. */
  async read(folder: string, wrap: readonly string[] = []): Promise<Found> {
    const { code, stdout } = await this.#read(folder, wrap)
    const read = parseHostState(stdout, 'prod')
    if ('why' in read) return `${read.why}: ${read.path}`
    if (code !== 0) return `exit ${code}`
    return (
      this.#known.get(signOf(read.files)) ??
      `another one, of ${read.files.size} files: ${[...read.files.keys()].join(' ')}`
    )
  }

  /** As `read`, for the record of its calls. */
  recordRead = (folder: string, wrap: readonly string[]) => this.#read(folder, wrap)

  #read(folder: string, wrap: readonly string[]): Promise<Ended> {
    return this.machine.run([...wrap, 'sh', '-c', READ, 'stagecraft', folder, 'prod'])
  }

  /** @returns files with readable names that are not in the state, or differ from it; and leftovers */
  async differences(folder: string): Promise<string[]> {
    const script = `cd "$0" && { find releases.json releases -type f -exec sha256sum {} +; find . -name '.?*' | sed 's/^/left over /'; }`
    const { stdout } = await this.machine.run(['sh', '-c', script, folder])
    const lines = stdout.split('\n').filter(Boolean)
    const read = parseHostState((await this.#read(folder, [])).stdout, 'prod')
    if ('why' in read) return [`${read.why}: ${read.path}`]
    const wanted = [...read.files].map(([path, bytes]) => `${sha(bytes)}  ${path}`)
    return [
      ...lines.filter((line) => !wanted.includes(line)),
      ...wanted.filter((line) => !lines.includes(line)).map((line) => `missing ${line}`),
    ]
  }

  remove(): void {
    rmSync(this.#copies, { recursive: true, force: true })
  }
}

const sha = (bytes: Uint8Array) => new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
const signOf = (files: ReadonlyMap<string, Uint8Array>) =>
  [...files]
    .map(([path, bytes]) => `${sha(bytes)} ${path}`)
    .sort()
    .join('\n')

/** One release is added, another removed; events are appended; content comes and goes; the lock is described. */
function changeToNew(at: string): void {
  put(at, 'releases.json', history(3))
  rmSync(join(at, 'releases/rel-1'), { recursive: true })
  putRelease(at, 3)
  put(at, 'releases/rel-2/events.jsonl', `${events(2)}${events(9)}`)
  put(at, 'locks/prod.json', '{"user":"ana"}\n')
  content(at, 'second')
}

function putRelease(at: string, id: number): void {
  put(at, `releases/rel-${id}/release.json`, `{"v":${id}}`)
  put(at, `releases/rel-${id}/compose.json`, JSON.stringify({ services: { web: { command: noise(id, 9000) } } }))
  put(at, `releases/rel-${id}/hosts/web-2/compose.json`, `{"v":${id}}`)
  put(at, `releases/rel-${id}/events.jsonl`, events(id))
}

function put(at: string, path: string, text: string): void {
  mkdirSync(dirname(join(at, path)), { recursive: true })
  writeFileSync(join(at, path), text)
}

const content = (at: string, text: string) =>
  storeText({ folder: join(at, 'content'), write: true }, `${text} ${noise(7, 5000)}`, 0o644)
const history = (count: number) =>
  JSON.stringify(
    { releases: Array.from({ length: count }, (_, at) => ({ id: `rel-${at + 1}`, note: noise(at, 1500) })) },
    null,
    2,
  )
const events = (seed: number) =>
  Array.from({ length: 20 }, (_, at) => `{"at":${at},"text":"${noise(seed * 100 + at, 200)}"}\n`).join('')

/** Data that cannot be compressed: each byte takes space on a disk. */
function noise(seed: number, length: number): string {
  let text = ''
  for (let at = 0; text.length < length; at++) text += sha(Buffer.from(`${seed} ${at}`))
  return text.slice(0, length)
}
