import { afterAll, expect, test } from 'bun:test'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../../package.json'
import { fakeBinary, fakeRelease, PUBLIC_KEY } from '../fakes/release.ts'

const BINARY = join(import.meta.dir, '../../dist/stagecraft')
const folder = mkdtempSync(join(tmpdir(), 'stagecraft-build-'))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (file: string, content: string) => writeFileSync(join(folder, file), content)

function run(...args: string[]): { code: number; stdout: string; stderr: string } {
  const environment = { PATH: process.env['PATH'] ?? '', HOME: folder }
  const { exitCode, stdout, stderr } = Bun.spawnSync([BINARY, ...args], { cwd: folder, env: environment })
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

test('the binary says its version, commit and target', () => {
  const { code, stdout } = run('--version')
  expect(stdout).toMatch(
    new RegExp(`^stagecraft ${version} \\((unknown|[0-9a-f]{7}(-dirty)?), bun-(linux|darwin)-[\\w-]+\\)\n$`),
  )
  expect(code).toBe(0)
})

test('the binary neither reads the .env nor executes the bunfig.toml of the folder it runs in', () => {
  write('compose.yaml', 'services: {web: {image: "busybox:1"}}\n')
  write('broken.json', '[]')
  // If .env were read, the state would be the broken file, by way of an expansion that only Bun makes.
  write('.env', `STAGECRAFT_STATE_FILE=$HOME/broken.json\nNODE_OPTIONS=--require=${folder}/preload.js\n`)
  write('preload.js', `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'executed'))}, 'yes')\n`)
  write(
    'bunfig.toml',
    'preload = ["./preload.js"]\n[run]\npreload = ["./preload.js"]\n[test]\npreload = ["./preload.js"]\n',
  )
  write('tsconfig.json', '{ "compilerOptions": { "paths": { "*": ["./preload.js"] } } }')
  write('package.json', '{ "type": "commonjs", "main": "preload.js" }')

  expect(run('--version').code).toBe(0)
  expect(run('releases', 'list')).toMatchObject({ code: 0 })
  expect(existsSync(join(folder, 'executed'))).toBe(false)
})

test('variables of the runtime change nothing of the binary', () => {
  write('compose.yaml', 'services: {web: {image: "busybox:1"}}\n')
  write('loaded.js', `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'loaded'))}, 'yes')\n`)
  const said = run('releases', 'list')
  for (const [name, value] of [
    ['BUN_OPTIONS', `--preload=${folder}/loaded.js`],
    ['BUN_BE_BUN', '1'],
    ['BUN_INSPECT', '127.0.0.1:0'],
    ['BUN_INSPECT_PRELOAD', `${folder}/loaded.js`],
    ['BUN_CONFIG_VERBOSE_FETCH', 'curl'],
    ['NODE_OPTIONS', `--require=${folder}/loaded.js`],
  ] as const) {
    const environment = { PATH: process.env['PATH'] ?? '', HOME: folder, [name]: value }
    const { exitCode, stdout, stderr } = Bun.spawnSync([BINARY, 'releases', 'list'], { cwd: folder, env: environment })
    expect([name, exitCode, stdout.toString(), stderr.toString()]).toEqual([name, said.code, said.stdout, said.stderr])
  }
  expect(existsSync(join(folder, 'loaded'))).toBe(false)
})

test('the binary replaces itself by a release, and keeps its own file', () => {
  const target = / bun-([\w-]+)\)/.exec(run('--version').stdout)?.[1]
  const own = join(folder, 'bin/stagecraft')
  mkdirSync(join(folder, 'bin'))
  copyFileSync(BINARY, own)
  const release = fakeRelease('99.0.0')
  try {
    const upgrade = (...more: string[]) => {
      const argv = [own, 'upgrade', '--from', release.path, ...more]
      const { exitCode, stdout, stderr } = Bun.spawnSync(argv, {
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '' },
      })
      return { code: exitCode, text: stdout.toString() + stderr.toString() }
    }
    expect(target).toBeString()
    expect(upgrade()).toMatchObject({ code: 2, text: expect.stringContaining('without the key of releases') })
    expect(upgrade('--key', PUBLIC_KEY)).toEqual({
      code: 0,
      text: `stagecraft 99.0.0 is installed: ${own}\n${version} is kept: ${own}.old\n`,
    })
    expect(readdirSync(join(folder, 'bin')).toSorted()).toEqual(['stagecraft', 'stagecraft.old'])
    expect(readFileSync(own, 'utf8')).toBe(fakeBinary('99.0.0'))
    expect(Bun.file(`${own}.old`).size).toBe(Bun.file(BINARY).size)
  } finally {
    release.remove()
  }
})

test('the state file that the test above plants does break the binary when it is named', () => {
  expect(run('releases', 'list', '--state', join(folder, 'broken.json'))).toMatchObject({ code: 9 })
})
