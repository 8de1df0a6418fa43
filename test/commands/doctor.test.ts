import { expect, test } from 'bun:test'
import { doctorLines } from '../../lib/commands/doctor.ts'
import type { Check } from '../../lib/doctor.ts'
import { expectGolden } from '../support/golden.ts'

const ok = (what: string, found: string): Check => ({ what, ok: true, found, remedy: '' })

test('each problem is told with what to do about it', () => {
  const checks: Check[] = [
    ok('docker', '27.5.1'),
    ok('docker compose', '2.26.1'),
    ok('ssh', 'OpenSSH_9.2p1'),
    ok('git', 'not there: versions are called by the time'),
    {
      what: 'connection',
      ok: false,
      found:
        'Cannot connect to web-1: it refuses the connection\nssh: connect to host web-1 port 22: Connection refused',
      remedy: 'Check that sshd runs there, and on this port (ssh web-1).',
    },
  ]
  expectGolden('commands/doctor.md', 'doctor', doctorLines(checks).join('\n'))
})

test('nothing of what is found can print control characters', () => {
  const lines = doctorLines([{ what: 'lock', ok: true, found: 'held by \u001b[31mana', remedy: '' }])
  expect(lines.join('')).not.toContain('\u001b')
})
