import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { errorLines } from '../../lib/output/lines.ts'
import { type Bundle, readBundle } from '../../lib/record/bundle.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import type { FakeProject } from '../fakes/project.ts'
import {
  change,
  newApplication,
  refused,
  released,
  threeReleases,
  told,
  toVersion,
  web,
  webOf,
} from '../scenes/rollbacks.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>) => temporary(newApplication(services))

function newest(project: FakeProject): Bundle | undefined {
  return readBundle(project.stateFile, project.releases()[0]?.id ?? '')
}

/** As if it had been removed by hand, with all of its tags. */
function loseImage({ engine }: FakeProject, id: string): void {
  delete engine.state.images[id]
  for (const [tag, of] of Object.entries(engine.state.tags)) if (of === id) delete engine.state.tags[tag]
}

describe('images', () => {
  test('that are missing end the rollback before a release is created, and are named', async () => {
    const project = shop()
    const [a = ''] = await threeReleases(project)
    const id = readBundle(project.stateFile, a)?.images['web']?.id ?? ''
    loseImage(project, id)
    expect(await refused(project, toVersion('A'))).toBe(
      `Cannot roll back to ${a} (A): the image of web is gone (shop-web:A)`,
    )
    const { error } = await project.rollback(toVersion('A'))
    const text = error
      ? errorLines({ kind: error.kind, message: error.message, hint: error.hint }, { mask: createMask([]) })
      : []
    const shown = text.join('\n').replace(id.slice(0, 19), 'sha256:0123456789ab').replace(a, 'rel-20261122-080225643')
    expectGolden(
      'commands/rollback.md',
      'image-gone',
      shown.replaceAll('(A)', '(v1)').replace('shop-web:A', 'shop-web:v1'),
    )
    await expect(project.planRollback(toVersion('A'))).rejects.toThrow('the image of web is gone')
  })

  test('are fetched by digest where the registry has them', async () => {
    const project = shop()
    await threeReleases(project)
    const { id = '', reference = '' } = project.releases()[0] ? (newest(project)?.images['db'] ?? {}) : {}
    expect(reference).toStartWith('postgres@sha256:')
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry['mysql:9'] = 'mysql'
    await released(project, 'D')
    loseImage(project, id)
    expect(await refused(project)).toContain('the image of db is gone (postgres:16)')
    project.engine.registry[reference] = 'postgres'
    expect(told(await project.rollback())).toBe('no error')
    expect(project.view()).toContain('db of postgres running on shop_default')
    expect(project.engine.changes()).toContain(`docker pull ${reference}`)
  })

  test('are fetched for the platform that they had', async () => {
    const project = shop()
    change(project, { db: { image: 'postgres:16', platform: 'linux/arm64' } })
    await threeReleases(project)
    const { id = '', reference = '', name } = newest(project)?.images['db'] ?? {}
    expect([name, project.engine.state.images[id]?.platform]).toEqual(['postgres:16', 'linux/arm64'])
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry['mysql:9'] = 'mysql'
    await released(project, 'D')
    loseImage(project, id)
    project.engine.registry[reference] = 'postgres'
    expect(told(await project.rollback())).toBe('no error')
    expect(project.engine.changes()).toContain(`docker pull --platform linux/arm64 ${reference}`)
  })

  test('whose registry name was removed from the engine are run by their id', async () => {
    const project = shop()
    await threeReleases(project)
    change(project, { db: { image: 'mysql:9' } })
    project.engine.registry = { 'mysql:9': 'mysql' }
    await released(project, 'D')
    await project.engine.exec(['docker', 'rmi', 'postgres:16'])
    expect(told(await project.rollback())).toBe('no error')
    expect(project.view()).toContain('db of postgres running on shop_default')
  })

  test('are tagged by content, so that a later build of the same version does not take them', async () => {
    const project = shop()
    project.engine.sources = { web: 'one' }
    await project.deploy({ version: 'v1' })
    project.engine.sources = { web: 'two' }
    await project.deploy({ version: 'v1' })
    expect(told(await project.rollback())).toBe('no error')
    expect(webOf(project)).toBe(web('one'))
  })
})
