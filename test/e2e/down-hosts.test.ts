import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { deploy, expectCode } from './app.ts'

describe.skipIf(!isUp('h2'))('down --history on a host', () => {
  const site = new Site('h2', 'deploy@h2', 'gone')
  const { folder, server } = site
  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  test('leaves no bundle, no object of one, and no image; a deploy is the first one', async () => {
    await deploy(folder, 'v1')
    await deploy(folder, 'v2')
    const done = await folder.stagecraft(['down', '--yes', '--history'])
    expectCode(done, 0)
    expect((await folder.stagecraft(['releases', 'list'])).stdout).toContain('No releases yet')
    const there = async (script: string) =>
      (await server.exec(['sh', '-c', `cd ${site.kept} && { ${script}; }`])).stdout
    expect(await there('cat releases.json; find releases -type f; find content -type f')).toBe(
      '{\n  "releases": [\n  ]\n}',
    )
    expect(await there(`grep -lr '"restart"' .`)).toBe('') // no model, also not as an object
    await deploy(folder, 'v3')
    expect((await folder.stagecraft(['releases', 'list', '--json'])).stdout).toContain('"version":"v3"')
    expect((await folder.stagecraft(['status'])).code).toBe(0)
  })
})
