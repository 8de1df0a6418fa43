import { beforeAll, describe, expect, test } from 'bun:test'
import type { Running } from '../support/engine.ts'
import { host } from '../support/lab.ts'
import {
  type App,
  deploy,
  deployVersionOne,
  expectPage,
  expectPhases,
  idle,
  page,
  sharedFolder,
  touched,
  until,
  writeApp,
  writePage,
} from './app.ts'

// Interrupted before the commit point: the previous release stays live, exit 128 + the signal, nothing half-done left.
const h1 = host('h1')
const folder = sharedFolder(h1, 'signals')

const port = await h1.freePort()
const app: App = { services: { web: page(port, { volumes: ['/data'] }), other: idle } }
beforeAll(async () => {
  await deployVersionOne(folder, app)
  await folder.docker(['compose', 'exec', '-T', 'web', 'sh', '-c', 'echo precious >/data/file'])
})

/** Starts a deploy, sends a signal once `ready` is there, and checks how it ends. */
async function interrupted(
  version: string,
  phase: string,
  signal: 'INT' | 'TERM' | 'HUP',
  ready: (running: Running) => true | string | Promise<true | string>,
): Promise<string[]> {
  const before = await folder.containers()
  const running = folder.startStagecraft(['deploy', '--version', version, '--verbose'])
  await until(`the ${phase} of ${version} is under way`, () => ready(running))
  await running.signal(signal)
  const { code, stderr, stdout } = await running.done
  const number = { HUP: 1, INT: 2, TERM: 15 }[signal]
  expect({ code, stdout }).toEqual({ code: 128 + number, stdout: '' })
  expect(stderr).toContain(`Cannot finish the release: ended by signal ${number}\n`)
  expect(stderr).toMatch(/hint: v1 \(rel-[0-9-]+\) is still live\./)
  expectPhases(folder, version, phase)
  const after = await folder.containers()
  const what = (list: typeof after) => list.map(({ service, image, state }) => ({ service, image, state }))
  expect(what(after)).toEqual(what(before))
  await expectPage(folder, port, 'version one')
  const data = await folder.docker(['compose', 'exec', '-T', 'web', 'cat', '/data/file'])
  expect(data.stdout).toBe('precious\n')
  return touched(before, after)
}

const prints = (text: string) => (running: Running) => running.output().includes(text) || running.output()
const recreated = (service: string, state: string) => {
  let first: string | undefined
  return async () => {
    const containers = await folder.containers()
    const own = containers.find((container) => container.service === service)
    first ??= own?.id
    return (own?.id !== first && own?.state === state) || `it is ${own?.id} ${own?.state}`
  }
}

describe('while an image is built', () => {
  const marker = `sleep 610.${process.pid}`
  // What it prints is not in the command, which is printed before it runs: an engine asked to end a container which
  // it is about to make lets it run (26.1: "failed to kill process: container not running").
  test.each(['INT', 'TERM'] as const)('%s ends the build', async (signal) => {
    folder.write('web/Dockerfile', `FROM busybox:1\nRUN printf 'under %s ${signal}\\n' way; ${marker}\n`)
    expect(await interrupted(`v-build-${signal}`, 'build', signal, prints(`under way ${signal}`))).toEqual([])
    await until('the build itself ends', async () => {
      const { code } = await h1.exec(['pgrep', '-fx', marker])
      return code === 1 || 'it goes on'
    })
    writePage(folder, 'version one')
  })
})

describe('while containers are replaced', () => {
  const healthcheck = { test: ['CMD', 'false'], interval: '1s', retries: 100 }
  const changed = (web: object): App => ({
    ...app,
    services: { ...app.services, web: page(port, { volumes: ['/data'], ...web }) },
  })

  test('TERM restores what was replaced, with its anonymous volume', async () => {
    writeApp(folder, changed({ healthcheck }))
    expect(await interrupted('v-term', 'rollout', 'TERM', recreated('web', 'running'))).toEqual(['web'])
  })

  test('INT as soon as the first service is touched', async () => {
    writeApp(folder, changed({ healthcheck }))
    const first = (running: Running) => /^ {2}web +recreate/m.test(running.output()) || running.output()
    const touched = await interrupted('v-int', 'rollout', 'INT', first)
    expect(touched.filter((service) => service !== 'web')).toEqual([])
  })

  test('INT in the middle of stopping the old container', async () => {
    // The old one does not end on TERM: Compose waits for it, and the signal comes then.
    const stubborn = { stop_signal: 'SIGTERM', stop_grace_period: '8s' }
    writeApp(folder, changed(stubborn))
    await deploy(folder, 'v1')
    writeApp(folder, changed({ ...stubborn, environment: { CHANGED: 'yes' } }))
    const stopping = async () => {
      const { stdout } = await folder.docker(['ps', '-a', '--filter', `name=${folder.name}`, '--format', '{{.State}}'])
      return stdout.includes('created') || stdout
    }
    const touched = await interrupted('v-stopping', 'rollout', 'INT', stopping)
    expect(touched.filter((service) => service !== 'web')).toEqual([])
    // The engine continues a stop after its client has died: nothing may stop after Stagecraft has reported it live.
    const web = (await folder.containers()).find(({ service }) => service === 'web')
    expect(await h1.exec(['timeout', '10', 'docker', 'wait', web?.id ?? ''])).toMatchObject({ code: 124 })
    await expectPage(folder, port, 'version one')
    writeApp(folder, app)
    await deploy(folder, 'v1')
  })

  test('TERM while a new service starts: it is removed, and nothing else was touched', async () => {
    writeApp(folder, { ...app, services: { ...app.services, extra: { ...idle, healthcheck } } })
    const starts = async () => (await folder.containers()).some(({ service }) => service === 'extra') || 'not yet'
    expect(await interrupted('v-new', 'rollout', 'TERM', starts)).toEqual([])
    const labels = ['--filter', `label=com.docker.compose.project=${folder.name}`, '--format', '{{.Names}}']
    const { stdout } = await folder.docker(['ps', '-a', ...labels])
    expect(stdout.split('\n').filter(Boolean).length).toBe(2)
  })
})

test('the next deploy goes through', async () => {
  writePage(folder, 'version two')
  writeApp(folder, app)
  await deploy(folder, 'v2')
  expectPhases(folder, 'v2')
  await expectPage(folder, port, 'version two')
})
