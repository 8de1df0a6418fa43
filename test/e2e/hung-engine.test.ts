import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Running } from '../support/engine.ts'
import { host, isUp } from '../support/lab.ts'
import { type App, deploy, expectPage, expectPhases, page, until, writeApp, writePage } from './app.ts'

// The engine is stopped by SIGSTOP: it accepts connections, and never answers. Its containers go on.
describe.skipIf(!isUp('h3'))('an engine that hangs', () => {
  const h3 = isUp('h3') ? host('h3') : host('h1')
  const folder = h3.folder('hung')
  const patience = { env: { STAGECRAFT_ENGINE_TIMEOUT: '2s' } }
  const said = 'Cannot reach the Docker engine: it has not answered for 2 s\n'
  let port = 0
  let app: App
  beforeAll(async () => {
    port = await h3.freePort()
    app = { services: { web: page(port) } }
    writePage(folder, 'version one')
    writeApp(folder, app)
    await deploy(folder, 'v1')
  }, 60_000)
  afterAll(() => folder.cleanUp())

  /** Stops the engine while `act` runs. */
  async function whileHung<T>(act: () => Promise<T>): Promise<T> {
    const pid = (await h3.exec(['pgrep', '-x', 'dockerd'])).stdout.trim()
    expect(pid).toMatch(/^\d+$/)
    await h3.exec(['kill', '-STOP', pid])
    try {
      return await act()
    } finally {
      await h3.exec(['kill', '-CONT', pid])
    }
  }

  const start = (version: string) => folder.startStagecraft(['deploy', '--version', version, '--verbose'], patience)
  const prints = (running: Running, text: string) =>
    until(`it prints ${text}`, () => running.output().includes(text) || running.output())

  test('is said by what only reads', async () => {
    const { code, stderr } = await whileHung(() => folder.stagecraft(['plan', '--version', 'v2'], patience))
    expect({ code, stderr }).toMatchObject({ code: 8 })
    expect(stderr).toStartWith(said)
  })

  test('ends a build, and what served serves', async () => {
    folder.write('web/Dockerfile', 'FROM busybox:1\nRUN echo under way; sleep 30\n')
    const running = start('v-build')
    await prints(running, 'under way')
    const { code, stderr } = await whileHung(() => running.done)
    expect({ code, stderr }).toMatchObject({ code: 8 })
    expect(stderr).toContain(said)
    expectPhases(folder, 'v-build', 'build')
    await expectPage(folder, port, 'version one')
  })

  test('does not end a build that takes longer than the engine may take to answer', async () => {
    folder.write('web/index.html', 'version two')
    // the name keeps the step out of the cache of an earlier run
    const dockerfile = `FROM busybox:1\nRUN echo ${folder.name}; sleep 6\nCOPY index.html /www/\nCMD ["httpd", "-f", "-p", "80", "-h", "/www"]\n`
    folder.write('web/Dockerfile', dockerfile)
    const { code, stderr } = await start('v2').done
    expect({ code, stderr }).toMatchObject({ code: 0 })
    await expectPage(folder, port, 'version two')
  })

  test('ends a rollout, and the next deploy finishes the work', async () => {
    const healthcheck = { test: ['CMD', 'false'], interval: '1s', retries: 100 }
    const first = (await folder.containers())[0]?.id
    writeApp(folder, { services: { web: page(port, { healthcheck }) } })
    const running = start('v-rollout')
    await until('the new web runs', async () => {
      const [web] = await folder.containers()
      return (web?.id !== first && web?.state === 'running') || `${web?.id} ${web?.state}`
    })
    const { code, stderr } = await whileHung(() => running.done)
    expect({ code, stderr }).toMatchObject({ code: 6 })
    expect(stderr).toContain(said)
    expectPhases(folder, 'v-rollout', 'rollout')
    writeApp(folder, app)
    await deploy(folder, 'v3')
    expectPhases(folder, 'v3')
    await expectPage(folder, port, 'version two')
    expect(await folder.containers()).toHaveLength(1)
  }, 120_000)
})
