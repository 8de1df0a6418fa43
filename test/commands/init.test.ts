import { afterEach, describe, expect, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuseLeakyContexts } from '../../lib/build-context.ts'
import { parseConfig } from '../../lib/config.ts'
import { configTemplate } from '../../lib/config-template.ts'
import { addIgnoreLines, withLines } from '../../lib/ignore-files.ts'
import { scratch, stagecraft } from '../support/command-line.ts'
import { expectGolden } from '../support/golden.ts'

let folder = scratch()
afterEach(() => folder.remove())

const read = (file: string) => readFileSync(join(folder.path, file), 'utf8')
const has = (file: string) => existsSync(join(folder.path, file))

/** A project whose `docker compose config` says this of its services. */
function project(services: object = SERVICES, files: Readonly<Record<string, string>> = {}): void {
  folder.remove()
  folder = scratch({ 'compose.yaml': '# read by docker compose\n', ...files })
  const model = JSON.stringify({ name: 'shop', services }).replaceAll('@', folder.path)
  docker(`cat <<'END'\n${model}\nEND\n`)
}

function docker(script: string): void {
  mkdirSync(join(folder.path, '.bin'))
  writeFileSync(join(folder.path, '.bin/docker'), `#!/bin/sh\n${script}`)
  chmodSync(join(folder.path, '.bin/docker'), 0o755)
}

const SERVICES = {
  web: {
    build: { context: '@', dockerfile: 'Dockerfile' },
    ports: [{ target: 3000, published: '80' }],
    volumes: [{ type: 'bind', source: '@/certs', target: '/certs', read_only: true }],
  },
  db: { image: 'postgres:17', volumes: [{ type: 'volume', source: 'data', target: '/var/lib/postgresql/data' }] },
}

const init = (...args: string[]) =>
  stagecraft(['init', ...args], {
    cwd: folder.path,
    env: { PATH: `${folder.path}/.bin:${process.env['PATH']}` },
  })

describe('stagecraft init', () => {
  test('writes a commented file that validates, and keeps state out of git and images', async () => {
    project(SERVICES, { '.dockerignore': 'node_modules' })
    const { exit, stdout, stderr } = await init('--yes')
    expectGolden('commands/init.md', 'written', stdout)
    expect([exit, stderr]).toEqual([0, ''])
    expectGolden('commands/init.md', 'file', read('stagecraft.yml'))
    expect(parseConfig(read('stagecraft.yml'))).toMatchObject({
      project: { name: 'shop' },
      environments: { local: {} },
    })
    expect(read('.gitignore')).toBe('.stagecraft/\n')
    expect(read('.dockerignore')).toBe('node_modules\n.stagecraft/\n')
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
        services: ['db', 'web'],
        ignored: [
          { file: '.gitignore', change: 'created', lines: ['.stagecraft/'] },
          { file: '.dockerignore', change: 'created', lines: ['.stagecraft/'] },
        ],
      },
      { v: 1, type: 'finished', exit: 0 },
    ])
  })

  test.skipIf(Bun.which('script') === null)('asks for the name on a terminal, and takes no for an answer', async () => {
    const cli = join(import.meta.dir, '../../cli.ts')
    // `script` (bsdutils) gives the command a terminal.
    const answer = async (typed: string) => {
      const command = `${process.execPath} ${cli} init`
      const child = Bun.spawn(['script', '-qec', command, '/dev/null'], {
        cwd: folder.path,
        env: { ...process.env, PATH: `${folder.path}/.bin:${process.env['PATH']}`, TERM: 'xterm', NO_COLOR: '1' },
        stdin: 'pipe',
        stdout: 'pipe',
      })
      let shown = ''
      for await (const chunk of child.stdout) {
        shown += Buffer.from(chunk).toString()
        if (shown.includes('Project name (shop): ') && typed !== '') {
          child.stdin.write(typed)
          typed = ''
        }
      }
      return [await child.exited, shown] as const
    }
    project()
    const [gaveUp, said] = await answer('\x03')
    expect([gaveUp, has('stagecraft.yml')]).toEqual([2, false])
    expect(said).toContain('Cannot go on: no name was given')
    const [exit] = await answer('mine\r')
    expect([exit, parseConfig(read('stagecraft.yml')).project.name]).toEqual([0, 'mine'])
  })

  test('never overwrites, and then touches nothing else', async () => {
    project(SERVICES, { 'stagecraft.yml': '# mine\n' })
    const { exit, stderr } = await init('--yes')
    expectGolden('commands/init.md', 'exists', stderr)
    expect([exit, read('stagecraft.yml'), has('.gitignore')]).toEqual([2, '# mine\n', false])
  })

  test('never writes through a link, nor beside a file under another name', async () => {
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
    expect(stdout).toContain('changed  ../.dockerignore  a \\[b\\]/.stagecraft/\n')
    expect(read('.dockerignore')).toBe('node_modules\na \\[b\\]/.stagecraft/\n')
    const build = { context: folder.path, dockerfile: 'Dockerfile' }
    const holds = [join(inner, '.stagecraft/releases.json'), join(inner, '.stagecraft/content')]
    refuseLeakyContexts({ name: 'a', services: { up: { build } } }, [{ path: join(inner, '.stagecraft'), holds }])
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
    folder = scratch()
    const { exit, stdout } = await init('--schema')
    expect(exit).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ title: 'stagecraft.yml', additionalProperties: false })
    expect(has('stagecraft.yml')).toBe(false)
  })
})

