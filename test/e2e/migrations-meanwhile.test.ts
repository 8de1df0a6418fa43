import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { deploy, expectCode, idle, sharedFolder, until, writeApp } from './app.ts'

// The rollout is planned before the migrations, and these take their time.
const folder = sharedFolder(host('h1'), 'meanwhile')

test('a container that is removed during a migration: the release does not say that it runs', async () => {
  const databases = { main: { migrations: { engine: 'command', service: 'web', command: ['sleep', '4'] } } }
  writeApp(folder, { services: { web: idle, side: idle }, environments: { local: { databases } } })
  await deploy(folder, 'v1')
  const run = folder.startStagecraft(['deploy', '--version', 'v2'])
  const migrating = ['ps', '-q', '--filter', `label=com.docker.compose.project=${folder.name}`]
  const isMigrating = async () => (await folder.docker([...migrating, '--filter', 'label=stagecraft.migration'])).stdout
  await until('it migrates', async () => (await isMigrating()) !== '' || 'not yet')
  const side = (await folder.containers()).find(({ service }) => service === 'side')
  expectCode(await folder.docker(['rm', '-f', side?.id ?? 'none']), 0)
  const { code, stderr } = await run.done
  expect(code).toBe(10)
  expect(stderr).toContain('Cannot confirm that side runs as released: it has no container')
  await deploy(folder, 'v3')
})
