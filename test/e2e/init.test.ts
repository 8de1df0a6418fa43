import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SECRET, Site } from '../scenes/site.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, idle, sharedFolder } from './app.ts'

const h1 = host('h1')
const folder = sharedFolder(h1, 'init')
const APPS = join(import.meta.dir, '../fixtures/apps')

describe.each(readdirSync(APPS))('the application %s', (app) => {
  const copy = h1.folder(`init-${app}`)
  afterAll(() => copy.cleanUp())

  test('gets the stagecraft.yml that a person has approved, and its plan', async () => {
    for (const file of readdirSync(join(APPS, app), { recursive: true, encoding: 'utf8' })) {
      const path = join(APPS, app, file)
      if (statSync(path).isFile() && !/^(model.json|stagecraft.yml)$/.test(file))
        copy.write(file, readFileSync(path, 'utf8'))
    }
    expectCode(await copy.stagecraft(['init', '--yes', '--name', app]), 0)
    expect(copy.read('stagecraft.yml')).toBe(readFileSync(join(APPS, app, 'stagecraft.yml'), 'utf8'))
    // Other tests of the engine have ports 80 and 443.
    const { services } = JSON.parse(readFileSync(join(APPS, app, 'model.json'), 'utf8'))
    const none = Object.keys(services).map((name) => `  ${name}: {ports: !reset []}\n`)
    copy.write('compose.override.yaml', `services:\n${none.join('')}`)
    expectCode(await copy.stagecraft(['plan']), 0)
  })
})

test('what init writes about a job that migrates is planned, and gates a deploy, without edits', async () => {
  const completed = { condition: 'service_completed_successfully' }
  const migrate = (code: number) => ({ image: 'busybox:1', command: ['sh', '-c', `echo migrated; exit ${code}`] })
  const write = (code: number) =>
    folder.write(
      'compose.yaml',
      JSON.stringify({ services: { web: { ...idle, depends_on: { migrate: completed } }, migrate: migrate(code) } }),
    )
  write(0)
  const { stdout } = await folder.stagecraft(['init', '--yes'])
  expect(stdout).toContain('found    migrate')
  const plan = await folder.stagecraft(['plan'])
  expectCode(plan, 0)
  expect(plan.stdout).toMatch(/migrate +migrate +runs in migrate_pre: the migrations of main/)
  await deploy(folder, 'v1')
  expect((await folder.containers()).map(({ service }) => service)).toContain('web')
  write(3)
  const before = (await folder.containers()).filter(({ service }) => service === 'web')
  await deploy(folder, 'v2', 5)
  expect((await folder.containers()).filter(({ service }) => service === 'web')).toEqual(before)
})

describe.skipIf(!isUp('h3'))('init --host, from a laptop', () => {
  const site = new Site('h3', 'h3', 'init-host')
  beforeAll(() => site.begin())
  afterAll(async () => {
    await site.server.exec([
      'rm',
      '-rf',
      `/var/lib/stagecraft/${site.folder.name}`,
      `/root/.stagecraft/${site.folder.name}`,
    ])
    await site.cleanUp()
  })

  test('what it writes is ready to be deployed, and doctor confirms it', async () => {
    site.folder.remove('stagecraft.yml')
    const init = await site.folder.stagecraft(['init', '--yes', '--host', 'h3'])
    expectCode(init, 0)
    expect(init.stdout).toMatch(/found +\.\/uploads +data: it stays in place[\s\S]*\nok +connection +h3\n/)
    expect(init.stdout).toEndWith('next: stagecraft plan\n')
    expect(init.stdout + site.folder.read('stagecraft.yml')).not.toContain(SECRET)
    await deploy(site.folder, 'v1')
    expect(await site.page()).toBe('version one')
  })
})
