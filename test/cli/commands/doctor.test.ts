import { expect, test } from 'bun:test'
import { doctorLines } from '../../../lib/cli/commands/doctor.ts'
import type { Check } from '../../../lib/status/doctor/check.ts'
import { doctor } from '../../../lib/status/doctor.ts'
import type { Exec } from '../../../lib/system/exec.ts'
import { network } from '../../../lib/system/network/reach.ts'
import { StagecraftError } from '../../../lib/util/errors.ts'
import { expectGolden } from '../../support/golden.ts'

const ok = (what: string, found: string): Check => ({ what, ok: true, found, remedy: '' })

test('each problem is reported with what to do about it', () => {
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
    ok('git', 'not installed: versions are named by the time'),
    {
      what: 'connection',
      ok: false,
      found:
        'Cannot connect to web-1: it refuses the connection\nssh: connect to host web-1 port 22: Connection refused',
      remedy: 'Check that sshd runs there, and on this port (ssh web-1).',
    },
    ok('DNS of shop.example.com', '203.0.113.7'),
    ok('port 80', 'open from here'),
    {
      what: 'port 443',
      ok: false,
      found: 'no answer from here',
      remedy: 'Open port 443 in the firewall of the host, and of its provider.',
    },
  ]
  expectGolden('commands/doctor.md', 'doctor', doctorLines(checks).join('\n'))
})

test('nothing of what is found can print control characters', () => {
  const lines = doctorLines([{ what: 'lock', ok: true, found: 'held by \u001b[31mana', remedy: '' }])
  expect(lines.join('')).not.toContain('\u001b')
})

test('long texts are wrapped to 80 columns, and the usage of a program is cut', () => {
  const usage = ['unknown flag', '', 'Usage:  docker', '', 'Run it', 'more', 'and more']
  const found = ['Cannot run docker compose: the Compose plugin is not installed, says this machine', ...usage].join(
    '\n',
  )
  const remedy = 'Install Docker Compose 2.20 or later as a plugin of the docker command (docker-compose-plugin).'
  expect(doctorLines([ok('docker', '27'), { what: 'Compose file', ok: false, found, remedy }])).toEqual([
    'ok   docker        27',
    'BAD  Compose file  Cannot run docker compose: the Compose plugin is not',
    '       installed, says this machine',
    '       unknown flag',
    '       Usage:  docker',
    '       Install Docker Compose 2.20 or later as a plugin of the docker command',
    '       (docker-compose-plugin).',
  ])
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
  const world = {
    ...{ exec, directory: '/nowhere', clock: () => 0, openSettings: never, openProject: never },
    ...{ network, addressOf: never },
  }
  const rows = (await doctor(world)).slice(0, 5).map(({ what, ok, found }) => `${ok ? 'ok' : 'BAD'} ${what}: ${found}`)
  expect(rows).toEqual([
    'ok docker: 27.5.1',
    "BAD docker compose: it is not installed, or does not run\nunknown shorthand flag: 's' in -short",
    'ok docker buildx: 0.19.3',
    'ok ssh: OpenSSH_9.2p1',
    'ok git: not installed: versions are named by the time',
  ])
})
