import { join } from 'node:path'
import type { Engine, Ran, Running } from '../../support/engine.ts'
import type { Folder } from '../../support/folder.ts'
import { LAB_DIR } from '../../support/lab.ts'
import { laptop } from '../../support/laptop.ts'

/** An operator: a laptop with its own home, checkout and login. */
export interface Operator {
  readonly name: string
  readonly login: 'root' | 'deploy'
  readonly engine: Engine
  readonly folder: Folder
  /** what is in the home, outside of the checkout */
  readonly home: Folder
  /** seconds by which the laptop's clock is ahead of the hosts' */
  skew: number
}

/** Makes the laptop. `stagecraft.yml` names no login: it is in the operator's own ssh configuration. */
export function newOperator(name: string, login: Operator['login']): Operator {
  const files = laptop('h1').folder(`${name}-home`)
  const home = files.path
  files.write('ssh-config', `Host *\n  User ${login}\nInclude ${join(LAB_DIR, 'ssh/config')}\n`)
  files.write('bin/ssh', `#!/bin/sh\nexec /usr/bin/ssh -F '${home}/ssh-config' "$@"\n`, 0o755)
  const path = `${join(home, 'bin')}:${join(LAB_DIR, 'bin')}:${process.env['PATH']}`
  const engine = laptop('h1', { HOME: home, USER: name, LOGNAME: name, PATH: path })
  return { name, login, engine, folder: engine.folder(name), home: files, skew: 0 }
}

/** Checks everything that was printed for values that must never be shown. */
export class Canaries {
  readonly found: string[] = []

  constructor(readonly values: readonly string[]) {}

  look(what: string, { stdout, stderr }: Pick<Ran, 'stdout' | 'stderr'>): void {
    for (const value of this.values)
      for (const [stream, text] of Object.entries({ stdout, stderr })) {
        const line = text.split('\n').find((each) => each.includes(value))
        if (line !== undefined) this.found.push(`a secret is in ${stream} of ${what}: ${line.slice(0, 400)}`)
      }
  }
}

/** @returns how many events a run has printed so far */
export function eventsPrinted(running: Running): number {
  return running.output().split('\n{"v":1').length + (running.output().startsWith('{"v":1') ? 0 : -1)
}
