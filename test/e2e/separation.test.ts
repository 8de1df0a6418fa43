import { describe, expect, test } from 'bun:test'
import { host } from '../support/lab.ts'
import {
  bundle,
  deploy,
  echoing,
  expectCode,
  expectPage,
  idle,
  page,
  releases,
  sharedFolder,
  startRegistry,
  writeApp,
  writePage,
} from './app.ts'

// Look-alikes share nothing: environments, projects of the same folder name, registries.
const h1 = host('h1')
const folder = sharedFolder(h1, 'apart')

/** The containers of a Compose project: id and start time, as text. */
const containersOf = async (project: string) => {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`]
  const { stdout } = await h1.docker([
    'ps',
    '-a',
    '--no-trunc',
    ...filter,
    '--format',
    '{{.ID}} {{.CreatedAt}} {{.State}}',
  ])
  return stdout
}

test('two environments have containers, releases and values of their own', async () => {
  const [local, staging] = [await h1.freePort(), await h1.freePort()]
  const web = { ...echoing('$$WHERE'), environment: { WHERE: '${WHERE}' }, ports: ['${PORT}:80'] }
  folder.write('local.env', `WHERE=here\nPORT=${local}\n`)
  folder.write('staging.env', `WHERE=there\nPORT=${staging}\n`)
  writeApp(folder, {
    services: { web: { ...web, volumes: ['data:/data'] } },
    compose: { volumes: { data: {} } },
    project: { name: folder.name },
    environments: { local: { env_file: 'local.env' }, staging: { env_file: ['staging.env'] } },
  })
  const unnamed = await deploy(folder, 'v0', 2)
  expect(unnamed.stderr).toContain('Environments: local, staging')
  await deploy(folder, 'v1', 0, ['--env', 'local'])
  await deploy(folder, 'v1', 0, ['--env', 'staging'])
  await expectPage(folder, local, 'here')
  await expectPage(folder, staging, 'there')

  const before = await containersOf(folder.name)
  folder.write('staging.env', `WHERE=elsewhere\nPORT=${staging}\n`)
  await deploy(folder, 'v2', 0, ['--env', 'staging'])
  await expectPage(folder, staging, 'elsewhere')
  expect(await containersOf(folder.name)).toBe(before)
  const recorded = releases(folder).map(({ environment, version }) => `${environment} ${version}`)
  expect(recorded).toEqual(['local v1', 'staging v1', 'staging v2'])
  const volumes = await folder.docker(['volume', 'ls', '--format', '{{.Name}}', '--filter', `name=${folder.name}`])
  // Apart from those that only say who owns a project (spec/core/ownership.md).
  const own = volumes.stdout.split('\n').filter((name) => name !== '' && !name.startsWith('stagecraft-'))
  expect(own.sort()).toEqual([`${folder.name}-staging_data`, `${folder.name}_data`])
})

test('two projects with a name: of their own in folders of the same name share no container', async () => {
  const [one, two, app] = [`${folder.name}-one`, `${folder.name}-two`, `${folder.name}-app`]
  for (const name of [one, two]) {
    folder.write(
      `${name}/${app}/compose.yaml`,
      JSON.stringify({ name, services: { web: { ...idle, environment: { NAME: name } } } }),
    )
    folder.write(
      `${name}/${app}/stagecraft.yml`,
      'environments: {local: {services: {web: {rollout: {min_ready: 100ms}}}}}\n',
    )
    const { code } = await folder.stagecraft(['deploy', '--version', 'v1', '-C', `${name}/${app}`])
    expect(code).toBe(0)
  }
  const [first, second] = [await containersOf(one), await containersOf(two)]
  expect(first).toContain(' running\n')
  expect(second).toContain(' running\n')
  expect(await containersOf(app)).toBe('')
  folder.write(`${two}/${app}/compose.yaml`, JSON.stringify({ name: two, services: { other: idle } }))
  folder.write(
    `${two}/${app}/stagecraft.yml`,
    'environments: {local: {services: {other: {rollout: {min_ready: 100ms}}}}}\n',
  )
  const { stderr } = await folder.stagecraft(['deploy', '--version', 'v2', '-C', `${two}/${app}`])
  expect(stderr).toMatch(/^ {2}web +remove/m)
  expect(await containersOf(one)).toBe(first)
})

describe('project.registry', () => {
  const pushed = sharedFolder(h1, 'pushed')

  test('gets the images that were built, and their digests are recorded', async () => {
    const [port, registry] = [await h1.freePort(), await h1.freePort()]
    await startRegistry(pushed, registry)
    writePage(pushed, 'from the registry')
    const app = { services: { web: page(port), plain: idle }, project: { registry: `localhost:${registry}/team` } }
    writeApp(pushed, app)
    await deploy(pushed, 'v1')
    await expectPage(pushed, port, 'from the registry')
    const repository = `team/${pushed.name}-web`
    const tags = JSON.parse((await pushed.fetch(registry, `/v2/${repository}/tags/list`)).body)
    expect(tags).toEqual({ name: repository, tags: ['v1'] })
    const { images } = bundle(pushed)
    expect(images['web']?.digest).toMatch(new RegExp(`^localhost:${registry}/${repository}@sha256:[0-9a-f]{64}$`))
    expect(images['plain']?.digest).toBeUndefined()
    const pulled = await pushed.docker(['pull', images['web']?.digest ?? ''])
    expectCode(pulled, 0)

    writeApp(pushed, { ...app, project: { registry: `localhost:${await h1.freePort()}` } })
    const { stderr } = await deploy(pushed, 'v2', 8)
    expect(stderr).toContain('the registry does not answer')
    await expectPage(pushed, port, 'from the registry')
  })
})
