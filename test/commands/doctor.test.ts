import { expect, test } from 'bun:test'
import { doctorLines } from '../../lib/commands/doctor.ts'
import { type Check, doctor } from '../../lib/doctor.ts'
import { StagecraftError } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import { expectGolden } from '../support/golden.ts'

const ok = (what: string, found: string): Check => ({ what, ok: true, found, remedy: '' })

test('each problem is told with what to do about it', () => {
  const checks: Check[] = [
    ok('docker', '27.5.1'),
    ok('docker compose', '2.26.1'),
    {
      what: 'docker buildx',
      ok: false,
      found: "it is not installed, or does not run\ndocker: 'buildx' is not a docker command.",
      remedy: 'Install the plugin: docker-compose-plugin and docker-buildx-plugin of Docker, or of the distribution.',
    },
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

test('a plugin of docker that is missing is a problem in its own row', async () => {
  const said: Record<string, readonly [code: number, text: string]> = {
    'docker --version': [0, 'Docker version 27.5.1, build x'],
    'docker compose version --short': [125, "unknown shorthand flag: 's' in -short\nSee 'docker --help'."],
    'docker buildx version': [0, 'github.com/docker/buildx v0.19.3 48d6a39'],
    'ssh -V': [0, 'OpenSSH_9.2p1, OpenSSL 3.0'],
    'git --version': [127, ''],
  }
  const exec: Exec = async (argv) => {
    const [code, text] = said[argv.join(' ')] ?? [127, '']
    return { argv, code, stdout: code === 0 ? text : '', stderr: code === 0 ? '' : text, timedOut: false }
  }
  const never = () => Promise.reject(new StagecraftError('config', 'not looked at'))
  const world = { exec, directory: '/nowhere', clock: () => 0, openSettings: never, openProject: never }
  const rows = (await doctor(world)).slice(0, 5).map(({ what, ok, found }) => `${ok ? 'ok' : 'BAD'} ${what}: ${found}`)
  expect(rows).toEqual([
    'ok docker: 27.5.1',
    "BAD docker compose: it is not installed, or does not run\nunknown shorthand flag: 's' in -short",
    'ok docker buildx: 0.19.3',
    'ok ssh: OpenSSH_9.2p1',
    'ok git: not there: versions are called by the time',
  ])
})
