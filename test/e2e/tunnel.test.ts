import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { cleanUp } from '../support/clean-up.ts'
import { freePort } from '../support/engine.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { expectCode, makeRoot, QUICK_STOP, until } from './app.ts'

const ROOT = '/srv/stagecraft'

// From a laptop, over SSH.
describe.skipIf(!isUp('h2') || !isUp('h1'))('a host over SSH', () => {
  const folder = laptop('h1').folder('tunnel')
  const server = host(isUp('h2') ? 'h2' : 'h1')
  const write = (version: string) => {
    const script = `mkdir /www; echo ${version} >/www/version; head -c 2000000 /dev/urandom >/www/blob; exec httpd -f -p 80 -h /www`
    const web = { image: 'busybox:1', command: ['sh', '-c', script], ...QUICK_STOP }
    folder.write('compose.yaml', JSON.stringify({ services: { web } }))
    const prod = {
      hosts: 'deploy@h2',
      root: ROOT,
      services: { web: { rollout: { strategy: 'rolling', min_ready: '1s' } } },
    }
    folder.write(
      'stagecraft.yml',
      JSON.stringify({ project: { name: folder.name }, environments: { prod, local: {} } }),
    )
  }
  const deploy = async (version: string) => {
    write(version)
    expectCode(await folder.stagecraft(['deploy', '--env', 'prod', '--version', version]), 0)
  }
  beforeAll(async () => {
    await makeRoot(server, ROOT)
    await deploy('v1')
  })
  afterAll(async () => {
    await cleanUp(server, folder.name)
    await server.exec(['rm', '-rf', `${ROOT}/${folder.name}`])
    await folder.cleanUp()
  })

  test('tunnel: an unpublished port answers here, with all its data, also across a rollout, until Ctrl-C', async () => {
    const port = await freePort('127.0.0.1')
    const running = folder.startStagecraft(['tunnel', 'web', '80', '--env', 'prod', '--local', String(port)])
    await until('it listens', () => running.output().includes('until Ctrl-C') || running.output())
    expectGolden('commands/tunnel.md', 'open', running.output().replace(String(port), '15432'))
    const get = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false })
    const answers = (text: string) =>
      until(`the tunnel answers ${text}`, async () => {
        const said = await get('/version').then((response) => response.text(), String)
        return said === `${text}\n` || said
      })
    await answers('v1')
    const blobs = await Promise.all([1, 2, 3].map(async () => Buffer.from(await (await get('/blob')).arrayBuffer())))
    const sums = blobs.map((blob) => createHash('sha256').update(blob).digest('hex'))
    expect([blobs.map(({ length }) => length), new Set(sums).size]).toEqual([[2_000_000, 2_000_000, 2_000_000], 1])
    await deploy('v2')
    await answers('v2')
    const second = await folder.stagecraft(['tunnel', 'web', '80', '--env', 'prod', '--local', String(port)])
    expect([second.code, second.stderr]).toEqual([
      5,
      expect.stringContaining(`Cannot listen on port ${port}: it is taken`),
    ])
    await running.signal('INT')
    expect((await running.done).code).toBe(130)
    expect((await folder.stagecraft(['tunnel', 'web', '99999', '--env', 'prod'])).code).toBe(2)
  })

  test('ssh: words are passed on as they are, one is a line for the shell there, and the exit code is the command’s', async () => {
    const ssh = (...args: string[]) => folder.stagecraft(['ssh', '--env', 'prod', ...args])
    expect(await ssh('--', 'printf', '%s|', 'a b', '$HOME', "it's")).toMatchObject({
      code: 0,
      stdout: "a b|$HOME|it's|",
    })
    expect(await ssh('deploy@h2', '--', 'id -un; exit 6')).toMatchObject({ code: 6, stdout: 'deploy\n' })
    const unknown = await ssh('h9')
    expect([unknown.code, unknown.stderr]).toEqual([4, expect.stringContaining('Hosts: deploy@h2')])
    expect((await folder.stagecraft(['ssh', '--env', 'local'])).code).toBe(4)
  })
})
