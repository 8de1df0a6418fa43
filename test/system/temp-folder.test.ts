import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { makeTempFolder } from '../../lib/system/temp-folder.ts'
import { startHolder } from '../support/lock-process.ts'

test('makeScratch() removes what a command that was killed left, and nothing else', async () => {
  const own = `${process.pid}`.padStart(6, '_').slice(-6)
  const [left, used, foreign] = [`stagecraft-copy-${own}`, `stagecraft-ssh-${own}`, `stagecraft-mine-${own}`]
  const paths = [left, used, foreign].map((name) => `/tmp/${name}`)
  for (const path of paths) {
    mkdirSync(`${path}/state`, { recursive: true })
    writeFileSync(`${path}/state/release.json`, 'secret', { mode: 0o400 })
  }
  const { child } = await startHolder('hold', `/tmp/${used}/.alive`)
  const made = makeTempFolder('copy')
  try {
    expect(paths.map((path) => existsSync(path))).toEqual([false, true, true])
    expect((statSync(made).mode & 0o777).toString(8)).toBe('700')
    child.kill('SIGKILL')
    await child.exited
    const next = makeTempFolder('copy')
    expect([made, next, `/tmp/${used}`].map((path) => existsSync(path))).toEqual([true, true, false])
    rmSync(next, { recursive: true })
  } finally {
    for (const path of [...paths, made]) rmSync(path, { recursive: true, force: true })
  }
})
