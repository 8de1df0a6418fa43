import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { makeScratch } from '../lib/scratch.ts'

test('makeScratch() removes what a command that was killed left, and nothing else', async () => {
  const dead = Bun.spawn(['true'])
  await dead.exited
  const [left, other, foreign] = [
    `stagecraft-copy-${dead.pid}-abc123`,
    `stagecraft-copy-${process.pid}-abc123`,
    `stagecraft-mine-${dead.pid}-abc123`,
  ]
  const paths = [left, other, foreign].map((name) => `/tmp/${name}`)
  for (const path of paths) {
    mkdirSync(`${path}/state`, { recursive: true })
    writeFileSync(`${path}/state/release.json`, 'secret', { mode: 0o400 })
  }
  const made = makeScratch('copy')
  try {
    expect(paths.map((path) => existsSync(path))).toEqual([false, true, true])
    expect((statSync(made).mode & 0o777).toString(8)).toBe('700')
  } finally {
    for (const path of [...paths, made]) rmSync(path, { recursive: true, force: true })
  }
})
