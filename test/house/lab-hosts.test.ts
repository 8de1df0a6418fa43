import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MANAGERS } from '../scenes/swarm.ts'

const ROOT = join(import.meta.dir, '../..')

/** Lab hosts that a test cuts off, or whose engine it stops or hangs, and the files that may use them beside all others. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  h4: ['faults'],
  h5: ['hosts'],
  h6: ['hosts'],
  h7: ['hosts'],
  h8: ['ssh-faults'],
  h9: ['containerd-store', 'install'], // what restarts the engine leaves sshd alone
}
/** Those that run when the others have ended (test/run.ts). */
const LATER = /^(fresh-server|hosts-campaign|moves|swarm(-[a-z]+)?)$/

test('what cuts off a host, or stops its engine, has it to itself among the tests that run at the same time', () => {
  const found: Record<string, string[]> = {}
  for (const path of [...new Bun.Glob('test/e2e/*.test.ts').scanSync(ROOT)].sort()) {
    const name = path.replace(/^.*\/|\.test\.ts$/g, '')
    if (LATER.test(name)) continue
    const text = readFileSync(join(ROOT, path), 'utf8')
    const used = text.matchAll(/\bisUp\('(h[4-9])'\)|\bconst NAMES = \[([^\]]*)\]/g)
    const hosts = [...used].flatMap(([, one, several]) => one ?? several?.match(/h[4-9]/g) ?? [])
    if (text.includes("scenes/swarm.ts'")) hosts.push(...MANAGERS)
    for (const host of new Set(hosts)) found[host] = [...(found[host] ?? []), name]
  }
  expect(found).toEqual(structuredClone(OWNERS) as Record<string, string[]>)
})
