import { describe, expect, test } from 'bun:test'
import { symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { localHost } from '../../lib/hosts/host.ts'
import { openProject, openSettings } from '../../lib/project/open.ts'
import { exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** A project folder whose Compose file says that its name is `name`. */
function folder(name: string, config?: string): FakeProject {
  const project = temporary(new FakeProject('project'))
  project.engine.model = composeModel(name, { services: { web: { image: 'web' }, db: { image: 'db' } } })
  if (config !== undefined) project.write('stagecraft.yml', config)
  return project
}

async function refusal(work: Promise<unknown>): Promise<string[]> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof StagecraftError)) throw error ?? new Error('it did not fail')
  return [error.kind, error.message, error.hint ?? '']
}

describe('openProject() names the Compose project', () => {
  const folderName = (project: FakeProject) =>
    basename(project.folder)
      .toLowerCase()
      .replaceAll(/[^-_a-z0-9]/g, '')

  test.each<[string, string | undefined, string, string | undefined, string]>([
    ['by the Compose file', 'stated', 'stated', undefined, 'stated'],
    ['by the Compose file before stagecraft.yml, locally', 'stated', 'project: {name: shop}\n', undefined, 'stated'],
    ['by stagecraft.yml before the folder', undefined, 'project: {name: shop}\n', undefined, 'shop'],
    [
      'by compose_project before all',
      'stated',
      'project: {name: shop}\nenvironments: {local: {compose_project: own}}\n',
      undefined,
      'own',
    ],
    [
      'by project and environment elsewhere',
      'stated',
      'project: {name: shop}\nenvironments: {local: {}, prod: {}}\n',
      'prod',
      'shop-prod',
    ],
    [
      'by the Compose file and environment elsewhere',
      'stated',
      'environments: {local: {}, prod: {}}\n',
      'prod',
      'stated-prod',
    ],
  ])('%s', async (_, stated, config, environment, expected) => {
    const project = folder('x', config === 'stated' ? undefined : config)
    project.engine.model = composeModel(stated ?? folderName(project), { services: { web: { image: 'web' } } })
    const { model, source } = await project.open(environment)
    expect([model.name, source.project]).toEqual([expected, expected])
    expect(model.networks?.['default']?.name).toBe(`${expected}_default`)
  })

  test('by the folder where nothing else does', async () => {
    const project = folder('x')
    project.engine.model = composeModel(folderName(project), { services: { web: { image: 'web' } } })
    expect((await project.open()).model.name).toBe(folderName(project))
  })
})

describe('openProject()', () => {
  test('knows where everything is, also through a link', async () => {
    const project = folder(
      'shop',
      'environments: {local: {env_file: .env.a, data: [./uploads]}}\ncompose: [a.yaml, b.yaml]\n',
    )
    symlinkSync(project.folder, `${project.folder}.kept`)
    const opened = await openProject(project.engine.exec, {
      directory: `${project.folder}.kept`,
      environment: undefined,
      stateOverride: undefined,
      warn: () => {},
    })
    expect(opened).toMatchObject({
      directory: project.folder,
      stateFile: join(project.folder, '.stagecraft/releases.json'),
      source: {
        directory: project.folder,
        files: [join(project.folder, 'a.yaml'), join(project.folder, 'b.yaml')],
        envFiles: [join(project.folder, '.env.a')],
        project: 'shop',
      },
      data: [join(project.folder, 'uploads')],
      topology: { order: ['db', 'web'], jobs: [] },
    })
  })

  test('keeps the releases under `root:`, where a checkout does not last, unless a file is named', async () => {
    const config = 'project: {name: shop}\nenvironments: {prod: {root: /srv/stagecraft}}\n'
    const project = folder('shop', config)
    expect((await project.open()).stateFile).toBe('/srv/stagecraft/shop/prod/releases.json')
    const options = { directory: project.folder, environment: undefined, stateOverride: '/elsewhere/x.json' }
    expect((await openSettings(options)).stateFile).toBe('/elsewhere/x.json')
    const nameless = folder('shop', 'environments: {prod: {root: /srv/stagecraft}}\n')
    expect((await refusal(nameless.open())).slice(0, 2)).toEqual([
      'config',
      'Cannot use the root of prod: the project has no name',
    ])
  })

  test('gathers what must not be shown, from wherever it comes', async () => {
    const project = folder('shop', 'environments: {local: {services: {db: {job: true}}}}\n')
    project.engine.variables = { TOKEN: 'from the environment $1' }
    project.engine.model = composeModel('shop', {
      services: { web: { image: 'web', environment: { PASSWORD: 'from the file' } }, db: { image: 'db' } },
      secrets: { token: { environment: 'TOKEN' } },
    })
    const { secrets, variables, topology } = await project.open()
    expect(secrets).toEqual(['from the environment $1', 'from the file'])
    expect(variables).toEqual({ TOKEN: 'from the environment $1' })
    expect(topology.jobs).toEqual(['db'])
  })

  test('refuses settings of a service that there is not', async () => {
    const project = folder('shop', 'environments: {local: {services: {wbe: {}}}}\n')
    expect(await refusal(project.open())).toEqual([
      'config',
      'Cannot configure service wbe: the Compose file has no such service',
      'Did you mean "web"? Services: db, web. One with `profiles:` counts only while its profile is active (COMPOSE_PROFILES).',
    ])
  })

  test('refuses an environment that there is not', async () => {
    expect((await refusal(folder('shop').open('prod'))).slice(0, 2)).toEqual([
      'not-found',
      'Cannot find environment "prod"',
    ])
  })

  test('refuses a build that would copy the state into the image', async () => {
    const project = folder('shop')
    project.engine.model = composeModel('shop', { services: { web: { build: { context: project.folder } } } })
    expect((await refusal(project.open())).slice(0, 2)).toEqual([
      'config',
      'Cannot build web: .stagecraft would be copied into its image',
    ])
    project.write('.dockerignore', '.stagecraft\n')
    expect((await project.open()).model.name).toBe('shop')
  })

  test('says what Compose says of its file', async () => {
    const project = folder('shop')
    project.engine.model = undefined
    expect((await refusal(project.open())).slice(0, 2)).toEqual([
      'config',
      'Cannot read the Compose file: docker compose refuses it',
    ])
  })
})

