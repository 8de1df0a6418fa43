import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deployVersionOne,
  expectPage,
  expectPhases,
  page,
  sharedFolder,
  until,
  writeApp,
  writePage,
} from './app.ts'

// kill -9 of Stagecraft alone, while a docker command of its works.
const h1 = host('h1')
const folder = sharedFolder(h1, 'death')

const port = await h1.freePort()
const stubborn = { stop_signal: 'SIGTERM', stop_grace_period: '8s' } // busybox as process 1 ignores TERM
const app: App = { services: { web: page(port, stubborn) } }
beforeAll(() => deployVersionOne(folder, app))

test('a build ends with the run that wanted it', async () => {
  const marker = `sleep 64.${process.pid}`
  folder.write('web/Dockerfile', `FROM busybox:1\nRUN printf 'under %s\\n' way; ${marker}\n`)
  const running = folder.startStagecraft(['deploy', '--version', 'v-build', '--verbose'])
  await until('the build is under way', () => running.output().includes('under way') || running.output())
  await running.signal('KILL')
  expect((await running.done).code).toBe(137)
  await until('the build itself ends', async () => (await h1.exec(['pgrep', '-fx', marker])).code === 1 || 'it goes on')
  await until('its client ends', async () => {
    const { stdout } = await h1.exec(['pgrep', '-fa', `[d]ocker.*compose.*${folder.name}`])
    return stdout === '' || stdout
  })
  writePage(folder, 'version one')
})

test('the lock stays held while a command that changes something goes on, and is free when it has ended', async () => {
  writeApp(folder, { services: { web: page(port, { ...stubborn, environment: { CHANGED: 'yes' } }) } })
  const running = folder.startStagecraft(['deploy', '--version', 'v-killed'])
  await until('web is being stopped', async () => {
    const states = (await folder.containers()).map(({ state }) => state)
    return states.includes('created') || states.join()
  })
  await running.signal('KILL')
  expect((await running.done).code).toBe(137)
  writeApp(folder, app)
  const next = await folder.stagecraft(['deploy', '--version', 'v2'])
  expect({ code: next.code, stderr: next.stderr }).toMatchObject({ code: 0 })
  expect(next.stderr).toStartWith('waiting: for the last docker command of a run that died to end')
  expect(next.stderr).toContain('recovery: v-killed')
  expectPhases(folder, 'v2')
  await expectPage(folder, port, 'version one')
})
