import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { deploy, expectCode, idle, page, sharedFolder, writeApp, writePage } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'approval')
const plan = (...args: string[]) => folder.stagecraft(['plan', '--version', 'v2', ...args])

test('plan, approve, deploy what was planned, and nothing else', async () => {
  const port = await h1.freePort()
  writePage(folder, 'one')
  writeApp(folder, { services: { web: page(port), other: idle } })
  await deploy(folder, 'v1')

  // Without building, a service that is built may change; after building it is known.
  expectCode(await plan('--exit-code'), 11)
  const built = await plan('--exit-code', '--build')
  expectCode(built, 0)
  expect(built.stdout).toContain('Nothing to do: everything runs as it should.')

  writePage(folder, 'two')
  expectCode(await plan('--exit-code', '--build'), 11)
  const shown = await plan('--token')
  const token = shown.stdout.trimEnd().split('\n').at(-1) ?? ''
  const json = await plan('--json')
  expect(JSON.parse(json.stdout.split('\n')[0] ?? '')).toMatchObject({ type: 'plan', token })

  writePage(folder, 'three')
  const before = await folder.containers()
  const refused = await deploy(folder, 'v2', 4, ['--plan', token])
  expect(refused.stderr).toContain('the source has changed since')
  expect(await folder.containers()).toEqual(before)

  writePage(folder, 'two')
  await folder.docker(['compose', 'restart', 'other']) // the same containers run
  await deploy(folder, 'v2', 0, ['--plan', token])
  expect((await folder.fetch(port)).body.trim()).toBe('two')
  const again = await deploy(folder, 'v2', 4, ['--plan', token])
  expect(again.stderr).toContain('what runs has changed since')
  expectCode(await folder.stagecraft(['deploy', '--plan', 'yes']), 2)
})
