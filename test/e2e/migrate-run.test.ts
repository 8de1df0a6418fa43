import { expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import { bundle, deploy, expectCode, idle, sharedFolder, writeApp } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'migrate-run')
const [OLD, NEW] = ['tr0ub4dor-one', 'c0rrect-horse-two']

test('a command runs with the live release: its environment, its image, its secrets', async () => {
  const command = ['sh', '-c', 'echo "with $API_TOKEN"; [ "$API_TOKEN" = "$0" ]', OLD]
  const migrations = { engine: 'command', service: 'web', strategy: 'manual', command }
  folder.write('.env', `TOKEN=${OLD}\n`)
  writeApp(folder, {
    services: { web: { ...idle, environment: { API_TOKEN: '${TOKEN}' } } },
    environments: { local: { databases: { main: { migrations } } } },
  })
  const early = await folder.stagecraft(['migrate', 'run'])
  expect([early.code, early.stderr]).toEqual([
    5,
    expect.stringContaining('Cannot migrate main: no release is live yet'),
  ])
  await deploy(folder, 'v1')
  folder.write('.env', `TOKEN=${NEW}\n`)
  const ran = await folder.stagecraft(['migrate', 'run', '--json'])
  expectCode(ran, 0)
  expect(ran.stdout).toContain('"line":"with •••"')
  expect(ran.stdout + ran.stderr).not.toContain(OLD)
  const name = `sh -c echo "with $API_TOKEN"; [ "$API_TOKEN" = "$0" ] •••`
  expect((bundle(folder) as { migrations?: object[] }).migrations).toMatchObject([{ database: 'main', name }])
  expect((await folder.docker(['ps', '-aq', '--filter', 'label=stagecraft.migration=main'])).stdout).toBe('')
})
