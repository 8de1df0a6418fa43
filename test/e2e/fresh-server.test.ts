import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { version } from '../../package.json'
import { KEY } from '../fakes/release.ts'
import { BareHost } from '../scenes/bare-host.ts'
import type { Folder } from '../support/folder.ts'
import { isUp, LAB_DIR } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { expectCode, page, writeApp, writePage } from './app.ts'

// From nothing to an answer over HTTP: what a release of Stagecraft publishes, a server without anything, an application.
const ROOT = join(import.meta.dir, '../..')
const ADDRESS = 'root@h7'
const HERE = process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64'

function start(argv: readonly string[], input?: string) {
  const env = { ...process.env, PATH: `${join(LAB_DIR, 'bin')}:${process.env['PATH']}` }
  const stdin = input === undefined ? 'ignore' : Buffer.from(input)
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], { env, cwd: ROOT, stdin })
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}
const on = (line: string) => start(['ssh', ADDRESS, line])

describe.skipIf(!isUp('h7'))('a bare server', () => {
  let bare: BareHost
  let folder: Folder
  let scratch: string

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'stagecraft-fresh-'))
    bare = new BareHost()
    folder = laptop('h1').folder('fresh')
    await bare.begin()
  })
  afterAll(async () => {
    await folder.cleanUp()
    await bare.end()
    rmSync(scratch, { recursive: true, force: true })
  })

  test('gets a signed release by install.sh', async () => {
    const key = join(scratch, 'release.key')
    writeFileSync(key, KEY.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    const web = serveFolder(join(ROOT, 'dist/release'))
    try {
      const build = [process.execPath, 'build.ts', '--release', '--targets', HERE, '--key', key, '--url', web.url]
      expectCode(start(build), 0)
      // As users call it: the published script downloads the rest, using its own address and key.
      const installer = await (await fetch(`${web.url}/install.sh`)).text()
      const child = Bun.spawn(['sh', '-s', '--', '--to', ADDRESS, '--require-signature'], {
        env: { ...process.env, PATH: `${join(LAB_DIR, 'bin')}:${process.env['PATH']}` },
        stdin: Buffer.from(installer),
        stderr: 'pipe',
      })
      expect(await new Response(child.stderr).text()).toBe(
        `signature verified by openssl\nstagecraft ${version} is installed on ${ADDRESS}: /usr/local/bin/stagecraft\n`,
      )
    } finally {
      await web.stop()
    }
    expect(on('stagecraft --version').stdout).toMatch(new RegExp(`^stagecraft ${version} \\(\\S+, bun-${HERE}\\)\n$`))
  })

  test('is made ready by bootstrap, which installs the engine, and is then deployed to', async () => {
    const port = await bare.server.freePort()
    writePage(folder, 'version one')
    writeApp(folder, {
      project: { name: folder.name },
      environments: { prod: { hosts: [ADDRESS] } },
      services: { web: page(port) },
    })
    const lacks = (await folder.stagecraft(['doctor'])).stdout
    expect(lacks).toContain('stagecraft bootstrap')
    const made = await folder.stagecraft(['bootstrap'])
    expectCode(made, 0)
    expect(made.stdout).toBe(
      [
        `${ADDRESS}: install the Docker engine and Compose from the distribution's packages`,
        `${ADDRESS}: start the Docker engine, now and whenever the host starts`,
        `${ADDRESS}: make /var/lib/stagecraft, shared by the group docker`,
        `${ADDRESS} is ready\n`,
      ].join('\n'),
    )
    expectCode(await folder.stagecraft(['doctor']), 0)
    expectCode(await folder.stagecraft(['deploy', '--version', 'v1']), 0)
    expect((await bare.server.fetch(port)).body.trim()).toBe('version one')
    expectCode(await folder.stagecraft(['status']), 0)
  })

  test('deploys with its own binary, without a laptop', async () => {
    const port = await bare.server.freePort()
    const own = bare.server.folder('own')
    writePage(own, 'made here')
    const image = start([
      'sh',
      '-c',
      'docker -H "$0" save busybox:1 | ssh "$1" docker load',
      `unix://${LAB_DIR}/hosts/h1/run/docker.sock`,
      ADDRESS,
    ])
    expectCode(image, 0)
    writeApp(own, { services: { web: page(port) } })
    expectCode(on(`cd ${own.path} && stagecraft deploy --version v1 && stagecraft status`), 0)
    expect((await bare.server.fetch(port)).body.trim()).toBe('made here')
  })
})
