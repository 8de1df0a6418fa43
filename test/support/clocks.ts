import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { LAB_DIR } from './lab.ts'
import { runCommand } from './steps.ts'

const FILE = 'libfaketime.so.1'
const LIBRARIES = '/usr/lib'

/**
 * A kernel has one clock for all: libfaketime (Debian's package) gives a program another one.
 * It is taken where it is installed, or fetched once by apt into the lab's cache, without being installed.
 * @returns the library, or undefined where it cannot be had: the caller has to print that clocks are left out
 */
export async function clockLibrary(): Promise<string | undefined> {
  const cache = join(LAB_DIR, 'cache/faketime')
  const there = find(LIBRARIES) ?? find(join(cache, LIBRARIES))
  if (there || process.getuid?.() !== 0 || !Bun.which('apt-get') || !existsSync(join(LAB_DIR, 'cache'))) return there
  const fresh = mkdtempSync(`${cache}-`)
  const script = 'cd "$0" && apt-get -qq -o APT::Sandbox::User=root download libfaketime && dpkg -x ./*.deb .'
  await runCommand(['sh', '-c', script, fresh], { limit: 60 })
  if (find(join(fresh, LIBRARIES)) && !existsSync(cache)) renameSync(fresh, cache)
  rmSync(fresh, { recursive: true, force: true })
  return find(join(cache, LIBRARIES))
}

/** @param seconds ahead of the others; negative: behind. @returns the environment of a program with such a clock */
export function clockEnvironment(library: string | undefined, seconds: number): Record<string, string> {
  if (library === undefined || seconds === 0) return {}
  const FAKETIME = `${seconds > 0 ? '+' : ''}${seconds}s`
  // Only what the time of day is: how long something takes, and when a file was written, are as they are.
  return {
    LD_PRELOAD: library,
    FAKETIME,
    DONT_FAKE_MONOTONIC: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  }
}

function find(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined
  const folders = readdirSync(folder).map((name) => join(folder, name, 'faketime'))
  return folders.map((each) => join(each, FILE)).find((file) => existsSync(file))
}
