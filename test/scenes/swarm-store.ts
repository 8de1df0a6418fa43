import { afterAll } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openDocker } from '../../lib/docker/client.ts'
import { swarmPlace } from '../../lib/hosts/swarm/place.ts'
import { openStore, refresh, type SwarmStore } from '../../lib/hosts/swarm/store.ts'
import type { Exec } from '../../lib/system/exec.ts'

/** Called at the top of a test file. */
export function laptops(): Laptops {
  const scene = new Laptops()
  afterAll(() => rmSync(scene.root, { recursive: true, force: true }))
  return scene
}

/** Machines with a copy each of what a Swarm keeps of the environment prod of shop. */
class Laptops {
  readonly root = mkdtempSync(join(tmpdir(), 'stagecraft-swarm-store-'))
  #count = 0

  async open(exec: Exec): Promise<Laptop> {
    const docker = openDocker(exec, (text) => text)
    let passed = 0
    const clock = {
      now: () => passed,
      sleep: async (ms: number) => {
        passed += ms
      },
    }
    const store = openStore(docker, clock, swarmPlace('shop', 'prod'), join(this.root, `${++this.#count}`))
    await refresh(store)
    return new Laptop(store)
  }
}

export class Laptop {
  constructor(readonly store: SwarmStore) {}

  write(path: string, text: string | Uint8Array): void {
    const file = join(this.store.folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  remove(path: string): void {
    rmSync(join(this.store.folder, path), { recursive: true })
  }

  /** All files of the copy by their path; of a large one, its length. */
  files(): Record<string, string | number> {
    const files = readdirSync(this.store.folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort()
    const prefix = this.store.folder.length + 1
    return Object.fromEntries(
      paths.map((path) => {
        const text = readFileSync(path, 'latin1')
        return [path.slice(prefix), text.length > 100 ? text.length : text]
      }),
    )
  }
}

/** A path of a release's folder. */
export const inRelease = (number: number, name = 'compose.json') =>
  `releases/rel-20261122-1200000${String(number).padStart(2, '0')}/${name}`
