import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { type App, deploy, idle, releases, sharedFolder, writeApp } from './app.ts'

// "Without a terminal" of spec/core/cli.md: no question is asked, nothing hangs, and nothing counts as a yes.
const h1 = host('h1')
const folder = sharedFolder(h1, 'contract')
const migrations = { engine: 'command', service: 'web', command: 'true' }
const app: App = {
  services: { web: { ...idle, volumes: ['data:/data'] } },
  compose: { volumes: { data: {} } },
  environments: { local: { databases: { main: { migrations } } } },
}

beforeAll(async () => {
  writeApp(folder, app)
  await deploy(folder, 'v1')
  await deploy(folder, 'v2')
})

/** Runs the binary as a line of sh says: `$0` is its path, and `$@` are its arguments. */
const shell = (line: string, ...args: string[]) => folder.exec(['sh', '-c', line, h1.binary(), ...args])

const NOBODY = {
  'stdin is closed': 'exec "$0" "$@" <&-',
  'stdin is /dev/null': 'exec "$0" "$@" </dev/null',
  'stdin says yes': 'yes yes | "$0" "$@"',
  'stdin is a pipe that stays silent': '[ -p silent ] || mkfifo silent; exec "$0" "$@" <>silent',
  'stderr is no terminal': 'exec script -qefc "$0 $* 2>said; code=\\$?; cat said; exit \\$code" /dev/null </dev/null',
} as const

const ASKS = [
  ['down', 'Cannot take local down without --yes', '--yes'],
  ['down --yes --volumes', 'Cannot take local down without --confirm', '--yes --confirm local'],
  ['down --volumes --confirm prod', 'Cannot take local down: --confirm names "prod"', '--yes --confirm local'],
  ['rollback', 'Cannot roll back to v1 without --yes: migrations ran since then, and they stay', '--yes'],
] as const

test.each(Object.entries(NOBODY))(
  '%s: what asks changes nothing, exits with 2, and names the flag',
  async (_, line) => {
    const before = await folder.containers()
    for (const [command, refusal, flag] of ASKS) {
      const { code, stdout, stderr } = await shell(line, ...command.split(' '))
      expect([command, code]).toEqual([command, 2])
      expect(`${stdout}${stderr}`).toContain(refusal)
      expect(`${stdout}${stderr}`).toContain(flag)
    }
    expect(await folder.containers()).toEqual(before)
    expect(releases(folder)).toHaveLength(2)
  },
)

test('closed streams work like /dev/null, and no output gets into a file', async () => {
  const closed = (...args: string[]) => shell('exec "$0" "$@" <&- >&- 2>&-', ...args)
  expect(await closed('deploy', '--version', 'v3')).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(releases(folder).at(-1)?.version).toBe('v3')
  for (const command of ['status', 'plan', 'prune', 'releases list', 'logs', 'restart web'])
    expect([command, (await closed(...command.split(' '))).code]).toEqual([command, 0])
  expect((await closed('deploy', '--from', 'nowhere')).code).toBe(4)
  expect((await closed('rollback')).code).toBe(2)
  expect((await closed('rollback', '--yes')).code).toBe(0)
  const status = await folder.stagecraft(['status', '--json'])
  expect([status.code, JSON.parse(status.stdout.split('\n')[0] ?? '').as_released]).toEqual([0, true])
})

test('exec and run pass on what they read and print, and --json adds the end', async () => {
  const echo = await folder.stagecraft(['exec', 'web', '--json', '--', 'cat'], { stdin: 'a\n' })
  expect([echo.code, echo.stdout]).toEqual([0, 'a\n{"v":1,"type":"finished","exit":0}\n'])
  const ended = await shell('exec "$0" "$@" <&-', 'exec', 'web', '--', 'sh', '-c', 'cat; exit 3')
  expect(ended).toEqual({ code: 3, stdout: '', stderr: '' })
})
