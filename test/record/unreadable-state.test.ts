import { describe, expect, test } from 'bun:test'
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openState, type State } from '../../lib/record/releases.ts'
import { clock, NEW, read, stateFiles } from '../scenes/state-file.ts'
import { errorOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const WRITER = join(import.meta.dir, '../fixtures/state-writer.ts')
const { newFile, root, stateWith } = stateFiles()

describe('a file that is not in the format', () => {
  const [a, b] = ['rel-20261122-080225643', 'rel-20261122-080225644']
  const good = (() => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    state.createRelease(NEW)
    return read(state)
  })()
  const malformed: readonly (string | Uint8Array)[] = [
    '',
    '\n',
    '[]',
    'null',
    '{}',
    '{"releases": null}',
    '{"releases": {}}',
    '{"releases": [null]}',
    '{"releases": [[]]}',
    good.slice(0, -40),
    `${good}}`,
    `\ufeff${good}`,
    good.replace('"prod",', '"prod"'),
    good.replace('"v1"', '"v\u0007"'),
    Buffer.from(good.replace('v1', 'vé'), 'latin1'),
    '\u0000'.repeat(4096),
    good.replace(b, a),
    good.replace(a, 'v1'),
    good.replace('2026-11-22T08:02:25.643Z', 'yesterday'),
    good.replace('"version": "v1"', '"version": 1'),
    good.replace(/"phases"/g, '"stages"'),
    good.replace(/"rollout": "pending"/, '"rollout": null'),
    good.replace(/,\s*"rollout": "pending"/, ''),
  ]

  test('is refused with its place and what to do, and left as it is', () => {
    const messages = malformed.map((content) => {
      const state = stateWith(content)
      const error = errorOf(() => state.listReleases())
      expect([error.kind, error.hint]).toEqual([
        'state',
        'The file was left as it is. Repair it, or restore a whole copy of it.',
      ])
      for (const call of [() => state.createRelease(NEW), () => state.updatePhase(a, 'build', 'running')]) {
        expect(errorOf(call).message).toBe(error.message)
      }
      expect(readFileSync(state.file)).toEqual(Buffer.from(content))
      expect(readdirSync(dirname(state.file)).toSorted()).toEqual(['locks', 'releases.json'])
      return error.message.replace(dirname(dirname(state.file)), '').replace('/.stage', '.stage')
    })
    expectGolden('core/state.md', 'state-read-errors', messages.join('\n'))
  })

  test('is refused when a rewrite would lose one of two equal keys', () => {
    const state = stateWith(good.replace('"environment"', '"version": "v0",\n      "environment"'))
    expect(errorOf(() => state.updatePhase(a, 'build', 'running')).message).toBe(
      `Cannot read ${state.file}: releases[0] has the key "version" twice`,
    )
    expect(state.updatePhase(b, 'build', 'running').phases.build).toBe('running')
  })
})

describe('a path that is not a readable file', () => {
  const messageOf = (state: State) => errorOf(() => state.listReleases()).message.replace(state.file, 'FILE')

  test('is a state error that says what it is', () => {
    const [folder, fifo, below, loop] = [newFile(), newFile(), newFile(), newFile()]
    mkdirSync(folder, { recursive: true })
    for (const file of [fifo, loop]) mkdirSync(dirname(file), { recursive: true })
    Bun.spawnSync(['mkfifo', fifo])
    symlinkSync(loop, loop)
    mkdirSync(dirname(dirname(below)), { recursive: true })
    writeFileSync(dirname(below), '')
    expect([folder, fifo, below, loop].map((file) => messageOf(openState(file, { clock })))).toEqual([
      'Cannot read FILE: it is a directory',
      'Cannot read FILE: it is not a regular file',
      'Cannot read FILE: a part of its path is not a folder',
      'Cannot read FILE: its symlinks form a loop',
    ])
  })

  test('is a state error for a user who may not read or write it', () => {
    const state = openState(newFile(), { clock })
    state.createRelease(NEW)
    const before = read(state)
    for (const folder of [root, dirname(dirname(state.file))]) chmodSync(folder, 0o755)
    const hint = 'Run as the user who owns the file and its folder, or give this user access to them.'
    const expected = (verb: string) => `state\nCannot ${verb} ${state.file}: permission denied\n${hint}\n`

    chmodSync(state.file, 0)
    chmodSync(dirname(state.file), 0o755)
    expect(runUnprivileged('list', state.file)).toEqual({ exitCode: 9, stdout: expected('read') })
    chmodSync(state.file, 0o644)
    chmodSync(dirname(state.file), 0o555)
    expect(runUnprivileged('update', state.file)).toEqual({ exitCode: 9, stdout: expected('write') })
    chmodSync(dirname(state.file), 0o750)
    expect([read(state), readdirSync(dirname(state.file)).toSorted()]).toEqual([
      before,
      ['.gitignore', 'locks', 'releases.json'],
    ])
  })
})

/** Root may read everything: the writer gives that up first. */
function runUnprivileged(action: string, file: string): { exitCode: number; stdout: string } {
  const env = { ...process.env, ...(process.getuid?.() === 0 ? { STATE_WRITER_UID: '65534' } : {}) }
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, WRITER, action, file], { env, stderr: 'inherit' })
  return { exitCode, stdout: stdout.toString() }
}
