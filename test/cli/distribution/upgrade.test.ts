import { describe, expect, test } from 'bun:test'
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { upgradedLines } from '../../../lib/cli/commands/upgrade.ts'
import { openSource } from '../../../lib/cli/distribution/release-source.ts'
import { install, readOffer, refuseOlder } from '../../../lib/cli/distribution/upgrade.ts'
import { exec } from '../../../lib/system/exec.ts'
import { damage, fakeBinary, fakeRelease, OTHER_KEY, PUBLIC_KEY, serve } from '../../fakes/release.ts'
import { scratch, stagecraftHere } from '../../support/command-line.ts'
import { formatError } from '../../support/failure.ts'
import { expectGolden } from '../../support/golden.ts'
import { temporaries } from '../../support/temporary.ts'

const keep = temporaries()

function installed() {
  const folder = keep(scratch({ stagecraft: fakeBinary('0.1.0') })).path
  const file = join(folder, 'stagecraft')
  chmodSync(file, 0o750)
  return { folder, file, version: '0.1.0', target: 'linux-x64' }
}

async function upgrade(from: string, binary: ReturnType<typeof installed>, idle?: number): Promise<string> {
  const offer = await readOffer(openSource(from, idle), PUBLIC_KEY)
  refuseOlder(offer, binary)
  return install(offer, binary, exec)
}

/** What is printed of an upgrade that fails; the folder must be as before. */
async function refusal(from: string, { binary = installed(), idle }: { binary?: Bin; idle?: number } = {}) {
  const before = readdirSync(binary.folder)
  const error = await upgrade(from, binary, idle).catch((caught: unknown) => caught)
  expect(readdirSync(binary.folder)).toEqual(before)
  expect(readFileSync(binary.file, 'utf8')).toBe(fakeBinary('0.1.0'))
  return formatError(error).join('\n').replaceAll(binary.folder, '/usr/local/bin').replaceAll(from, '<from>')
}
type Bin = ReturnType<typeof installed>

describe('an upgrade', () => {
  test.each(['folder', 'server', 'server that calls .gz an encoding'])(
    'from a %s replaces the file, keeps its bits and the old file',
    async (kind) => {
      const { path } = keep(fakeRelease('0.2.0'))
      const binary = installed()
      const from = () => `${keep(serve(path, kind.includes('.gz') ? { encoded: true } : {})).url}/`
      const old = await upgrade(kind === 'folder' ? path : from(), binary)
      expect(old).toBe(`${binary.file}.old`)
      expect(readdirSync(binary.folder).toSorted()).toEqual(['stagecraft', 'stagecraft.old'])
      expect(readFileSync(binary.file, 'utf8')).toBe(fakeBinary('0.2.0'))
      expect(readFileSync(old, 'utf8')).toBe(fakeBinary('0.1.0'))
      expect(statSync(binary.file).mode & 0o777).toBe(0o750)
    },
  )

  test('is said with the file that is kept', () => {
    const file = '/usr/local/bin/stagecraft'
    const lines = upgradedLines({ from: '0.1.0', to: '0.2.0' }, file, `${file}.old`)
    expectGolden('commands/upgrade.md', 'upgraded', lines.join('\n'))
  })

  test('twice keeps the one before, and removes what a killed one left', async () => {
    const binary = installed()
    writeFileSync(join(binary.folder, '.stagecraft-4194305-1.tmp'), 'half')
    await upgrade(keep(fakeRelease('0.2.0')).path, binary)
    await upgrade(keep(fakeRelease('0.3.0')).path, binary)
    expect(readdirSync(binary.folder).toSorted()).toEqual(['stagecraft', 'stagecraft.old'])
    expect(readFileSync(`${binary.file}.old`, 'utf8')).toBe(fakeBinary('0.2.0'))
  })

  test('is refused if the release was signed with another key, or changed after it was signed', async () => {
    const forged = keep(fakeRelease('0.2.0', { key: OTHER_KEY })).path
    expect(await refusal(forged)).toContain('the signature of SHA256SUMS is wrong: it was made with another key')
    for (const name of ['SHA256SUMS', 'VERSION', 'stagecraft-linux-x64.gz']) {
      const { path } = keep(fakeRelease('0.2.0'))
      if (name === 'VERSION') writeFileSync(join(path, name), '9.0.0\n')
      else damage(path, name)
      const reason =
        name === 'SHA256SUMS' ? 'it is not the signature of this file' : `${name} does not have the checksum`
      expect(await refusal(path)).toContain(reason)
    }
  })

  test('is refused if a file is missing, or its download is cut or stands still', async () => {
    const { path } = keep(fakeRelease('0.2.0'))
    const cut = keep(serve(path, { cut: (name) => name.endsWith('.gz') })).url
    expect(await refusal(cut)).toMatch(/^Cannot get <from>\/stagecraft-linux-x64\.gz: /)
    const silent = keep(serveSilence()).url
    expect(await refusal(silent, { idle: 100 })).toBe('Cannot get <from>/SHA256SUMS: nothing came for 0.1 s')
    rmSync(join(path, 'SHA256SUMS.minisig'))
    expect(await refusal(path)).toBe('Cannot get <from>/SHA256SUMS.minisig: there is no such file')
    expect(await refusal(keep(serve(path)).url)).toBe('Cannot get <from>/SHA256SUMS.minisig: the server answered 404')
    const closed = serve(path)
    closed.remove()
    expect(await refusal(closed.url)).toContain('Cannot get <from>/SHA256SUMS: ')
    expect(await refusal(closed.url.replace('//', '//me:word@'))).not.toContain('word')
  })

  test('is refused if it would be a step back', async () => {
    expectGolden('commands/upgrade.md', 'older', await refusal(keep(fakeRelease('0.0.9')).path))
  })

  test('is refused if the new file does not run, or is another version than the release says', async () => {
    for (const binary of ['#!/bin/sh\necho no such loader >&2; exit 127\n', fakeBinary('0.2.1')]) {
      const { path } = keep(fakeRelease('0.2.0', { binary }))
      expect(await refusal(path)).toContain('the new binary does not run here')
    }
    const other = { ...installed(), target: 'linux-riscv64' }
    expect(await refusal(keep(fakeRelease('0.2.0')).path, { binary: other })).toContain(
      'the release has no stagecraft-linux-riscv64.gz',
    )
  })

  test('is refused where the folder cannot be written', async () => {
    const offer = await readOffer(openSource(keep(fakeRelease('0.2.0')).path), PUBLIC_KEY)
    const binary = { ...installed(), file: '/dev/null/bin/stagecraft' }
    const error = await install(offer, binary, exec).catch((caught: unknown) => caught)
    const text = formatError(error).join('\n').replaceAll('/dev/null/bin', '/usr/local/bin')
    expectGolden('commands/upgrade.md', 'unwritable', text)
  })

  test('is refused from source', async () => {
    const { path } = keep(scratch())
    const { exit, stderr } = await stagecraftHere(['upgrade'], { cwd: path })
    expect(exit).toBe(2)
    expectGolden('commands/upgrade.md', 'source', stderr)
  })
})

/** A server that accepts connections and says nothing. */
function serveSilence() {
  const server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  return { url: `http://127.0.0.1:${server.port}`, remove: () => server.stop(true) }
}
