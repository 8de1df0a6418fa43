import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { expectCode, writeApp } from './app.ts'

describe.skipIf(!isUp('h3'))('bootstrap and doctor', () => {
  const site = new Site('h3', 'h3', 'boot')
  const root = `/srv/root-of-${site.folder.name}`
  const at = (address: string) =>
    writeApp(site.folder, { ...site.app(), environments: { prod: { hosts: [address], root, env_file: '.env.prod' } } })
  const mode = async () => (await site.server.exec(['stat', '-c', '%a %G', root])).stdout.trim()

  beforeAll(() => site.begin())
  afterAll(async () => {
    await site.server.exec(['rm', '-rf', root])
    await site.cleanUp()
  })

  test('a user who may not become root gets a list of what is missing, and nothing is changed', async () => {
    at('deploy@h3')
    const { code, stderr } = await site.folder.stagecraft(['bootstrap'])
    expect([code, stderr]).toEqual([8, expect.stringContaining(`missing: make ${root}, shared by the group docker`)])
    expect(await mode()).toBe('')
  })

  test('a dry run prints the same list, and changes nothing', async () => {
    for (const address of ['deploy@h3', 'h3']) {
      at(address)
      const { code, stdout } = await site.folder.stagecraft(['bootstrap', '--dry-run'])
      expect([code, stdout]).toEqual([
        0,
        `${address}: make ${root}, shared by the group docker\n${address} is not ready yet: nothing was changed\n`,
      ])
    }
    expect(await mode()).toBe('')
  })

  test('it creates what is missing, and afterwards nothing is missing', async () => {
    const first = await site.folder.stagecraft(['bootstrap'])
    expect([first.code, first.stdout]).toEqual([0, `h3: make ${root}, shared by the group docker\nh3 is ready\n`])
    expect(await mode()).toBe('2770 docker')
    const second = await site.folder.stagecraft(['bootstrap', '--env', 'prod'])
    expect([second.code, second.stdout]).toEqual([0, 'h3 is ready: nothing is missing\n'])
    at('deploy@h3')
    expect((await site.folder.stagecraft(['bootstrap'])).stdout).toBe('deploy@h3 is ready: nothing is missing\n')
  })

  test('an environment without hosts has nothing to make ready', async () => {
    writeApp(site.folder, { ...site.app(), environments: { local: {} } })
    expectCode(await site.folder.stagecraft(['bootstrap']), 4)
  })

  test('doctor finds everything in order, or reports each problem with its remedy', async () => {
    at('deploy@h3')
    const well = await site.folder.stagecraft(['doctor'])
    expectCode(well, 0)
    const checks = well.stdout.split('\n').filter(Boolean)
    expect(checks.map((line) => line.slice(0, 4).trim())).toEqual(checks.map(() => 'ok'))
    expect(well.stdout).toContain('28.5')
    const bad = async () => {
      const ill = await site.folder.stagecraft(['doctor', '--json'])
      expectCode(ill, 5)
      const { checks: found } = JSON.parse(ill.stdout.split('\n')[0] ?? '')
      const problems = found.filter(({ ok }: { ok: boolean }) => !ok)
      expect(problems.every(({ remedy }: { remedy: string }) => remedy !== '')).toBe(true)
      return problems.map(({ what }: { what: string }) => what)
    }
    // Its content cannot be read, so nothing can be said about what follows from it.
    await site.server.exec(['chmod', '700', root])
    expect(await bad()).toEqual(['state folder'])
    site.folder.write('compose.yaml', 'services: {web: {image: 5}}')
    await site.server.exec(['chmod', '2750', root])
    expect(await bad()).toEqual(['Compose file', 'state folder'])
  })
})
