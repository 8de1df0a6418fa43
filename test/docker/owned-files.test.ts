import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OwnedFile } from '../../lib/compose/rendering.ts'
import type { Docker, DockerCommand } from '../../lib/docker/client.ts'
import { archive, giveToOwners } from '../../lib/docker/owned-files.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { StagecraftError } from '../../lib/util/errors.ts'

const file = (changes: Partial<OwnedFile> = {}): OwnedFile => ({
  hash: 'a'.repeat(32),
  text: 'words',
  uid: 1000,
  gid: 1001,
  mode: 0o440,
  isAsked: true,
  ...changes,
})

let folder = ''
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'stagecraft-owned-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

describe('archive()', () => {
  test('is one that tar reads, with owners of any size, modes and every byte', () => {
    const long = 'ä\0'.repeat(700)
    const files = [file(), file({ hash: 'b'.repeat(32), text: long, uid: 4_000_000_000, gid: 0, mode: 0 })]
    const packed = join(folder, 'a.tar')
    fs.writeFileSync(packed, archive([...files, file({ hash: 'c'.repeat(32), text: '' })]))
    const list = Bun.spawnSync(['tar', '--numeric-owner', '-tvf', packed]).stdout.toString()
    const rows = list
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/))
    expect(rows.map(([mode, owner, size, , , name]) => [mode, owner, size, name])).toEqual([
      ['-r--r-----', '1000/1001', '5', 'a'.repeat(32)],
      ['----------', '4000000000/0', '2100', 'b'.repeat(32)],
      ['-r--r-----', '1000/1001', '0', 'c'.repeat(32)],
    ])
    expect(Bun.spawnSync(['tar', '-xOf', packed, 'b'.repeat(32)]).stdout.toString()).toBe(long)
  })
})

describe('giveToOwners()', () => {
  async function given(files: readonly OwnedFile[], { at, fails }: { at?: string; fails?: string } = {}) {
    const calls: string[] = []
    const call = async (args: readonly string[], { inputFrom }: DockerCommand = {}) => {
      const chunks: unknown[] = []
      for await (const chunk of inputFrom ?? []) chunks.push(chunk)
      calls.push([...args, ...(chunks.length > 0 ? [`< ${chunks.map(String).join('').slice(0, 4)}`] : [])].join(' '))
      if (args[0] === fails) throw new StagecraftError('failed', 'no')
      return { argv: args, code: 0, stdout: '', stderr: '', timedOut: false }
    }
    const docker: Docker = { mask: createMask([]), try: call, run: (_, args, options) => call(args, options) }
    const store = { folder, write: true, ...(at === undefined ? {} : { at }) }
    const error = await giveToOwners(files, { docker, store, project: 'shop', image: 'sha256:1' }).catch(
      (e: Error) => e,
    )
    return { calls: calls.map((line) => line.replaceAll(folder, 'content')), error }
  }

  test('writes into the content folder of a container that is never started, and removes it, also where that fails', async () => {
    const create =
      'create --name stagecraft-files-shop --label com.docker.compose.project= --label com.docker.compose.service= --network none --entrypoint /none ' +
      '--mount type=bind,"source=/a ""b"", c",target=/stagecraft-content sha256:1'
    const cp = 'cp - stagecraft-files-shop:/stagecraft-content < aaaa'
    const rm = 'rm --force --volumes stagecraft-files-shop'
    expect((await given([file()], { at: '/a "b", c' })).calls).toEqual([rm, create, cp, rm])
    const failed = await given([file()], { at: '/a', fails: 'cp' })
    expect([failed.error?.message, failed.calls.at(-1)]).toEqual(['no', rm])
  })

  test('asks nothing of the engine where the files of this machine are right, or there are none', async () => {
    const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o440 }
    fs.writeFileSync(join(folder, 'a'.repeat(32)), 'words')
    fs.chmodSync(join(folder, 'a'.repeat(32)), 0o440)
    const right = fs.statSync(join(folder, 'a'.repeat(32)))
    expect((await given([file({ ...own, gid: right.gid })])).calls).toEqual([])
    expect((await given([file({ ...own, gid: right.gid, mode: 0o400 })])).calls.length).toBe(4)
    expect((await given([])).calls).toEqual([])
  })
})