describe('configTemplate()', () => {
  const uncommented = (text: string) =>
    text
      .split('\n')
      .slice(1)
      .map((line) => line.replace(/^( *)# /, '$1'))
      .join('\n')

  test('its examples validate when they are uncommented', () => {
    const expose = { service: 'web', port: 3000 }
    const text = configTemplate({ project: 'shop', expose, databases: ['db'], renewed: ['./certs', './a b'] })
    expect(parseConfig(uncommented(text))).toEqual({
      project: { name: 'shop', registry: 'ghcr.io/acme' },
      compose: ['compose.yaml'],
      environments: {
        local: { env_file: [], data: [], keep: 5, services: {} },
        prod: {
          env_file: ['.env.prod'],
          data: ['./certs', './a b'],
          keep: 5,
          services: {
            db: { rollout: { strategy: 'hold' } },
            web: {
              expose: { host: ['shop.example.com'], port: 3000 },
              rollout: { health_timeout: 60_000, drain_timeout: 30_000 },
            },
          },
        },
      },
    })
  })

  test('says nothing of services where the Compose file says nothing', () => {
    const text = configTemplate({ project: 'shop', databases: [], renewed: [] })
    expect([text.includes('services:'), text.includes('data:')]).toEqual([false, false])
    expect(parseConfig(uncommented(text)).environments['prod']?.services).toEqual({})
  })

  test.each(['true', 'null', '1e3', '0x1', '-', 'a.b', 'On'])('quotes the name %p where YAML would not', (service) => {
    const parsed = parseConfig(
      uncommented(configTemplate({ project: '007', expose: { service, port: 80 }, databases: [], renewed: [] })),
    )
    expect(parsed.project.name).toBe('007')
    expect(Object.keys(parsed.environments['prod']?.services ?? {})).toEqual([service])
  })
})

describe('addIgnoreLines()', () => {
  const add = (text: string | undefined, ...lines: string[]) => {
    folder.remove()
    folder = scratch(text === undefined ? {} : { ignore: text })
    const { change } = addIgnoreLines(join(folder.path, 'ignore'), lines)
    return [change, read('ignore')]
  }

  test('keeps every byte of what is there, and the line breaks it uses', () => {
    expect(add(undefined, 'a/')).toEqual(['created', 'a/\n'])
    expect(add('', 'a/')).toEqual(['changed', 'a/\n'])
    expect(add('x', 'a/', 'b')).toEqual(['changed', 'x\na/\nb\n'])
    expect(withLines('x\r\ny', ['a/'])).toBe('x\r\ny\r\na/\r\n')
  })

  test.each(['.stagecraft', '/.stagecraft/', '**/.stagecraft', '.stagecraft/*', '.stagecraft/**', ' .stagecraft/\r'])(
    'leaves a file alone that has %p',
    (line) => {
      expect(add(`${line}\n`, '.stagecraft/')).toEqual(['unchanged', `${line}\n`])
    },
  )

  test('adds the line again where a later one takes it back', () => {
    expect(add('.stagecraft\n!.stagecraft\n', '.stagecraft/')).toEqual([
      'changed',
      '.stagecraft\n!.stagecraft\n.stagecraft/\n',
    ])
    expect(add('# .stagecraft\nx.stagecraft\n', '.stagecraft/')[0]).toBe('changed')
  })

  test('keeps the permissions of a file', () => {
    folder.remove()
    folder = scratch({ ignore: 'x\n' })
    chmodSync(join(folder.path, 'ignore'), 0o640)
    addIgnoreLines(join(folder.path, 'ignore'), ['a'])
    expect(statSync(join(folder.path, 'ignore')).mode & 0o777).toBe(0o640)
  })
})
