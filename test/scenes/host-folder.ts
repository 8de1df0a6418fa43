import { afterAll, beforeEach, expect } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeText } from '../../lib/compose/content-store.ts'
import { READ, WRITE } from '../../lib/hosts/scripts/objects.ts'
import { type HostState, parseHostState, type Unusable } from '../../lib/hosts/state/answer.ts'
import { type Changes, openStateCopy, type StateCopy } from '../../lib/hosts/state/copy.ts'
import { type ExecOptions, exec } from '../../lib/system/exec.ts'

/** Called at the top of a test file. The host's side is the same scripts, run by this machine's shell: a folder stands for the host. */
export function hostFolders(): HostFolder {
  const scene = new HostFolder()
  beforeEach(() => scene.begin())
  afterAll(() => fs.rmSync(scene.root, { recursive: true, force: true }))
  return scene
}

class HostFolder {
  readonly root = fs.mkdtempSync(join(tmpdir(), 'stagecraft-mirror-'))
  #host = ''
  #copies = 0

  begin(): void {
    this.#host = this.fresh('host', 'shop/prod')
  }

  /** @returns a path that this test alone uses, next to the host's folder */
  fresh(name: string, ...below: string[]): string {
    return join(this.root, `${name}-${this.#copies}`, ...below)
  }

  /** @returns a path in the host's folder */
  at(path = ''): string {
    return join(this.#host, path)
  }

  files(): string[] {
    const there = fs.existsSync(this.#host)
    return there ? [...new Bun.Glob('**').scanSync({ cwd: this.#host, dot: true })].sort() : []
  }

  /** What people and other tools see: without the objects and what leads to them. */
  readable(): string[] {
    return this.files().filter((path) => !/^(objects\/|locks\/state$|head$)/.test(path))
  }

  read(path: string): string {
    return fs.readFileSync(this.at(path), 'utf8')
  }

  async readHost(): Promise<HostState | Unusable> {
    const { code, stdout } = await exec(['sh', '-c', READ, 'sh', this.#host, 'prod'])
    expect(code).toBe(0)
    return parseHostState(stdout, 'prod')
  }

  async fetched(): Promise<StateCopy> {
    const mirror = openStateCopy(exec, join(this.root, `copy-${++this.#copies}`))
    const state = await this.readHost()
    if ('why' in state) throw new Error(`${state.why}: ${state.path}`)
    mirror.fill(state)
    return mirror
  }

  /** @returns the exit code; -1: there was nothing to keep */
  async kept(mirror: StateCopy, token = '', more: ExecOptions = {}): Promise<number> {
    const changes = await mirror.changes()
    if (changes === undefined) return -1
    const { code, stdout, stderr } = await this.writeHost(changes, token, more)
    if (code === 0) {
      expect([stdout.replaceAll(/^waits .*\n/gm, ''), stderr]).toEqual(['kept\n', ''])
      changes.kept()
    }
    return code
  }

  writeHost({ archive, sums, before, next }: Changes, token = '', more: ExecOptions = {}) {
    const args = [this.#host, token, '/dev/null', sums, before, next]
    return exec(['sh', '-c', WRITE, 'sh', ...args], { input: archive.toString('base64'), ...more })
  }
}

export const write = (mirror: StateCopy, path: string, text: string) => {
  fs.mkdirSync(join(mirror.folder, path, '..'), { recursive: true })
  fs.writeFileSync(join(mirror.folder, path), text)
}
export const content = (mirror: StateCopy, text: string, mode = 0o444) =>
  storeText({ folder: join(mirror.folder, 'content'), write: true }, text, mode).hash
