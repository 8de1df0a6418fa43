import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { bundleFolder } from '../../lib/record/bundle/ref.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, story } from '../fakes/project.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

describe('the end of every release', () => {
  const KEEP_ONE = 'environments: {local: {keep: 1}}'

  async function app(files: Record<string, string>): Promise<(content: string) => Promise<readonly string[]>> {
    const project = temporary(new FakeProject('prune'))
    for (const [name, text] of Object.entries(files)) project.write(name, text)
    project.write('.dockerignore', '.stagecraft')
    project.engine.model = composeModel('shop', { services: { web: { build: { context: project.folder } } } })
    apps.push(project)
    return async (content) => {
      project.engine.sources = { web: content }
      const { error, events } = await project.deploy({ version: content })
      if (error) throw error
      return story(events)
    }
  }
  const apps: FakeProject[] = []
  const tagsOf = (project: FakeProject | undefined) =>
    Object.keys(project?.engine.state.tags ?? {}).filter((tag) => !tag.includes(':sc-'))

  test('prunes, and says so', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    expect(await deploy('c')).toContain('finalize completed: 1 service runs as released; 1 older release pruned')
    expect(tagsOf(apps.at(-1))).toEqual(['shop-web:b', 'shop-web:c'])
  })

  test('is a success with a warning if pruning fails', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    const project = apps.at(-1)
    const oldest = project?.releases().at(-1)?.id ?? ''
    fs.writeFileSync(join(bundleFolder(project?.stateFile ?? '', oldest), 'release.json'), '{')
    const printed = await deploy('c')
    expect(printed.find((line) => line.startsWith('  warning'))).toContain(`${oldest}/release.json: it is not JSON`)
    expect(printed.at(-1)).toBe('finalize completed: 1 service runs as released')
  })

  test('continues if the engine refuses to remove an image', async () => {
    const deploy = await app({ 'stagecraft.yml': KEEP_ONE })
    await deploy('a')
    await deploy('b')
    const project = apps.at(-1)
    if (project) project.engine.intercept = (argv) => (argv[1] === 'rmi' ? { damage: 'none' } : undefined)
    expect(await deploy('c')).toContain('finalize completed: 1 service runs as released; 1 older release pruned')
    expect(tagsOf(project)).toEqual(['shop-web:a', 'shop-web:b', 'shop-web:c'])
  })
})
