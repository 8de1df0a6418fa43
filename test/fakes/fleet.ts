import { dirname, join } from 'node:path'
import type { ComposeModel, Service } from '../../lib/compose/model.ts'
import { HostAddress, parseHostAddress } from '../../lib/config/host-address.ts'
import { type Host, localHost } from '../../lib/hosts/host.ts'
import { lostConnection } from '../../lib/hosts/ssh/errors.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { composeModel } from './compose-model.ts'
import { type Damage, FakeEngine } from './engine.ts'
import type { EngineState } from './engine-state.ts'
import { FakeProject } from './project.ts'

export const NAMES = ['a', 'b', 'c'] as const
export type Name = (typeof NAMES)[number]

/** A host's shell is that of this machine: its folders are here. */
const run: Host['run'] = async (script, args = []) => {
  const argv = ['sh', '-c', script, 'stagecraft', ...args]
  // What listens on this machine belongs to no host of the fleet.
  if (script.includes('/proc/net')) return { argv, code: 0, stdout: '', stderr: '', timedOut: false }
  const { exitCode: code, stdout, stderr } = Bun.spawnSync(argv)
  return { argv, code, stdout: stdout.toString(), stderr: stderr.toString(), timedOut: false }
}

/** A project whose environment `prod` is on three engines in memory, each of which can be lost and come back. */
export class FakeFleet {
  readonly project: FakeProject
  readonly engines: Readonly<Record<Name, FakeEngine>>
  /** hosts that cannot be reached */
  readonly lost = new Set<Name>()
  /** other names of hosts */
  alias: Readonly<Record<string, Name>> = {}
  /** called for every docker command on a host, before it is run, with its number there */
  onCommand: (name: Name, argv: readonly string[], count: number) => void = () => {}
  /** called when what was written is to be kept on the first host, before that can fail */
  onPersist: () => void = () => {}
  #kept: Record<Name, EngineState> | undefined

  constructor(title: string) {
    this.project = new FakeProject(title)
    const registry = {
      'caddy:2': 'caddy',
      'web:1': 'web one',
      'web:2': 'web two',
      'redis:7': 'redis',
      'postgres:16': 'postgres',
    }
    this.engines = { a: new FakeEngine(), b: new FakeEngine(), c: new FakeEngine() }
    for (const name of NAMES) {
      this.engines[name].registry = registry
      this.#share(this.engines[name])
    }
    this.project.openHost = async ({ host }) => ({
      ...this.#host(this.alias[host.name] ?? (host.name as Name)),
      ...{ name: host.written, key: host.name },
    })
  }

  /** All hosts share one clock. */
  #share(engine: FakeEngine): void {
    const { state } = this.project.engine
    Object.defineProperty(engine.state, 'now', {
      get: () => state.now,
      set: (now: number) => {
        state.now = now
      },
      enumerable: true,
    })
  }

  #host(name: Name): Host {
    const engine = this.engines[name]
    const stateFile = name === 'a' ? this.project.stateFile : join(this.project.folder, name, 'releases.json')
    const written = parseHostAddress(name) ?? new HostAddress(name)
    const reachable = () => {
      if (this.lost.has(name)) throw lostConnection(written)
    }
    const exec: Exec = async (argv, options) => {
      this.onCommand(name, argv, engine.calls.length + 1)
      if (!this.lost.has(name)) return engine.exec(argv, options)
      return { argv, code: 1, stdout: '', stderr: 'error during connect: EOF', timedOut: false }
    }
    const local = localHost(exec, stateFile)
    return {
      ...local,
      ...{ isLocal: false, name, key: name, exec, local: this.project.engine.exec, folder: dirname(stateFile), run },
      withLock: async (request, world, work) => {
        reachable()
        return local.withLock(request, world, (held) =>
          work({
            ...held,
            check() {
              reachable()
              held.check()
            },
            persist: async () => {
              if (name === 'a') this.onPersist()
              reachable()
            },
          }),
        )
      },
    }
  }

  /** @param services as stagecraft.yml has them, in flow style */
  write(
    services: Record<string, Service>,
    settings: Record<string, string> = {},
    hosts: readonly string[] = NAMES,
    networks: ComposeModel['networks'] = {},
  ): void {
    const lines = Object.entries(settings).map(([name, text]) => `      ${name}: ${text}\n`)
    const all = lines.length > 0 ? `    services:\n${lines.join('')}` : ''
    this.project.write(
      'stagecraft.yml',
      `project: {name: shop}\nenvironments:\n  prod:\n    hosts: [${hosts.join(', ')}]\n${all}`,
    )
    this.project.engine.model = composeModel('shop', {
      services,
      volumes: { data: {} },
      networks: { back: {}, ...networks },
    })
  }

  view(name: Name): string[] {
    return this.engines[name].view('shop-prod')
  }

  /** To come back to: what all engines and the state are now. */
  keep(): void {
    this.#kept = { a: copy(this.engines.a), b: copy(this.engines.b), c: copy(this.engines.c) }
    this.project.keep()
  }

  comeBack(): void {
    for (const name of NAMES) {
      const kept = this.#kept?.[name]
      if (kept === undefined) throw new Error('nothing was kept')
      this.engines[name].restore(kept)
      this.#share(this.engines[name])
    }
    this.lost.clear()
    this.onCommand = () => {}
    this.onPersist = () => {}
    this.project.comeBack()
  }

  /** Does `work` as if its process had died at the n-th docker command on a host: what was there then is what is left. */
  async dieAt(name: Name, which: number, damage: Damage, work: () => Promise<unknown>): Promise<void> {
    let left: Record<Name, EngineState> | undefined
    const all = () => ({ a: copy(this.engines.a), b: copy(this.engines.b), c: copy(this.engines.c) })
    for (const each of NAMES)
      this.engines[each].intercept = (_, count) => {
        if (left) return { damage: 'none' } // the dead ask for nothing more
        if (each !== name || count !== which) return undefined
        this.project.keep('dead')
        queueMicrotask(() => {
          left = all() // with what that last command did
        })
        return { damage }
      }
    await work().catch(() => {})
    if (left === undefined) throw new Error(`it did not come to command ${which} on ${name}`)
    this.project.comeBack('dead')
    for (const each of NAMES) {
      this.engines[each].restore(left[each])
      this.#share(this.engines[each])
    }
  }

  remove(): void {
    this.project.remove()
  }
}

function copy({ state }: FakeEngine): EngineState {
  return structuredClone({ ...state })
}
