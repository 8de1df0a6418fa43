import { expect, test } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../package.json'
import { KEY, PUBLIC_KEY } from '../fakes/release.ts'
import { scratch } from '../support/command-line.ts'
import { temporaries } from '../support/temporary.ts'

const ROOT = join(import.meta.dir, '../..')
const RELEASE = join(ROOT, 'dist/release')
const URL = 'https://downloads.example.com/stagecraft'
const keep = temporaries()

function start(argv: readonly string[]) {
  const env = { PATH: process.env['PATH'] ?? '', HOME: keep(scratch()).path } // Bun makes a cache there
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], { cwd: ROOT, env })
  return { exit: exitCode, text: stdout.toString() + stderr.toString() }
}
const makeRelease = (...more: string[]) => start([process.execPath, 'build.ts', '--release', ...more])

function keyFile(mode: number): string {
  const file = join(keep(scratch()).path, 'release.key')
  writeFileSync(file, KEY.export({ type: 'pkcs8', format: 'pem' }), { mode })
  return file
}

test('npm run release makes a folder that can be published, installed from and upgraded from', () => {
  const said = start([join(ROOT, 'dist/stagecraft'), '--version']).text
  const target = / bun-([\w-]+)\)/.exec(said)?.[1] ?? ''
  const made = makeRelease('--targets', target, '--key', keyFile(0o600), '--url', URL)
  expect(made.text).toContain(`signed; public key ${PUBLIC_KEY}\n`)
  expect(made.exit).toBe(0)
  expect(readdirSync(RELEASE).toSorted()).toEqual([
    ...['CHANGES.md', 'LICENSE', 'SHA256SUMS', 'SHA256SUMS.minisig', 'VERSION', '_stagecraft', 'install.sh'],
    'output.schema.json',
    ...[`stagecraft-${target}`, `stagecraft-${target}.gz`, 'stagecraft.1', 'stagecraft.bash', 'stagecraft.cdx.json'],
    ...['stagecraft.fish', 'stagecraft.schema.json'],
  ])
  expect(readFileSync(join(RELEASE, 'install.sh'), 'utf8')).toContain(`\nKEY='${PUBLIC_KEY}'\nRELEASES='${URL}'\n`)

  const { path } = keep(scratch())
  const installed = start(['sh', join(RELEASE, 'install.sh'), '--from', RELEASE, '--into', path])
  expect(installed.text).toContain(`stagecraft ${version} is installed: ${path}/stagecraft\n`)
  const own = join(path, 'stagecraft')
  // It knows its key, and where it was published: --from alone is another place.
  expect(start([own, 'upgrade', '--from', RELEASE])).toEqual({
    exit: 0,
    text: `stagecraft ${version} is what is published: nothing to do\n`,
  })
  expect(start([own, 'upgrade', '--from', RELEASE, '--force'])).toMatchObject({ exit: 0 })
  expect(readdirSync(path).toSorted()).toEqual(['stagecraft', 'stagecraft.old'])
  expect(start([own, '--version']).text).toStartWith(`stagecraft ${version} (`)
})

test('npm run release refuses a key that others can read, an unknown target, and an address that is none', () => {
  for (const [options, reason] of [
    [['--key', keyFile(0o644)], 'others can read it'],
    [['--targets', 'linux-riscv64'], 'Cannot build linux-riscv64: it is none of linux-x64,'],
    [['--targets', 'linux-x64', '--url', 'downloads.example.com'], 'it is no address'],
  ] as const) {
    const { exit, text } = makeRelease(...options)
    expect(text).toContain(reason)
    expect(exit).toBe(1)
  }
})
