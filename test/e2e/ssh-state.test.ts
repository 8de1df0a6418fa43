import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import { isUp } from '../support/lab.ts'
import { deploy, expectCode } from './app.ts'

// What a host keeps is one state, checked as a whole: spec/core/hosts.md, "What the host keeps".
describe.skipIf(!isUp('h2'))('the state on a host', () => {
  const site = new Site('h2', 'deploy@h2', 'kept')
  const { folder, server } = site
  const there = async (script: string) => {
    const { code, stdout, stderr } = await server.exec(['sh', '-c', `cd ${site.kept} && { ${script}; }`])
    expect([code, stderr]).toEqual([0, ''])
    return stdout.trim()
  }
  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  test('of an earlier version, which had no objects, is taken over by the first write, said once', async () => {
    await deploy(folder, 'v1')
    await there('rm -r objects head')
    expect((await folder.stagecraft(['releases', 'list'])).stdout).toContain('v1')
    site.write({ services: { web: { ...site.app().services['web'], labels: { V: '2' } } } })
    const first = await deploy(folder, 'v2')
    expect(first.stderr).toContain('were written by an earlier version of Stagecraft')
    expect(await there('cut -d " " -f 1 head')).toMatch(/^[0-9a-f]{64}$/)
    const second = await deploy(folder, 'v2')
    expect(second.stderr).not.toContain('earlier version')
    expect((await folder.stagecraft(['releases', 'list'])).stdout).toContain('v1')
  })

  test('that this user may not read is said, and is not "no releases"', async () => {
    const count = () => there('grep -c \'"id"\' releases.json')
    const before = await count()
    await there('chown root:root releases.json && chmod 600 releases.json')
    for (const args of [['releases', 'list'], ['status'], ['deploy', '--version', 'v3'], ['rollback']]) {
      const ran = await folder.stagecraft(args)
      expectCode(ran, 9)
      expect(ran.stderr).toContain(`Cannot read ${site.kept}/releases.json on deploy@h2: permission denied`)
    }
    await there('chgrp docker releases.json && chmod 660 releases.json')
    expect(await count()).toBe(before)
    await deploy(folder, 'v3')
  })

  test('that somebody has changed is not used, until they say that it is to be', async () => {
    const [model, kept] = [`releases/$(ls releases | sort | head -n 1)/compose.json`, '/tmp/stagecraft-kept-model']
    await there(
      `cp ${model} ${kept} && sed -i 's/"restart"/"privileged": true, "restart"/; s/"image"/"x": 1, "image"/' ${model}`,
    )
    const ran = await folder.stagecraft(['rollback', '--yes'])
    expectCode(ran, 9)
    expect(ran.stderr).toContain('/compose.json on deploy@h2: it is not what was written')
    expect(ran.stderr).toContain(`rm ${site.kept}/head`)
    await there(`cat ${kept} >${model} && rm ${kept}`)
    await deploy(folder, 'v4')
    await there('sed -i "s/v4/v4-by-hand/" releases.json')
    expectCode(await folder.stagecraft(['status']), 9)
    await there('rm head')
    expect((await folder.stagecraft(['releases', 'list'])).stdout).toContain('v4-by-hand')
    await deploy(folder, 'v5')
  })
})
