import { beforeAll, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  type App,
  deployVersionOne,
  expectCode,
  expectPage,
  expectPhases,
  page,
  sharedFolder,
  until,
  writeApp,
  writePage,
} from './app.ts'

// kill -9 of Stagecraft alone, while one of its docker commands runs.
const h1 = host('h1')
const folder = sharedFolder(h1, 'death')

const port = await h1.freePort()
/** A web server that, once asked to stop, continues until there is a file `go`, unless it was CHANGED. */
const END = '[ $$CHANGED ] || until [ -e /tmp/go ]; do sleep 0.1; done; exit 0'
const stubborn = {
  command: ['sh', '-c', `trap "${END}" TERM; httpd -p 80 -h /www; while :; do sleep 0.1; done`],
  ...{ stop_signal: 'SIGTERM', stop_grace_period: '100s' },
}
const app: App = { services: { web: page(port, stubborn) } }
beforeAll(() => deployVersionOne(folder, app))

test('a build ends with the run that wanted it', async () => {
  const marker = `sleep 640.${process.pid}`
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

test('the lock stays held while a command that changes something runs, and is free when it has ended', async () => {
  writeApp(folder, { services: { web: page(port, { ...stubborn, environment: { CHANGED: 'yes' } }) } })
  const running = folder.startStagecraft(['deploy', '--version', 'v-killed'])
  await until('web is being stopped', async () => {
    const states = (await folder.containers()).map(({ state }) => state)
    return states.includes('created') || states.join()
  })
  const old = (await folder.containers()).find(({ state }) => state === 'running')
  await running.signal('KILL')
  expect((await running.done).code).toBe(137)
  writeApp(folder, app)
  const waiting = folder.startStagecraft(['deploy', '--version', 'v2'])
  await until('it waits', () => waiting.output().includes('a run that died') || waiting.output())
  expectCode(await folder.docker(['exec', old?.id ?? 'none', 'touch', '/tmp/go']), 0)
  const next = await waiting.done
  expectCode(next, 0)
  expect(next.stderr).toStartWith('waiting: for the last docker command of a run that died to end')
  expect(next.stderr).toContain('recovery: v-killed')
  expectPhases(folder, 'v2')
  await expectPage(folder, port, 'version one')
})
