import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cleanUp } from '../support/clean-up.ts'
import { expectGolden } from '../support/golden.ts'
import { host, isUp } from '../support/lab.ts'
import { laptop } from '../support/laptop.ts'
import {
  bundle,
  deploy,
  expectCode,
  expectPage,
  makeRoot,
  page,
  type ServiceSource,
  sharedFolder,
  writeApp,
  writePage,
} from './app.ts'

const h1 = host('h1')
type Images = { images: Record<string, { id: string }>; promoted_from?: object }

describe('two environments on this machine', () => {
  const folder = sharedFolder(h1, 'promotion')
  const run = (...args: string[]) => folder.stagecraft(['deploy', ...args])
  const ports: Record<string, number> = {}
  const web = (): ServiceSource => page(0, { ports: ['${PORT}:80'], environment: { GREETING: '${GREETING}' } })

  beforeAll(async () => {
    for (const name of ['staging', 'prod']) {
      ports[name] = await h1.freePort()
      folder.write(`.env.${name}`, `PORT=${ports[name]}\nGREETING=from-${name}\n`)
    }
    writePage(folder, 'one')
    writeApp(folder, {
      services: { web: web() },
      environments: { staging: { env_file: '.env.staging' }, prod: { env_file: '.env.prod' } },
      project: { name: folder.name },
    })
  })

  test('a release that does not exist, or is not live, is exit 4, and nothing is done', async () => {
    const none = await run('--env', 'prod', '--no-build', '--version', 'v9')
    expect(none.code).toBe(4)
    expectGolden('commands/deploy.md', 'no-image', none.stderr)
    const nothing = await run('--env', 'prod', '--from', 'staging')
    expect(nothing.code).toBe(4)
    expectGolden('commands/deploy.md', 'nothing-to-promote', nothing.stderr)
    for (const args of [
      ['--from', 'prod', '--env', 'prod'],
      ['--from', 'staging', '--env', 'prod', '--version', 'v1'],
    ])
      expectCode(await run(...args), 2)
    expect((await folder.stagecraft(['releases', 'list', '--env', 'prod'])).stdout).toContain('No releases yet')
  })

  test('the image of staging, by its id, with the settings of prod, although the source has changed since', async () => {
    expectCode(await run('--env', 'staging', '--version', 'v1'), 0)
    const staged = (bundle(folder) as Images).images['web']?.id
    writePage(folder, 'two')
    const shown = await folder.stagecraft(['plan', '--env', 'prod', '--from', 'staging', '--token'])
    expectCode(shown, 0)
    expect(shown.stdout).toMatch(/^build +nothing: the images of v1 of staging \(rel-[\d-]+\) are taken$/m)
    const token = shown.stdout.trimEnd().split('\n').at(-1) ?? ''
    expectCode(await run('--env', 'prod', '--version', 'v1', '--plan', token), 4) // it would build
    // As in a hook of staging, or a job of CI.
    const env = { STAGECRAFT_VERSION: 'v9' }
    const promoted = await folder.stagecraft(['deploy', '--env', 'prod', '--from', 'staging', '--plan', token], { env })
    expectCode(promoted, 0)
    const line = /^build .*$/m.exec(promoted.stderr)?.[0] ?? ''
    expectGolden(
      'commands/deploy.md',
      'promoted',
      line.replace(/rel-[\d-]+/, '<id>').replace(/ +\d\S*s(?= {2})/, '   0.0s'),
    )
    const { images, promoted_from } = bundle(folder) as Images
    expect([images['web']?.id, promoted_from]).toEqual([
      staged,
      expect.objectContaining({ environment: 'staging', version: 'v1' }),
    ])
    await expectPage(folder, ports['prod'] ?? 0, 'one')
    const greeting = await folder.stagecraft(['exec', 'web', '--env', 'prod', '--', 'sh', '-c', 'echo $GREETING'])
    expect(greeting.stdout.trim()).toBe('from-prod')
    const recorded = await folder.stagecraft(['releases', 'show', 'latest', '--env', 'prod'])
    expect(recorded.stdout).toMatch(/^images +of v1, live in staging then \(rel-/m)
  })

  test('--no-build takes what was built before, and what a release has', async () => {
    expectCode(await folder.stagecraft(['build', '--env', 'prod', '--version', 'v2']), 0)
    writePage(folder, 'three')
    expectCode(await run('--env', 'prod', '--no-build', '--version', 'v2'), 0)
    await expectPage(folder, ports['prod'] ?? 0, 'two')
    // The tag no longer exists; the release has the image.
    await folder.docker(['rmi', `${folder.name}-prod-web:v1`])
    expectCode(await run('--env', 'prod', '--no-build', '--version', 'v1'), 0)
    await expectPage(folder, ports['prod'] ?? 0, 'one')
    expectCode(await folder.stagecraft(['rollback', '--env', 'prod']), 0)
    await expectPage(folder, ports['prod'] ?? 0, 'two')
  })
})

describe.skipIf(!isUp('h2') || !isUp('h3'))('from one host to another', () => {
  const folder = laptop('h1').folder('promotion-hosts')
  const ROOT = '/srv/stagecraft'
  const engines = { staging: host('h2'), prod: host('h3') }

  beforeAll(async () => {
    for (const engine of Object.values(engines)) await makeRoot(engine, ROOT)
    writePage(folder, 'one')
    const environment = (address: string) => ({
      hosts: address,
      root: ROOT,
      services: { web: { rollout: { min_ready: '300ms' } } },
    })
    folder.write('compose.yaml', JSON.stringify({ services: { web: page(0, { ports: ['80'] }) } }))
    const environments = { staging: environment('h2'), prod: environment('deploy@h3') }
    folder.write('stagecraft.yml', JSON.stringify({ project: { name: folder.name }, environments }))
  })
  afterAll(async () => {
    for (const engine of [...Object.values(engines), h1]) await cleanUp(engine, folder.name)
    for (const engine of Object.values(engines)) await engine.exec(['rm', '-rf', `${ROOT}/${folder.name}`])
    await folder.cleanUp()
  })

  test('an image built for a host beforehand is built here, and deployed without building', async () => {
    expectCode(await folder.stagecraft(['build', '--env', 'staging', '--version', 'v0']), 0)
    const built = `${folder.name}-staging-web:v0`
    expectCode(await folder.docker(['image', 'inspect', built]), 0)
    expect((await engines.staging.docker(['image', 'inspect', built])).code).not.toBe(0)
    writePage(folder, 'not built')
    await deploy(folder, 'v0', 0, ['--env', 'staging', '--no-build'])
    expect(await pageOf('staging')).toBe('one')
    writePage(folder, 'one')
  })

  test('the image comes from the host that has it, if this machine does not', async () => {
    await deploy(folder, 'v1', 0, ['--env', 'staging'])
    const names = (await folder.docker(['images', '--format', '{{.Repository}}:{{.Tag}}'])).stdout.split('\n')
    const own = names.filter((name) => name.startsWith(folder.name))
    expect(own.length).toBeGreaterThan(0)
    expectCode(await folder.docker(['rmi', '-f', ...own]), 0)
    writePage(folder, 'two')
    const promoted = await folder.stagecraft(['deploy', '--env', 'prod', '--from', 'staging'])
    expectCode(promoted, 0)
    expect(await pageOf('prod')).toBe('one')
  })

  async function pageOf(name: 'staging' | 'prod'): Promise<string> {
    const read = 'docker exec "$(docker ps -q --filter label=com.docker.compose.project=$0)" cat /www/index.html'
    return (await engines[name].exec(['sh', '-c', read, `${folder.name}-${name}`])).stdout.trim()
  }
})
