import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { host } from '../support/lab.ts'
import { sharedFolder, until } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'harness')

test('a test project runs on the engine, answers over HTTP and leaves nothing behind', async () => {
  const port = await h1.freePort()
  folder.write('site/index.html', "it's here: $HOME\n")
  folder.write('Dockerfile', 'FROM busybox:1\nCOPY site /site\nCMD ["httpd", "-f", "-h", "/site"]\n')
  folder.write(
    'compose.yaml',
    `services:\n  web:\n    build: .\n    ports: ["${port}:80"]\n    volumes: ["kept:/kept"]\nvolumes: {kept: {}}\n`,
  )
  const up = await folder.docker(['compose', 'up', '-d', '--wait'])
  expect(up).toMatchObject({ code: 0 })
  await until('it listens', async () => (await folder.fetch(port)).status !== 0 || 'not yet')
  expect(await folder.fetch(port)).toEqual({ status: 200, body: "it's here: $HOME\n" })
  expect((await folder.containers()).map(({ service, state }) => ({ service, state }))).toEqual([
    { service: 'web', state: 'running' },
  ])

  await folder.cleanUp()
  expect(await folder.fetch(port)).toMatchObject({ status: 0 })
  expect(existsSync(folder.here)).toBe(false)
  const left = await Promise.all(
    [['ps', '-a'], ['images'], ['volume', 'ls'], ['network', 'ls']].map((list) => h1.docker(list)),
  )
  for (const { stdout } of left) expect(stdout).not.toContain(folder.name)
})

test('a command gets its arguments, folder, environment and standard input as they are', async () => {
  const ran = await h1.exec(
    ['sh', '-c', 'pwd; echo "$1"; echo "$A"; cat; echo oops >&2; exit 3', 'sh', `a 'b' "$c"\n`],
    {
      cwd: '/usr',
      env: { A: '$x  y' },
      stdin: 'in',
    },
  )
  expect(ran).toEqual({ code: 3, stdout: `/usr\na 'b' "$c"\n\n$x  y\nin`, stderr: 'oops\n' })
})

test('a running command can be signalled, and one that takes too long is ended', async () => {
  const running = h1.start(['sh', '-c', 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'])
  while (!running.output().includes('ready')) await Bun.sleep(20)
  await running.signal('INT')
  expect(await running.done).toEqual({ code: 9, stdout: 'ready\ncaught\n', stderr: '' })
  expect((await h1.exec(['sleep', '20'], { timeout: 1 })).code).toBe(124)
})
