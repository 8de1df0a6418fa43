import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { deploy, expectCode, idle, sharedFolder, until, untilTold, writeApp } from './app.ts'

// The rollout is planned before the migrations, and these take as long as the test wants.
const folder = sharedFolder(host('h1'), 'meanwhile')

test('a container that is removed during a migration is not reported as running', async () => {
  const write = (local: Readonly<Record<string, unknown>>) =>
    writeApp(folder, { services: { web: idle, side: idle }, environments: { local } })
  write({})
  await deploy(folder, 'v1')
  const command = ['sh', '-c', untilTold('/tmp')]
  write({ databases: { main: { migrations: { engine: 'command', service: 'web', command } } } })
  const run = folder.startStagecraft(['deploy', '--version', 'v2'])
  const migrating = ['ps', '-q', '--filter', `label=com.docker.compose.project=${folder.name}`]
  const migration = async () =>
    (await folder.docker([...migrating, '--filter', 'label=stagecraft.migration'])).stdout.trim()
  await until('it migrates', async () => (await migration()) !== '' || 'not yet')
  const side = (await folder.containers()).find(({ service }) => service === 'side')
  expectCode(await folder.docker(['rm', '-f', side?.id ?? 'none']), 0)
  expectCode(await folder.docker(['exec', await migration(), 'touch', '/tmp/go']), 0)
  const { code, stderr } = await run.done
  expect(code).toBe(10)
  expect(stderr).toContain('Cannot confirm that side runs as released: it has no container')
  write({})
  await deploy(folder, 'v3')
})