describe('two environments with one Compose project on one engine', () => {
  const settings = (project: FakeProject, environment: string) =>
    openSettings({
      ...{ directory: project.folder, environment, stateOverride: undefined },
      openHost: async ({ host }) => ({
        ...localHost(exec, project.stateFile),
        isLocal: false,
        name: host.written,
        key: host.name,
      }),
    })
  const shared = (environments: string) => folder('x', `project: {name: shop}\nenvironments:\n${environments}`)

  test('are refused with the line, whichever says it', async () => {
    const project = shared('  prod: {}\n  staging: {compose_project: shop-prod}\n')
    const error = await settings(project, 'staging').catch((thrown: unknown) => thrown)
    expectGolden('core/config.md', 'shared', formatError(error).join('\n'))
    expect((await settings(project, 'prod')).environment.name).toBe('prod')
  })

  test.each([
    ['on hosts of which one is the same, by any login', 'hosts: [ana@web, db]', 'hosts: bob@WEB'],
    ['on a host whose port is the usual one', 'hosts: web', 'hosts: web:22'],
    ['of this machine, wherever the releases are', 'root: /srv/one', 'root: /srv/two'],
  ])('are refused %s', async (_, one, two) => {
    const project = shared(`  a: {compose_project: p, ${one}}\n  b: {compose_project: p, ${two}}\n`)
    const [kind, message] = await refusal(settings(project, 'b'))
    expect([kind, message]).toEqual(['config', 'Cannot use stagecraft.yml: 1 error'])
  })

  test.each([
    ['are on different hosts', 'hosts: web', 'hosts: [db, cache]'],
    ['are on different ports of one address', 'hosts: web:2201', 'hosts: web:2202'],
    ['are here and there', '', 'hosts: web'],
  ])('are two where they %s', async (_, one, two) => {
    const project = shared(`  a: {compose_project: p, ${one}}\n  b: {compose_project: p, ${two}}\n`)
    expect((await settings(project, 'b')).environment.name).toBe('b')
  })

  test('are refused where only the Compose file says its name', async () => {
    const project = folder('stated', 'environments:\n  local: {}\n  staging: {compose_project: stated}\n')
    const error = await project.open('staging').catch((thrown: unknown) => thrown)
    expect(formatError(error)).toEqual([
      'Cannot use stagecraft.yml: 1 error',
      'stagecraft.yml:3:30: local and staging use the same Compose project, stated, on the same engine: give one of them another compose_project',
      '  hint: The schema of the file: stagecraft init --schema',
    ])
    project.engine.model = composeModel('other', { services: { web: { image: 'web' } } })
    expect((await project.open('staging')).model.name).toBe('stated')
  })
})

test('openProject() refuses a named context that holds the state of another environment of this folder', async () => {
  const project = folder('shop', 'project: {name: shop}\nenvironments: {local: {}, prod: {root: /srv/none}}\n')
  const build = { context: join(project.folder, 'web'), additional_contexts: { root: project.folder } }
  project.engine.model = composeModel('shop', { services: { web: { build } } })
  const open = () => project.open('prod')
  expect((await open()).model.name).toBe('shop-prod') // no state is here yet
  project.write('.stagecraft/releases.json', '{}')
  expect((await refusal(open()))[1]).toBe('Cannot build web: .stagecraft would be copied into its image')
  project.write('.dockerignore', '.stagecraft\n')
  expect((await open()).model.name).toBe('shop-prod')
})
