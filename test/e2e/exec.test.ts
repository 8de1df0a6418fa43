import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import type { Folder } from '../support/folder.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { deploy, expectCode, idle, makeRoot, QUICK_STOP, sharedFolder, until, writeApp } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'exec')
const web = {
  image: 'busybox:1',
  command: ['sh', '-c', 'hostname >/tmp/who; exec sleep 1d'],
  environment: { PASSWORD: 'correct-horse-battery', VERSION: 'v1' },
  volumes: ['kept:/kept'],
  labels: { 'traefik.enable': 'true' },
  scale: 2,
  ...QUICK_STOP,
}
const compose = { volumes: { kept: {} } }

beforeAll(async () => {
  writeApp(folder, { services: { web, db: idle }, compose })
  await deploy(folder, 'v1')
})

/** A line for the shell of the engine's machine, in the folder; `$0` is the program. */
const shell = (line: string) => h1.exec(['sh', '-c', line, h1.binary()], { cwd: folder.path })
const BLOB = 'head -c 3000000 /dev/urandom >blob'
const SAME = 'cmp - blob && echo same'

describe('exec', () => {
  test('streams are the command’s own, byte for byte, and so is the exit code', async () => {
    const ran = await folder.stagecraft(['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 37'])
    expect(ran).toEqual({ code: 37, stdout: 'out\n', stderr: 'err\n' })
    expect((await shell(`${BLOB}; "$0" exec web -- cat <blob | ${SAME}`)).stdout).toBe('same\n')
    const words = await folder.stagecraft(['exec', 'web', '--', 'echo', '--json', 'a b', '$HOME', "it's"])
    expect(words.stdout).toBe("--json a b $HOME it's\n")
  })

  test('each replica can be addressed', async () => {
    const who = async (replica: string) =>
      (await folder.stagecraft(['exec', 'web', '--replica', replica, '--', 'cat', '/tmp/who'])).stdout
    expect(new Set([await who('1'), await who('2')]).size).toBe(2)
    const third = await folder.stagecraft(['exec', 'web', '--replica', '3'])
    expect([third.code, third.stderr]).toEqual([4, expect.stringContaining('it has only 2 running containers')])
  })

  test('without a command there is a shell, on a terminal if there is one', async () => {
    const piped = await folder.stagecraft(['exec', 'web'], { stdin: 'echo $VERSION; tty; exit 3\n' })
    expect([piped.code, piped.stdout]).toEqual([3, 'v1\nnot a tty\n'])
    const line = `printf 'tty; exit 5\\n' | script -qefc "$0 exec web" /dev/null`
    const typed = await shell(line)
    expect([typed.code, typed.stdout]).toEqual([5, expect.stringContaining('/dev/pts/')])
  })

  test('an unknown service, host or number is reported with the available ones', async () => {
    const unknown = await folder.stagecraft(['exec', 'wbe'])
    expect(unknown.code).toBe(4)
    expectGolden('commands/exec.md', 'unknown-service', unknown.stderr)
    expect((await folder.stagecraft(['exec', 'web', '--host', 'h9'])).code).toBe(4)
    expect((await folder.stagecraft(['exec', 'web', '--replica', '0'])).code).toBe(2)
    expect((await folder.stagecraft(['exec'])).code).toBe(2)
  })
})

describe('run', () => {
  test('a container of its own has the live release’s env and volumes, and is removed afterwards', async () => {
    writeApp(folder, { services: { web: { ...web, environment: { VERSION: 'edited' } }, db: idle }, compose })
    const ran = await folder.stagecraft([
      'run',
      'web',
      '--',
      'sh',
      '-c',
      'echo $VERSION $PASSWORD; echo mine >/kept/file; exit 9',
    ])
    expect([ran.code, ran.stdout]).toEqual([9, 'v1 correct-horse-battery\n'])
    expect((await folder.stagecraft(['exec', 'web', '--', 'cat', '/kept/file'])).stdout).toBe('mine\n')
    expect((await shell(`${BLOB}; "$0" run web -- cat <blob | ${SAME}`)).stdout).toBe('same\n')
    expect((await folder.containers()).length).toBe(3)
  })

  test('while it runs it is no replica, and has neither labels nor a secret in an argument', async () => {
    const running = folder.startStagecraft(['run', 'web', '--', 'sleep', '1d'])
    const filters = ['--filter', `label=com.docker.compose.project=${folder.name}`, '--filter', 'label=stagecraft.run']
    const list = async () => (await folder.docker(['ps', '-q', ...filters])).stdout.trim()
    await until('it runs', async () => (await list()) !== '' || 'not yet')
    const labels = await folder.docker([
      'inspect',
      '--format',
      '{{index .Config.Labels "traefik.enable"}}',
      await list(),
    ])
    expect(labels.stdout.trim()).toBe('')
    const status = await folder.stagecraft(['status'])
    expect([status.code, status.stdout]).toEqual([0, expect.stringMatching(/^web .* 2\/2 /m)])
    const args = await h1.exec(['sh', '-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "'])
    expect(args.stdout).toContain('run --rm')
    expect(args.stdout).not.toContain('correct-horse-battery')
    await running.signal('TERM')
    await running.done
    await folder.docker(['rm', '-f', ...(await list()).split('\n').filter(Boolean)])
  })
})

describe.skipIf(!isUp('h2'))('over SSH', () => {
  const far = laptop('h1').folder('exec-far')
  const server = host(isUp('h2') ? 'h2' : 'h1')
  const ROOT = '/srv/stagecraft'
  afterAll(async () => {
    await cleanUp(server, far.name)
    await server.exec(['rm', '-rf', `${ROOT}/${far.name}`])
    await far.cleanUp()
  })

  test('it is the same', async () => {
    await makeRoot(server, ROOT)
    const write = (at: Folder) => {
      at.write('compose.yaml', JSON.stringify({ services: { web: { ...web, scale: 1 } }, ...compose }))
      const prod = { hosts: 'deploy@h2', root: ROOT, services: { web: { rollout: { min_ready: '300ms' } } } }
      at.write('stagecraft.yml', JSON.stringify({ project: { name: at.name }, environments: { prod } }))
    }
    write(far)
    expectCode(await far.stagecraft(['deploy', '--version', 'v1']), 0)
    const exit = await far.stagecraft(['exec', 'web', '--', 'sh', '-c', 'echo $VERSION; exit 4'])
    expect([exit.code, exit.stdout]).toEqual([4, 'v1\n'])
    const engine = laptop('h1')
    for (const verb of ['exec', 'run']) {
      const line = `${BLOB}; "$0" ${verb} web --host deploy@h2 -- cat <blob | ${SAME}`
      expect((await engine.exec(['sh', '-c', line, engine.binary()], { cwd: far.path })).stdout).toBe('same\n')
    }
    const own = ['--filter', `label=com.docker.compose.project=${far.name}-prod`, '--filter', 'label=stagecraft.run']
    expect((await server.docker(['ps', '-aq', ...own])).stdout).toBe('')
  })
})
