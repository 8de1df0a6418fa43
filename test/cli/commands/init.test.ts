import { afterEach, describe, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findLeaks } from '../../../lib/compose/build-context.ts'
import { parseConfig } from '../../../lib/config/parse.ts'
import { docker, empty, folder, has, init, program, project, read, SERVICES } from '../../scenes/init-project.ts'
import { stagecraft } from '../../support/command-line.ts'
import { expectGolden } from '../../support/golden.ts'

afterEach(() => folder.remove())

describe('stagecraft init', () => {
  test('writes a commented file that validates, and keeps state out of git and images', async () => {
    project(SERVICES, { '.dockerignore': 'node_modules' })
    const { exit, stdout, stderr } = await init('--yes')
    expectGolden('commands/init.md', 'written', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    expectGolden('commands/init.md', 'file', read('stagecraft.yml'))
    expect(JSON.parse(read('stagecraft.schema.json'))).toMatchObject({ title: 'stagecraft.yml' })
    expect(parseConfig(read('stagecraft.yml'))).toMatchObject({
      project: { name: 'shop' },
      environments: { local: {} },
    })
    expect(read('.gitignore')).toBe('.stagecraft/\n')
    expect(read('.dockerignore')).toBe('node_modules\n.stagecraft/\n')
  })

  test('writes a job that migrates as the migrations of a database, and says so', async () => {
    const web = { image: 'web', depends_on: { migrate: { condition: 'service_completed_successfully' } } }
    project({ web, migrate: { image: 'web', command: ['bin/rails', 'db:migrate'] } })
    const { exit, stdout, stderr } = await init('--yes')
    expect([exit, stderr]).toEqual([0, ''])
    expectGolden('commands/init.md', 'found', stdout)
    const [, settings = ''] = read('stagecraft.yml').split('environments:\n')
    expectGolden('commands/init.md', 'migrations', settings.split('\n\n')[0] ?? '')
  })

  test('finds what runs already, and names its Compose project where the environment would have another', async () => {
    const runs = (name: string, directory = folder.path) =>
      ['web', 'db'].map((one) => `${name}-${one}-1\t${one}\t\t${name}\t${one}\t${directory}\t${directory}/compose.yaml`)
    const withRunning = (rows: (folder: string) => string[]) => {
      project({ web: { image: 'web' }, db: { image: 'postgres:17' } })
      const config = read('.bin/docker').replace('#!/bin/sh\n', '')
      const ps = `cat <<'END'\n${rows(folder.path).join('\n')}\nEND\n`
      rmSync(join(folder.path, '.bin'), { recursive: true })
      docker(`if [ "$1" = ps ]; then ${ps}else ${config}fi\n`)
    }
    withRunning(() => runs('shop'))
    expectGolden('commands/init.md', 'running', (await init('--yes')).stdout)
    expect(read('stagecraft.yml')).toContain('local: {}')

    withRunning(() => runs('old'))
    const { stdout } = await init('--yes', '--json')
    expect(JSON.parse(stdout.split('\n')[0] ?? '')).toMatchObject({
      running: { project: 'old', containers: ['old-db-1', 'old-web-1'] },
    })
    expect(parseConfig(read('stagecraft.yml'))).toMatchObject({ environments: { local: { compose_project: 'old' } } })
    const lines = read('stagecraft.yml').split('\n')
    expectGolden(
      'commands/init.md',
      'compose-project',
      lines
        .slice(lines.indexOf('environments:') + 1)
        .slice(0, 2)
        .join('\n'),
    )

    for (const rows of [runs('blog', '/srv/blog'), ['<html>', 'x\ty']]) {
      withRunning(() => rows)
      expect((await init('--yes')).stdout).not.toContain('found')
      expect(read('stagecraft.yml')).toContain('local: {}')
    }
    project({ web: { image: 'web' } })
    const config = read('.bin/docker').replace('#!/bin/sh\n', '')
    rmSync(join(folder.path, '.bin'), { recursive: true })
    docker(`if [ "$1" = ps ]; then echo "Cannot connect to the Docker daemon" >&2; exit 1; else ${config}fi\n`)
    expect(await init('--yes')).toMatchObject({ exit: 0, stderr: '' })
  })

  test('hides no name of the project because a password is the same', async () => {
    project()
    rmSync(join(folder.path, '.bin'), { recursive: true })
    const model = '{"name": "shopkeeper", "services": {"web": {"image": "web"}}}'
    docker(`echo 'level=warning msg="${folder.path}/x.yml is old"' >&2; echo '${model}'`)
    writeFileSync(join(folder.path, '.env'), `DB_PASSWORD=shopkeeper\nA_PASSWORD=${basename(folder.path)}\n`)
    const { stdout, stderr } = await init('--yes')
    expect(stdout).toContain('project shopkeeper, environment local')
    expect(stderr).toContain(folder.path)
  })

  test('asks nothing without a terminal, and takes --name', async () => {
    project()
    const { exit, stdout } = await init('--name', 'other-1', '--json')
    expect(exit).toBe(0)
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      {
        v: 1,
        type: 'init',
        file: 'stagecraft.yml',
        project: 'other-1',
        environment: 'local',
        hosts: [],
        services: ['db', 'web'],
        ignored: [
          { file: '.gitignore', change: 'created', lines: ['.stagecraft/'] },
          { file: '.dockerignore', change: 'created', lines: ['.stagecraft/'] },
        ],
      },
      { v: 1, type: 'finished', exit: 0 },
    ])
  })

  test('suggests the Compose files that there are, and shortens the name of a folder', async () => {
    project({ web: { image: 'web' } }, { 'compose.prod.yaml': '', 'compose.override.yaml': '' })
    const script = readFileSync(join(folder.path, '.bin/docker'), 'utf8')
    program('docker', script.replace('"shop"', JSON.stringify('x'.repeat(90))))
    expect((await init()).exit).toBe(0)
    expect(read('stagecraft.yml')).toContain('\n# compose: [compose.yaml, compose.prod.yaml]')
    expect(parseConfig(read('stagecraft.yml')).project.name).toBe('x'.repeat(63))
  })

  test('leaves a schema that is there as it is', async () => {
    project(SERVICES, { 'stagecraft.schema.json': '{}' })
    const { stdout } = await init()
    expect([stdout.includes('schema.json'), read('stagecraft.schema.json')]).toEqual([false, '{}'])
  })

  test('never overwrites, and then touches nothing else', async () => {
    project(SERVICES, { 'stagecraft.yml': '# mine\n' })
    const { exit, stderr } = await init('--yes')
    expectGolden('commands/init.md', 'exists', stderr)
    expect([exit, read('stagecraft.yml'), has('.gitignore')]).toEqual([2, '# mine\n', false])
  })

  test('never writes through a link, nor next to a file under another name', async () => {
    project()
    symlinkSync('elsewhere.yml', join(folder.path, 'stagecraft.yml'))
    expect([(await init()).exit, has('elsewhere.yml')]).toEqual([2, false])
    project(SERVICES, { 'stagecraft.yaml': '' })
    expect((await init()).stderr).toStartWith('Cannot write stagecraft.yml: stagecraft.yaml exists\n')
  })

  test.each(['Shop', '../x', '-x', 'a b', 'x'.repeat(64), 'a\nb'])('refuses the name %p', async (name) => {
    project()
    const { exit, stderr } = await init(`--name=${name}`)
    expect([exit, stderr.split('\n')[0]?.startsWith('Cannot call the project "'), has('stagecraft.yml')]).toEqual([
      2,
      true,
      false,
    ])
  })

  test('a Compose file that is invalid is exit 3, with what Compose says, and nothing is written', async () => {
    project()
    writeFileSync(join(folder.path, '.bin/docker'), '#!/bin/sh\necho "services.web: bad thing" >&2; exit 15\n')
    const { exit, stderr } = await init()
    expect([exit, has('stagecraft.yml'), has('.gitignore')]).toEqual([3, false, false])
    expect(stderr).toContain('services.web: bad thing')
  })

  test('knows the ignore files of single Dockerfiles, and leaves contexts below the project alone', async () => {
    project(
      {
        web: { build: { context: '@', dockerfile: 'web.Dockerfile' } },
        api: { build: { context: '@/api', dockerfile: 'Dockerfile' } },
        far: { build: { context: 'https://example.com/repo.git', dockerfile: 'Dockerfile' } },
      },
      { 'web.Dockerfile.dockerignore': '*\n', 'api/Dockerfile': '' },
    )
    const { exit, stderr } = await init()
    expect([exit, read('web.Dockerfile.dockerignore'), has('api/.dockerignore')]).toEqual([
      0,
      '*\n.stagecraft/\n',
      false,
    ])
    expect(stderr).toBe('')
  })

  test('writes the line into the ignore file of a context above the project, which keeps the state out of it then', async () => {
    project({ up: { build: { context: '@', dockerfile: 'Dockerfile' } } })
    const inner = join(folder.path, 'a [b]')
    mkdirSync(inner)
    writeFileSync(join(inner, 'compose.yaml'), '')
    writeFileSync(join(folder.path, '.dockerignore'), 'node_modules')
    const run = () =>
      stagecraft(['init', '--yes'], { cwd: inner, env: { PATH: `${folder.path}/.bin:${process.env['PATH']}` } })
    const { exit, stdout, stderr } = await run()
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^changed +\.\.\/\.dockerignore +a \\\[b\\\]\/\.stagecraft\/$/m)
    expect(read('.dockerignore')).toBe('node_modules\na \\[b\\]/.stagecraft/\n')
    const build = { context: folder.path, dockerfile: 'Dockerfile' }
    const holds = [join(inner, '.stagecraft/releases.json'), join(inner, '.stagecraft/content')]
    const forbidden = [{ path: join(inner, '.stagecraft'), holds }]
    expect(findLeaks({ name: 'a', services: { up: { build } } }, forbidden, () => [])).toEqual([])
    rmSync(join(inner, 'stagecraft.yml'))
    expect((await run()).stdout).not.toContain('../.dockerignore') // it has the line
  })

  test('says the line where the ignore file of a context above cannot be written', async () => {
    project({ up: { build: { context: '@', dockerfile: 'Dockerfile' } } })
    mkdirSync(join(folder.path, 'inner'))
    symlinkSync('/no/such/folder/ignore', join(folder.path, '.dockerignore'))
    const env = { PATH: `${folder.path}/.bin:${process.env['PATH']}` }
    const { exit, stderr } = await stagecraft(['init'], { cwd: join(folder.path, 'inner'), env })
    expect(exit).toBe(0)
    expect(stderr).toContain(`add inner/.stagecraft/ to ${join(folder.path, '.dockerignore')}`)
  })

  test('an ignore file that cannot be written is exit 9, and says what to add', async () => {
    project()
    mkdirSync(join(folder.path, '.gitignore'))
    const { exit, stderr } = await init()
    expect([exit, has('stagecraft.yml')]).toEqual([9, false])
    expect(stderr).toMatch(/^Cannot change \.gitignore: EISDIR\n {2}hint: Add these lines to .*: \.stagecraft\/\n$/)
  })

  test('--schema prints the schema, without a Compose file', async () => {
    empty()
    const { exit, stdout } = await init('--schema')
    expect(exit).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ title: 'stagecraft.yml', additionalProperties: false })
    expect(has('stagecraft.yml')).toBe(false)
  })
})
