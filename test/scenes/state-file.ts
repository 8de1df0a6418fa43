import { afterAll } from 'bun:test'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { openState, type State } from '../../lib/record/releases.ts'

export const NOW = Date.UTC(2026, 10, 22, 8, 2, 25, 643)
export const clock = () => NOW
/** What a release is made with. */
export const NEW = { environment: 'prod', version: 'v1', commit_sha: '' }

/** Called at the top of a test file: state files of projects, which are removed when its tests have ended. */
export function stateFiles() {
  const root = mkdtempSync(join(tmpdir(), 'stagecraft-state-'))
  afterAll(() => rmSync(root, { recursive: true }))
  let projects = 0
  /** @returns the path of a file of that name in a project of its own; nothing is made */
  const newFile = (name = '.stagecraft/releases.json') => join(root, String(++projects), name)
  return {
    root,
    newFile,
    /** A state whose file has that text. */
    stateWith(content: string | Uint8Array): State {
      const file = newFile()
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
      return openState(file, { clock })
    },
  }
}

export const read = (state: State) => readFileSync(state.file, 'utf8')
export const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8)

export function complete(state: State, id: string): void {
  for (const phase of PHASES) {
    state.updatePhase(id, phase, 'running')
    state.updatePhase(id, phase, 'completed')
  }
}
