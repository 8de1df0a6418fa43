import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { story } from '../fakes/project.ts'
import { bad } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a deploy that fails', () => {
  test('after the commit point is finished by the next one', async () => {
    const project = shop({ api: { image: 'redis:7' } })
    await project.deploy()
    change(project, {})
    project.engine.intercept = (argv) => (argv[1] === 'stop' ? { damage: 'none' } : undefined)
    const outcome = await project.deploy()
    expect(told(outcome).replaceAll(/rel-\d+-\d+/g, '<id>')).toMatchInlineSnapshot(`
      "after-commit (exit 10): Cannot remove shop-api-1: docker stop exited with 1
      Error response from daemon: injected
      hint: v2 is live."
    `)
    expect(project.view()).toContain('api of redis running on shop_default')
    project.engine.intercept = () => undefined
    const next = await project.deploy()
    expect(told(next)).toBe('no error')
    expect(project.view()).toEqual([
      'cache of redis running on shop_default',
      'db of postgres running on shop_default',
      'web of web one GREETING=hello running on shop_default',
    ])
    expect(story((await project.deploy()).events)).toContain(
      'rollout completed: nothing to do: everything runs as it should',
    )
  })

  test('after the commit point says that the new release is live', async () => {
    const project = shop()
    await project.deploy()
    bad({ exit: 1, after: 6_000, logs: 'out of luck' })(project)
    project.engine.intercept = () => {
      if (project.releases()[0]?.phases.finalize === 'running') project.engine.state.now += 10_000
      return undefined
    }
    const outcome = await project.deploy()
    expect(
      told(outcome)
        .replaceAll(project.folder, '.')
        .replaceAll(/rel-\d+-\d+/g, '<id>'),
    ).toMatchInlineSnapshot(`
      "after-commit (exit 10): Cannot confirm that web runs as released: it is exited
      container shop-web-1: exited, exit code 1
      last log lines:
        out of luck
      hint: Check the container (docker logs), or deploy again to recreate it. Its Compose file is ./.stagecraft/releases/<id>/compose.json.
      v2 is live."
    `)
    expect(project.view()).toContain('web of web bad GREETING=hello exited on shop_default')
    project.engine.sources = { web: 'web three' }
    const next = await project.deploy()
    expect(told(next)).toBe('no error')
    expect(next.events).toContainEqual(
      expect.objectContaining({
        type: 'plan',
        plan: expect.objectContaining({ serving: { id: outcome.release?.id, version: 'v2' } }),
      }),
    )
  })
})
