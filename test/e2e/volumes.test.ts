import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { type App, deploy, ENDS_SOON, QUICK_STOP, sharedFolder, writeApp } from './app.ts'

// What happens to an anonymous volume with the image's files, across releases that change them.
const folder = sharedFolder(host('h1'), 'volumes')

/** @param files of the image, in its volume @param command what its container does */
function write(text: string, command = 'exec sleep 1d', settings: App['settings'] = {}): void {
  folder.write('web/files/version', `${text}\n`)
  folder.write(`web/files/only/${text}`, '')
  const make =
    'chmod 2750 /data/only && chown -R 33:44 /data/only && ln -s version /data/link && ln /data/version /data/hard && mkdir /real && ln -s /real /link'
  folder.write(
    'web/Dockerfile',
    `FROM busybox:1\nCOPY files /data\nRUN ${make}\nVOLUME /data /link\nCMD ${JSON.stringify(['sh', '-c', command])}\n`,
  )
  writeApp(folder, { services: { web: { build: './web', ...QUICK_STOP } }, settings })
}

async function inWeb(command: string): Promise<string> {
  const { code, stdout, stderr } = await folder.docker(['compose', 'exec', '-T', 'web', 'sh', '-c', command])
  expect([code, stderr]).toEqual([0, ''])
  return stdout.trim()
}

const version = () => inWeb('cat /data/version')

/** The names of the volumes of its container. */
async function volumes(): Promise<string[]> {
  const ids = await folder.docker(['compose', 'ps', '-aq'])
  const format = '{{range .Mounts}}{{.Name}}\n{{end}}'
  const { stdout } = await folder.docker(['inspect', '--format', format, ...ids.stdout.split('\n').filter(Boolean)])
  return stdout.split('\n').filter(Boolean)
}

async function present(names: readonly string[]): Promise<number> {
  const list = await folder.docker(['volume', 'ls', '-q'])
  return list.stdout.split('\n').filter((name) => names.includes(name)).length
}

test('unchanged files are those of the release: forward, after a failure, and back', async () => {
  write('one')
  await deploy(folder, 'v1')
  const first = await volumes()
  expect(first).toHaveLength(2)

  write('two')
  const { stdout: plan } = await folder.stagecraft(['plan', '--version', 'v2'])
  expect(plan).toContain("note: web gets the new image's files in /data, /link if nobody has written there; otherwise")
  const { stderr } = await deploy(folder, 'v2')
  expect(stderr).toMatch(/ {2}web {2}renew +nobody has written to \/data, \/link: the new image's files\n/)
  expect(stderr).not.toContain('warning:')
  expect([await version(), await present(first)]).toEqual(['two', 0])

  write('three', 'echo changed >/data/version; exit 1', { web: ENDS_SOON })
  const failed = await deploy(folder, 'v3', 5)
  expect(await version()).toBe('two')
  const [, volume = ''] = /If nobody needs it: docker volume rm ([0-9a-f]{64})/.exec(failed.stderr) ?? []
  expect(await present([volume])).toBe(1) // what v3 wrote
  await folder.docker(['volume', 'rm', ...(/docker volume rm ([0-9a-f ]+)/.exec(failed.stderr)?.[1] ?? '').split(' ')])

  const back = await folder.stagecraft(['rollback'])
  expect([back.code, await version(), await inWeb('ls /data/only')]).toEqual([0, 'one', 'one'])
  const left = await folder.docker(['ps', '-aq', '--filter', `name=stagecraft-volumes-${folder.name}`])
  expect(left.stdout).toBe('')
})

test('changed files are kept, with the old files, and that is reported', async () => {
  await inWeb('echo precious >/link/file')
  write('four')
  const { stderr } = await deploy(folder, 'v4')
  expect(stderr).toContain(
    'warning: web keeps what it has in /data, /link, also the files of its old image: somebody has written to /link\n',
  )
  const hint = /docker (rm -fv \S+-web-1) and deploy/.exec(stderr)?.[1] ?? ''
  expect([await version(), await inWeb('cat /link/file')]).toEqual(['one', 'precious'])

  write('five', 'exit 1', { web: ENDS_SOON })
  await deploy(folder, 'v5', 5)
  expect([await version(), await inWeb('cat /link/file')]).toEqual(['one', 'precious'])

  write('four')
  const kept = await volumes()
  expect((await folder.docker(hint.split(' '))).code).toBe(0)
  await deploy(folder, 'v4')
  expect([await version(), await inWeb('ls /link/')]).toEqual(['four', ''])
  await folder.docker(['volume', 'rm', ...kept])
})
