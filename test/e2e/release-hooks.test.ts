import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Site } from '../scenes/site.ts'
import type { Folder } from '../support/folder.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { deploy, expectCode, idle, releases, sharedFolder, until, writeApp } from './app.ts'

/** What hooks wrote into the file `told` in the project folder. */
const hookLines = (folder: Folder) => (folder.exists('told') ? folder.read('told').trimEnd().split('\n') : [])

describe('hooks on this machine', () => {
  const h1 = host('h1')
  const folder = sharedFolder(h1, 'hooks')
  const write = (hooks: object, text = 'one') =>
    writeApp(folder, {
      services: { web: { ...idle, environment: { TEXT: text } } },
      environments: { local: { hooks } },
    })

  test('calls of stagecraft: exec works in the live release, a deploy of the same environment does not wait for itself', async () => {
    const stagecraft = h1.binary()
    const failing = '/usr/bin/env false'
    write({
      after_finalize: `${stagecraft} exec web -- echo from $STAGECRAFT_RELEASE >>told`,
      before_rollout: ['true'],
    })
    await deploy(folder, 'v1')
    expect(hookLines(folder)).toEqual([`from ${releases(folder).at(-1)?.id}`])

    write({ before_rollout: `${stagecraft} deploy --wait 10m 2>&1 | tee nested; ${failing}` }, 'two')
    // Not the ten minutes that it may wait: it would be ended earlier.
    const refused = await folder.stagecraft(['deploy', '--version', 'v2'], { timeout: 240 })
    expectCode(refused, 5)
    const nested = folder
      .read('nested')
      .replace(/rel-[\d-]+/, 'rel-20261122-080226000')
      .replace('local', 'prod')
    expectGolden('core/hooks.md', 'nested', nested)
    expect(refused.stderr).toContain('v1 (')

    const skipped = await deploy(folder, 'v2', 0, ['--no-hooks'])
    expect(skipped.stderr).not.toContain('before_rollout')
  })

  test('kill -9 while one runs: it is ended, and the next command says so', async () => {
    write({ before_rollout: 'echo $$ >pid; exec sleep 300' }, 'three')
    folder.remove('pid')
    const running = folder.startStagecraft(['deploy', '--version', 'v3'])
    await until('the hook runs', () => (folder.exists('pid') && folder.read('pid').trim() !== '') || 'not yet')
    await running.signal('KILL')
    await running.done
    write({}, 'three')
    const { stderr } = await deploy(folder, 'v4', 0, ['--wait', '2m'])
    expect(stderr).toMatch(
      /recovery: v3 \(rel-[\d-]+\) was interrupted in rollout: .* Its hook before_rollout was running, and was ended: echo \$\$ >pid; exec sleep 300\. v2 \(rel-[\d-]+\) is live\./,
    )
    const alive = await h1.exec(['ps', '-o', 'args=', '-p', folder.read('pid').trim()])
    expect(alive.stdout).not.toContain('sleep 300')
  })
})

describe.skipIf(!isUp('h2') || !isUp('h1'))('hooks of an environment on a host', () => {
  const site = new Site('h2', 'h2', 'hooks')
  const { folder } = site
  const write = (hooks: object) => {
    const app = site.app()
    site.write({ ...app, environments: { prod: { ...app.environments?.['prod'], hooks } } })
  }

  beforeAll(() => site.begin())
  afterAll(() => site.cleanUp())

  test('run on the laptop, know the host, and stop a release before it changes anything there', async () => {
    write({ before_build: 'echo "$STAGECRAFT_HOSTS $STAGECRAFT_ENV $STAGECRAFT_PREVIOUS." >>told' })
    await deploy(folder, 'v1')
    await deploy(folder, 'v2')
    expect(hookLines(folder)).toEqual(['h2 prod .', 'h2 prod v1.'])
    const before = await site.containers()
    write({ before_rollout: 'exit 3', on_failure: 'echo "$STAGECRAFT_STATUS in $STAGECRAFT_PHASE" >>told' })
    await deploy(folder, 'v3', 5)
    expect(hookLines(folder).at(-1)).toBe('failed in rollout')
    expect(await site.containers()).toEqual(before)
    expectCode(await folder.stagecraft(['rollback', '--no-hooks']), 0)
  })
})
