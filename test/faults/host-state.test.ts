// What a host runs to keep a state: its calls fail, its processes are killed, its disk is full, and it is read in the midst of a
// write. Here by this machine's shell, a little of it; `npm run campaign -- --only host-files` does all of it over SSH.
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostFiles } from '../campaign/host-files/host-files.ts'
import { HERE } from '../campaign/host-files/machine.ts'
import { have } from '../support/strace.ts'

const tools = Bun.which('strace') !== null && Bun.which('unshare') !== null && process.getuid?.() === 0

describe.if(have('strace and root', tools, import.meta.path))('the state on a host', () => {
  test('is one of the states that were written, whatever fails, and the next write goes through', async () => {
    const root = mkdtempSync(join(tmpdir(), 'stagecraft-host-state-'))
    const printed: string[] = []
    const extent = { share: 40, errors: ['ENOSPC'], free: [0, 1, 3, 8, 21, 40, 100], kinds: ['tmpfs'] as const }
    try {
      const faults = await hostFiles(HERE, join(root, 'host'), { ...extent, print: (line) => printed.push(line) })
      expect(faults.filter(({ failures }) => failures.length > 0)).toEqual([])
      const groups = new Map(faults.map(({ group }) => [group, faults.filter((each) => each.group === group)]))
      // Each kind of fault was tried, and each came to both ends where it can.
      const errors = ['EAGAIN', 'EBADF', 'EINTR', 'EIO', 'EMFILE', 'ENOSPC'].map((error) => `a call fails: ${error}`)
      const disks = ['read-only, tmpfs', 'so many files free, tmpfs', 'so many pages free, tmpfs']
      expect([...groups.keys()].sort()).toEqual([
        ...errors,
        ...['a call of a reader fails', 'a process is killed', 'all of it is killed', 'read in the midst of a write'],
        ...disks,
      ])
      const within = groups.get('so many pages free, tmpfs') ?? []
      expect([within[0]?.kept, within.at(-1)?.kept]).toEqual([false, true])
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
})
