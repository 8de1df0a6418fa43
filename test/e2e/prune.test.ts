import { beforeAll, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Folder } from '../support/folder.ts'
import { host } from '../support/lab.ts'
import { deploy, expectCode, QUICK_STOP, releases, sharedFolders, writeApp, writePage } from './app.ts'

// Two environments of one project, and a second project that builds the same pages, on one engine.
const h1 = host('h1')
const [folder, other] = sharedFolders(h1, 'prune', 'prune-other')

const PROMISED = ['v9', 'v10', 'v11', 'v12']

beforeAll(async () => {
  for (const one of [folder, other])
    writeApp(one, {
      services: { web: { build: './web', volumes: ['./note.txt:/note.txt:ro'], ...QUICK_STOP } },
      environments: { local: { keep: 3 }, prod: {} },
    })
  const release = async (one: Folder, environment: string, number: number) => {
    writePage(one, `page ${number}`)
    one.write('note.txt', `note ${number}`)
    await deploy(one, `v${number}`, 0, ['--env', environment])
  }
  const others = async () => {
    for (const number of [1, 2]) await release(other, 'local', number)
  }
  const own = async () => {
    for (const number of [1, 2]) await release(folder, 'prod', number)
    for (let number = 1; number <= 12; number++) await release(folder, 'local', number)
  }
  await Promise.all([others(), own()])
})

/** The tags of a repository: those with a version as they are, of the others how many there are. */
async function tagsOf(repository: string): Promise<[string[], number]> {
  const { stdout } = await folder.docker(['images', '--format', '{{.Tag}}', repository])
  const tags = stdout.split('\n').filter(Boolean)
  const versions = tags.filter((tag) => tag.startsWith('v')).toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
  return [versions, tags.filter((tag) => tag.startsWith('sc-')).length]
}

/** The versions of the releases that have a bundle, oldest first. */
function bundles(one: Folder, environment: string): string[] {
  const there = readdirSync(join(one.here, '.stagecraft/releases'))
  const own = releases(one).filter((release) => release.environment === environment)
  return own.flatMap(({ id, version }) => (there.includes(id) ? [version] : []))
}

async function pageOf(project: string): Promise<string> {
  const ran = await folder.docker(['exec', `${project}-web-1`, 'cat', '/www/index.html', '/note.txt'])
  expectCode(ran, 0)
  return ran.stdout
}

test('after twelve deploys with keep: 3, the current one and three before it are there, and nothing else', async () => {
  expect(bundles(folder, 'local')).toEqual(PROMISED)
  expect(await tagsOf(`${folder.name}-web`)).toEqual([PROMISED, 4])
  expect(releases(folder).filter(({ environment }) => environment === 'local')).toHaveLength(12)
  // Four notes of this environment and two of the other one.
  expect(readdirSync(join(folder.here, '.stagecraft/content'))).toHaveLength(6)
  expect((await folder.stagecraft(['prune', '--env', 'local'])).stdout).toBe('Nothing to prune.\n')
  const pruned = await folder.stagecraft(['rollback', '--env', 'local', '--to-version', 'v8'])
  expectCode(pruned, 4)
  expect(pruned.stderr).toContain('its bundle is gone: it was pruned, or removed by hand')
})

test('another environment and another project on the same engine have lost nothing', async () => {
  expect([bundles(folder, 'prod'), bundles(other, 'local')]).toEqual([
    ['v1', 'v2'],
    ['v1', 'v2'],
  ])
  expect(await tagsOf(`${folder.name}-prod-web`)).toEqual([['v1', 'v2'], 2])
  expect(await tagsOf(`${other.name}-web`)).toEqual([['v1', 'v2'], 2])
})

test('each kept release can really be rolled back to', async () => {
  for (const version of PROMISED.slice(0, -1).concat('v12')) {
    expectCode(await folder.stagecraft(['rollback', '--env', 'local', '--to-version', version]), 0)
    expect(await pageOf(folder.name)).toBe(`page ${version.slice(1)}note ${version.slice(1)}`)
  }
  // Now each of them is a rollback, and the version's own tags were removed with the releases that set them.
  expect(bundles(folder, 'local')).toEqual(PROMISED)
  expect(await tagsOf(`${folder.name}-web`)).toEqual([[], 4])
})

test('releases of the other environment and project can be rolled back to as well', async () => {
  expectCode(await folder.stagecraft(['rollback', '--env', 'prod']), 0)
  expectCode(await other.stagecraft(['rollback', '--env', 'local']), 0)
  expect([await pageOf(`${folder.name}-prod`), await pageOf(other.name)]).toEqual(['page 1note 1', 'page 1note 1'])
})

test('a smaller keep removes the surplus releases, by hand as well', async () => {
  const app = JSON.parse(folder.read('stagecraft.yml'))
  app.environments.local.keep = 1
  folder.write('stagecraft.yml', JSON.stringify(app))
  const dry = await folder.stagecraft(['prune', '--env', 'local', '--dry-run'])
  expect(dry.stdout.match(/would remove {2}release/g)).toHaveLength(2)
  expect(bundles(folder, 'local')).toEqual(PROMISED)
  expectCode(await folder.stagecraft(['prune', '--env', 'local']), 0)
  expect(bundles(folder, 'local')).toEqual(['v11', 'v12'])
  expect(await tagsOf(`${folder.name}-web`)).toEqual([[], 2])
  expect(await pageOf(folder.name)).toBe('page 12note 12')
})
