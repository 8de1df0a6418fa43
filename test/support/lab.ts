import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Engine, engineOf } from './engine.ts'

const ROOT = join(import.meta.dir, '../..')
const LAB_HOST = join(ROOT, 'test/lab/lab-host')

/** Where the lab keeps its hosts, as test/lab/lab-up has it. */
export const LAB_DIR = process.env['LAB_DIR'] ?? '/tmp/stagecraft-lab'
export const LAB_NET = process.env['LAB_NET'] ?? '10.213.7'

/** The hosts of the end-to-end tests: what each is for, and the argument of lab-up that makes it. */
export const HOSTS = {
  h1: { engine: '26.1', up: 'h1' },
  h2: { engine: '20.10', up: 'h2=bookworm' },
  h3: { engine: '28.5, Compose 2.40', up: 'h3=sid' },
  /** the campaign's own: its engine is stopped and hung */
  h4: { engine: '26.1', up: 'h4' },
  // With busybox only: three whose cables are cut, one that is also without power, and one whose image store is changed.
  // h7 is also made bare.
  h5: { engine: '26.1', up: 'h5' },
  h6: { engine: '20.10', up: 'h6=bookworm' },
  h7: { engine: '28.5, Compose 2.40', up: 'h7=sid' },
  h8: { engine: '26.1', up: 'h8' },
  h9: { engine: '28.5, Compose 2.40', up: 'h9=sid' },
} as const

export type HostName = keyof typeof HOSTS

/** Those that have no image but busybox. */
export const BARE: readonly HostName[] = ['h5', 'h6', 'h7', 'h8', 'h9']

/** Whether a lab host is up. `test.skipIf(!isUp('h2'))` is for tests that are about that host's engine version. */
export function isUp(name: HostName): boolean {
  return process.env['STAGECRAFT_TEST_ENGINE'] !== 'here' && existsSync(join(LAB_DIR, 'hosts', name, 'run/docker.sock'))
}

/**
 * The engine that a test works on. Commands run inside the lab host, so that bind mounts are the host's own files.
 * Without the lab, `h1` is the engine of this machine; with the others every command fails: their tests are skipped.
 */
export function host(name: HostName): Engine {
  return name !== 'h1' || isUp(name) ? labHost(name) : engineHere()
}

/** What is done to a host from outside: `cut`, `heal`, `kill`, `start`, `hold dockerd` … (test/lab/lab-host) */
export async function labHostCommand(verb: string, name: HostName, ...more: readonly string[]): Promise<void> {
  const child = Bun.spawn([LAB_HOST, verb, name, ...more], {
    env: { ...process.env, LAB_DIR, LAB_NET },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const said = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`Cannot ${verb} ${name}: ${said}`)
}

function labHost(name: HostName): Engine {
  const files = join(LAB_DIR, 'hosts', name, 'fs/keep')
  return engineOf({
    name,
    ip: `${LAB_NET}.1${name.slice(1)}`,
    folders: '/srv',
    // The host's /srv is a folder of this machine.
    seenHere: (path) => join(files, path),
    argvOf: (argv) => [LAB_HOST, 'exec', name, ...argv],
    environment: { ...process.env, LAB_DIR, LAB_NET },
    socket: join(LAB_DIR, 'hosts', name, 'run/docker.sock'),
  })
}

function engineHere(): Engine {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('STAGECRAFT_'))
  return engineOf({
    name: 'here',
    ip: '127.0.0.1',
    folders: join(process.env['TMPDIR'] ?? '/tmp', 'stagecraft-test'),
    seenHere: (path) => path,
    argvOf: (argv) => [...argv],
    environment: Object.fromEntries(inherited),
  })
}
