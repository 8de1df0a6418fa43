import { describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { damage, fakeBinary, fakeRelease, OTHER_KEY, PUBLIC_KEY, serve } from '../../fakes/release.ts'
import { scratch } from '../../support/command-line.ts'
import { temporaries } from '../../support/temporary.ts'

const INSTALLER = join(import.meta.dir, '../../../install.sh')
/** What it needs besides what a test is about. */
const TOOLS = [
  ...[
    'sh',
    'awk',
    'cat',
    'chmod',
    'cp',
    'grep',
    'id',
    'ln',
    'ls',
    'mkdir',
    'mktemp',
    'mv',
    'rm',
    'sed',
    'tail',
    'uname',
  ],
  ...['gzip', 'sha256sum'],
]
const keep = temporaries()
const shells = ['sh', 'dash', 'bash'].filter((name) => Bun.which(name))
const fetchers = ['curl', 'wget'].filter((name) => Bun.which(name))
const verifiers = ['minisign', 'openssl'].filter((name) => Bun.which(name))

/** A PATH with these programs alone. */
function pathWith(programs: readonly string[]): string {
  const folder = keep(scratch()).path
  for (const name of programs) {
    const found = Bun.which(name)
    if (found) symlinkSync(found, join(folder, name))
  }
  return folder
}

interface Options {
  shell?: string
  path?: string
  key?: string | false
  env?: Readonly<Record<string, string>>
}

async function run(args: readonly string[], { shell = 'sh', path, key = PUBLIC_KEY, env }: Options = {}) {
  const pinned = key ? ['--key', key] : []
  const child = Bun.spawn([...(Bun.which(shell) ?? shell).split(' '), INSTALLER, ...pinned, ...args], {
    env: { HOME: '/dev/null/home', PATH: path ?? pathWith([...TOOLS, 'curl', 'openssl']), ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  expect(stdout).toBe('')
  return { exit: await child.exited, said: stderr }
}

/** A folder to install in; `files` are in it. */
const target = (files: Readonly<Record<string, string>> = {}) => {
  const { path } = keep(scratch(files))
  for (const name of Object.keys(files)) chmodSync(join(path, name), 0o755)
  return path
}

/** It must fail, and leave the folder as it was. @returns what it said */
async function refused(from: string, options: Options = {}, more: readonly string[] = []): Promise<string> {
  const folder = target({ stagecraft: fakeBinary('0.1.0') })
  const { exit, said } = await run(['--from', from, '--into', folder, ...more], options)
  expect([exit, readdirSync(folder), readFileSync(join(folder, 'stagecraft'), 'utf8')]).toEqual([
    ...[1, ['stagecraft']],
    fakeBinary('0.1.0'),
  ])
  return said
}

describe('install.sh', () => {
  test.each(shells.flatMap((shell) => fetchers.map((fetcher) => [shell, fetcher])))(
    'installs in %s by %s, with its signature, in a folder that it makes',
    async (shell, fetcher = '') => {
      const { url } = keep(serve(keep(fakeRelease('0.2.0')).path))
      const folder = join(target(), "it's", 'bin')
      const path = pathWith([...TOOLS, fetcher, 'openssl'])
      const { exit, said } = await run(['--from', url, '--into', folder], { shell, path })
      expect(said).toBe(
        `signature verified by openssl\nstagecraft 0.2.0 is installed: ${folder}/stagecraft\n${folder} is not in your PATH\n`,
      )
      expect(exit).toBe(0)
      expect(readFileSync(join(folder, 'stagecraft'), 'utf8')).toBe(fakeBinary('0.2.0'))
      expect(readdirSync(folder)).toEqual(['stagecraft'])
    },
  )

  test('runs with what busybox has alone, if it is here', async () => {
    const busybox = Bun.which('busybox')
    if (!busybox) return
    const tools = keep(scratch()).path
    Bun.spawnSync([busybox, '--install', '-s', tools])
    const { url } = keep(serve(keep(fakeRelease('0.2.0')).path))
    const folder = target()
    const { exit, said } = await run(['--from', url, '--into', folder], { shell: `${busybox} sh`, path: tools })
    expect(said).toStartWith('only the checksum is verified, over http: minisign or openssl 3 is needed')
    expect(exit).toBe(0)
    expect(existsSync(join(folder, 'stagecraft'))).toBe(true)
  })

  test('replaces an older one, which is kept, and a newer one only by force', async () => {
    const folder = target({ stagecraft: fakeBinary('0.1.0') })
    const newer = keep(fakeRelease('0.10.0')).path
    expect(await run(['--from', newer, '--into', folder])).toMatchObject({ exit: 0 })
    expect(readFileSync(join(folder, 'stagecraft.old'), 'utf8')).toBe(fakeBinary('0.1.0'))
    for (const version of ['0.9.0', '0.10.0-rc.1']) {
      const older = ['--from', keep(fakeRelease(version)).path, '--into', folder]
      const { exit, said } = await run(older)
      expect(exit).toBe(1)
      expect(said).toContain(
        `stagecraft: ${folder}/stagecraft is 0.10.0, which is newer than ${version}: --force replaces it\n`,
      )
      expect(await run([...older, '--force'])).toMatchObject({ exit: 0 })
      expect(await run(['--from', newer, '--into', folder])).toMatchObject({ exit: 0 })
    }
  })

  test('installs the version that is asked for, and no other', async () => {
    const { path } = keep(fakeRelease('0.2.0'))
    const folder = target()
    expect(await run(['--from', path, '--into', folder, '--version', '0.2.0'])).toMatchObject({ exit: 0 })
    expect(await refused(path, {}, ['--version', '0.1.9'])).toEndWith(
      'stagecraft: version 0.2.0 is published there, and not 0.1.9\n',
    )
  })

  test.each(verifiers)(
    'refuses by %s what another key signed, and what was changed after it was signed',
    async (by) => {
      const path = pathWith([...TOOLS, 'curl', by])
      const wrong = 'stagecraft: the signature of SHA256SUMS is wrong: this is not a release made with the key\n'
      expect(await refused(keep(fakeRelease('0.2.0', { key: OTHER_KEY })).path, { path })).toEndWith(wrong)
      const changed = keep(fakeRelease('0.2.0')).path
      damage(changed, 'SHA256SUMS')
      expect(await refused(changed, { path })).toEndWith(wrong)
    },
  )

  test('refuses a file with another checksum, and one that is missing or cut', async () => {
    for (const fetcher of fetchers) {
      const path = pathWith([...TOOLS, fetcher, 'openssl'])
      const release = keep(fakeRelease('0.2.0')).path
      const cut = keep(serve(release, { cut: (name) => name.endsWith('.gz') })).url
      expect(await refused(cut, { path })).toMatch(/stagecraft: cannot get stagecraft-\S+\.gz from http:\S+\n$/)
      for (const name of readdirSync(release).filter((file) => file.endsWith('.gz'))) damage(release, name)
      expect(await refused(keep(serve(release)).url, { path })).toContain(
        '.gz has another checksum than SHA256SUMS says',
      )
      const gone = keep(serve(join(release, 'nowhere'))).url.replace('//', '//me:word@')
      const said = await refused(gone, { path })
      expect(said).toMatch(/stagecraft: cannot get SHA256SUMS from http:\S+\n$/)
      expect(said).not.toContain('word')
      Bun.spawnSync(['rm', join(release, 'SHA256SUMS.minisig')])
      expect(await refused(keep(serve(release)).url, { path })).toContain('cannot get SHA256SUMS.minisig from http:')
    }
  })

  test('says what was not verified, and refuses it with --require-signature', async () => {
    const release = keep(fakeRelease('0.2.0')).path
    const path = pathWith([...TOOLS, 'curl'])
    const missing = 'minisign or openssl 3 is needed for the signature'
    const into = ['--from', release, '--into', target()]
    expect((await run(into, { path })).said).toContain(`only the checksum is verified, from a folder: ${missing}\n`)
    const { said } = await run(['--from', keep(serve(release)).url, '--into', target()], { key: false })
    expect(said).toContain('only the checksum is verified, over http: no key of releases is known (--key)\n')
    expect(await refused(release, { path }, ['--require-signature'])).toContain(
      `cannot verify the signature: ${missing}`,
    )
    expect(await refused(release, { key: false }, ['--require-signature'])).toContain('cannot verify the signature')
  })

  test('refuses a binary that does not run here, and a folder that cannot be made or written', async () => {
    const broken = keep(fakeRelease('0.2.0', { binary: '#!/bin/sh\nexit 127\n' })).path
    expect(await refused(broken)).toContain('stagecraft: the binary does not run there\n')
    const release = keep(fakeRelease('0.2.0')).path
    const file = join(target({ file: '' }), 'file')
    const { exit, said } = await run(['--from', release, '--into', file])
    expect(exit).toBe(1)
    expect(said).toContain(`stagecraft: cannot write in ${file}: name another folder by --into\n`)
    const folder = target()
    mkdirSync(join(folder, 'stagecraft'))
    expect(await run(['--from', release, '--into', folder])).toMatchObject({ exit: 1 })
    expect(readdirSync(folder)).toEqual(['stagecraft'])
  })

  test('leaves nothing where there is no room', async () => {
    const binary = `${fakeBinary('0.2.0')}exit\n${'#'.repeat(200_000)}\n`
    const release = keep(fakeRelease('0.2.0', { binary })).path
    const folder = target()
    const limited = join(target(), 'limited')
    writeFileSync(limited, `ulimit -f 64\nexec sh ${INSTALLER} "$@"\n`)
    const child = Bun.spawnSync(['sh', limited, '--key', PUBLIC_KEY, '--from', release, '--into', folder], {
      env: { PATH: process.env['PATH'] ?? '', HOME: '/dev/null/home' },
    })
    expect(child.exitCode).not.toBe(0)
    expect(readdirSync(folder)).toEqual([])
  })

  test('is used wrongly', async () => {
    for (const args of [
      ['--frm', '.'],
      ['--from'],
      ['--into', ''],
      ['--from', '/dev/null/nowhere'],
      ['--to', '-oProxyCommand=x'],
    ])
      expect([args, (await run(args)).exit]).toEqual([args, 2])
    expect((await run([])).said).toBe('stagecraft: where releases are published is not known: add --from URL\n')
  })

  test('that was cut off does nothing', () => {
    const text = readFileSync(INSTALLER, 'utf8')
    for (const length of [text.length / 3, text.length / 2, text.length - 12].map(Math.floor)) {
      const part = join(target(), 'part.sh')
      writeFileSync(part, text.slice(0, length))
      const { stdout } = Bun.spawnSync(['sh', part, '--from', '/', '--into', '/nowhere'], { stderr: 'ignore' })
      expect(stdout.toString()).toBe('')
    }
  })
})

/** A stand-in for ssh: it runs the line in a shell, as the other side does. */
const SSH = '#!/bin/sh\n[ "$1" = deploy@web-1 ] || exit 255\nHOME=$FAR exec sh -c "$2"\n'

test('install.sh --to puts it on a server, in the folder there, and a connection that is lost changes nothing', async () => {
  const release = keep(fakeRelease('0.2.0')).path
  const far = target()
  const path = pathWith([...TOOLS, 'openssl'])
  writeFileSync(join(path, 'ssh'), SSH, { mode: 0o755 })
  const folder = join(far, "o'clock $(reboot)")
  const args = ['--from', release, '--to', 'deploy@web-1', '--into', folder]
  const { exit, said } = await run(args, { path, env: { FAR: far } })
  expect([exit, said]).toEqual([
    ...[0, `signature verified by openssl\nstagecraft 0.2.0 is installed on deploy@web-1: ${folder}/stagecraft\n`],
  ])
  expect(readdirSync(folder)).toEqual(['stagecraft'])
  writeFileSync(join(path, 'ssh'), SSH.replace('exec sh -c "$2"', 'head -c 20 | sh -c "$2"'), { mode: 0o755 })
  symlinkSync(Bun.which('head') ?? '', join(path, 'head'))
  const lost = await run([...args, '--force'], { path, env: { FAR: far } })
  expect(lost.exit).toBe(1)
  expect(lost.said).toContain('is damaged')
  expect(readdirSync(folder)).toEqual(['stagecraft'])
})
