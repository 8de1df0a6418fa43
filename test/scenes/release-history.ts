import { join } from 'node:path'
import { withLock } from '../../lib/lock/environment-lock.ts'
import { PHASES } from '../../lib/plan/six-phases.ts'
import type { Release } from '../../lib/record/releases-file/format.ts'
import { scratch, stagecraftHere } from '../support/command-line.ts'
import { temporaries } from '../support/temporary.ts'

/** Of the six phases, in order. */
export type Statuses = readonly [string, string, string, string, string, string]
export const COMPLETED: Statuses = ['completed', 'completed', 'completed', 'completed', 'completed', 'completed']
export const FAILED: Statuses = ['completed', 'completed', 'completed', 'failed', 'skipped', 'skipped']
export const RUNNING: Statuses = ['completed', 'completed', 'completed', 'running', 'pending', 'pending']

export function release(
  id: string,
  environment: string,
  version: string,
  statuses: Statuses,
  more: object = {},
): Release {
  const [, y, m, d, hh, mm, ss] = /^rel-(....)(..)(..)-(..)(..)(..)/.exec(id) ?? []
  const phases = Object.fromEntries(PHASES.map((phase, at) => [phase, statuses[at] ?? 'pending']))
  const timestamp = `${y}-${m}-${d}T${hh}:${mm}:${ss}.643Z`
  return { id, environment, version, commit_sha: '', timestamp, phases: phases as Release['phases'], ...more }
}

/** Oldest first, as in the file. */
export const HISTORY = [
  release('rel-20261121-070000', 'staging', 'a1b2c3d-dirty', COMPLETED),
  release('rel-20261122-080225643', 'prod', 'v1', COMPLETED),
  release('rel-20261122-091500001', 'prod', 'v2-broken', FAILED, { previous_id: 'rel-20261122-080225643' }),
  release('rel-20261122-101500002', 'prod', 'v3', RUNNING, { previous_id: 'rel-20261122-091500001' }),
]
export const NEWEST = { id: 'rel-20261122-101500002', version: 'v3' }

export const firstLine = ({ exit, stderr }: { exit: number; stderr: string }) => `${exit} ${stderr.split('\n')[0]}`

/** Called at the top of a test file: `stagecraft releases` in a project that is removed after each test. */
export function releasesCommand() {
  const temporary = temporaries()
  let folder = { path: '' }
  const begin = (files: Readonly<Record<string, string>> = {}) => {
    folder = temporary(scratch(files))
  }
  const pathOf = (name: string) => join(folder.path, name)
  return {
    /** Begins the project, with these files. */
    begin,
    /** Begins the project, with these releases in its history, oldest first. */
    project(releases: readonly Release[], files: Readonly<Record<string, string>> = {}): void {
      begin({ '.stagecraft/releases.json': JSON.stringify({ releases }, null, 2), ...files })
    },
    pathOf,
    releases: (...args: string[]) => stagecraftHere(['releases', ...args], { cwd: folder.path }),
    /** Does something while a run of `prod` makes this release. */
    whileWorkedOn: <T>({ id, version }: Pick<Release, 'id' | 'version'>, act: () => Promise<T>): Promise<T> =>
      withLock(
        { stateFile: pathOf('.stagecraft/releases.json'), environment: 'prod', command: 'deploy', wait: 0 },
        {
          user: 'ana',
          clock: { now: Date.now, sleep: Bun.sleep },
          emit: () => {},
          signal: new AbortController().signal,
        },
        (held) => {
          held.nameRelease({ id, version })
          return act()
        },
      ),
  }
}
