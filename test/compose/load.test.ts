import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  actFlags,
  configHashes,
  loadCompose,
  modelText,
  resolveVariables,
  unescapeDollars,
} from '../../lib/compose/load.ts'
import type { ComposeSource } from '../../lib/compose/model.ts'
import type { Exec, ExecOptions, Result } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

/** A docker CLI that gives one answer, and remembers what it was asked. */
function answering(answer: Partial<Result>) {
  const calls: { argv: readonly string[]; options: ExecOptions }[] = []
  const exec: Exec = async (argv, options = {}) => {
    calls.push({ argv, options })
    return { argv, code: 0, stdout: '', stderr: '', timedOut: false, ...answer }
  }
  return { exec, calls }
}

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof StagecraftError)) throw error ?? new Error('it did not fail')
  const { kind, message, detail, hint } = error
  return { kind, message, detail, hint }
}

const source: ComposeSource = { directory: '/app', files: [], envFiles: [] }
const MODEL = { name: 'app', services: { web: { image: 'web' } } }

describe('loadCompose()', () => {
  test('asks docker compose config, in the project folder', async () => {
    const { exec, calls } = answering({ stdout: JSON.stringify(MODEL) })
    expect(await loadCompose(exec, source)).toEqual(MODEL)
    expect(calls[0]?.argv.join(' ')).toBe('docker compose config --format json')
    expect(calls[0]?.options).toEqual({ cwd: '/app', timeout: 60_000 })
  })

  test('names project, files and env files, in their order', async () => {
    const { exec, calls } = answering({ stdout: JSON.stringify(MODEL) })
    await loadCompose(exec, {
      ...source,
      project: '-p',
      files: ['/app/a b.yaml', '/app/c.yaml'],
      envFiles: ['/app/.env.prod'],
    })
    expect(calls[0]?.argv.slice(2)).toEqual([
      ...['-p', '-p', '-f', '/app/a b.yaml', '-f', '/app/c.yaml', '--env-file', '/app/.env.prod'],
      ...['config', '--format', 'json'],
    ])
  })

  test('has every $ as it is meant', async () => {
    const printed = { name: 'app', services: { web: { environment: { A: '$$x $$$$y' }, labels: { a$$b: '$$' } } } }
    const { exec } = answering({ stdout: JSON.stringify(printed) })
    expect((await loadCompose(exec, source)).services['web']).toEqual({
      environment: { A: '$x $$y' },
      labels: { a$b: '$' },
    })
  })

  test('reports the warnings', async () => {
    const stderr = [
      'time="2026-11-22T08:00:00Z" level=warning msg="The \\"TAG\\" variable is not set. Defaulting to a blank string."',
      'time="2026-11-22T08:00:00Z" level=info msg="hello"',
      'time="2026-11-22T08:00:00Z" level=warning msg="/app/compose.yaml: `version` is obsolete"',
      'time="2026-11-22T08:00:00Z" level=warning msg="a \\x bad escape"',
    ].join('\n')
    const told: string[] = []
    await loadCompose(answering({ stdout: JSON.stringify(MODEL), stderr }).exec, source, (message) =>
      told.push(message),
    )
    expect(told).toEqual([
      '/app/compose.yaml: `version` is obsolete',
      '"a \\x bad escape"',
      'a variable of the Compose file is not set, and empty: TAG',
    ])
  })

  test.each(['{}', '{"services": {}}', '{"services": null}', '[]', 'null'])(
    'refuses a model without services: %s',
    async (stdout) => {
      expect(await errorOf(loadCompose(answering({ stdout }).exec, source))).toEqual({
        kind: 'config',
        message: 'Cannot read the Compose file: it defines no services',
        detail: undefined,
        hint: 'Give it a `services:` section with at least one service.',
      })
    },
  )

  test.each(['constructor', 'toString', '__proto__'])('refuses a service of the name %s', async (name) => {
    const stdout = `{"name": "app", "services": {${JSON.stringify(name)}: {"image": "a"}}}`
    const { kind, message } = await errorOf(loadCompose(answering({ stdout }).exec, source))
    expect([kind, message]).toEqual(['config', `Cannot use service ${name}: Stagecraft reserves that name`])
  })

  test.each<[string, string, string]>([
    ['no configuration file provided: not found', 'config', 'Cannot find a Compose file in this folder'],
    [
      'open /app/nope.yml: no such file or directory',
      'config',
      'Cannot read the Compose file: docker compose refuses it',
    ],
    [
      'services.web Additional property imge is not allowed',
      'config',
      'Cannot read the Compose file: docker compose refuses it',
    ],
    [
      "docker: 'compose' is not a docker command.\nSee 'docker --help'",
      'unreachable',
      'Cannot run docker compose: the Compose plugin is not installed',
    ],
    [
      "unknown shorthand flag: 'p' in -p\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]",
      'unreachable',
      'Cannot run docker compose: the Compose plugin is not installed',
    ],
  ])('knows what is wrong: %s', async (stderr, kind, message) => {
    expect(await errorOf(loadCompose(answering({ code: 1, stderr }).exec, source))).toMatchObject({ kind, message })
  })
})

describe('loadCompose() where Compose wants values', () => {
  const app = mkdtempSync(join(tmpdir(), 'stagecraft-values-'))
  afterAll(() => rmSync(app, { recursive: true }))

  /** As Compose does it: it names the first variable that has no value. */
  const wanting =
    (names: Readonly<Record<string, string>>, after = ''): Exec =>
    async (argv, { env = {} } = {}) => {
      const [name, why] = Object.entries(names).find(([each]) => env[each] === undefined) ?? []
      const stderr = `time="now" level=warning msg="The \\"TAG\\" variable is not set. Defaulting to a blank string."\n`
      const error =
        name === undefined
          ? after
          : `error while interpolating services.web.image: required variable ${name} is missing a value${why}`
      return {
        argv,
        code: error ? 1 : 0,
        stdout: '{"name": "a", "services": {"web": {}}}',
        stderr: stderr + error,
        timedOut: false,
      }
    }
  const failure = async (exec: Exec, more: Partial<typeof source> = {}) =>
    formatError(await loadCompose(exec, { ...source, directory: app, ...more }).catch((error: unknown) => error)).join(
      '\n',
    )

  test('says all of them at once, and where an example is', async () => {
    const exec = wanting({ DOMAIN: '', DB_PASSWORD: ': say one' }, 'no such port: x')
    expect(await failure(exec)).not.toContain('There is an example')
    writeFileSync(join(app, '.env.example'), '')
    expectGolden('core/compose.md', 'no-values', await failure(exec))
    const given = await failure(exec, { envFiles: ['/app/.env.prod'] })
    expect(given).toEndWith('hint: Give them values in .env.prod, or in the environment of this command.')
  })

  test('says anything else in the words of Compose, with its warnings in one line', async () => {
    expect(await failure(wanting({}, `env file ${app}/web.env not found: stat: no such file`))).toBe(
      [
        'Cannot read the Compose file: docker compose refuses it',
        'warning: a variable of the Compose file is not set, and empty: TAG',
        `env file ${app}/web.env not found: stat: no such file`,
        `  hint: Create it from the example first: cp ${app}/.env.example ${app}/web.env .`,
      ].join('\n'),
    )
  })
})

describe('resolveVariables()', () => {
  test('lets Compose say what it would put in, from environment and env files', async () => {
    const stdout = JSON.stringify({ services: { variables: { environment: { A: 'a$$b', B: null } } } })
    const { exec, calls } = answering({ stdout })
    const found = await resolveVariables(
      exec,
      { ...source, files: ['/app/a.yaml'], envFiles: ['/app/.env'], project: 'shop' },
      ['A', 'B'],
    )
    expect(found).toEqual({ A: 'a$b', B: '' })
    expect(calls[0]?.argv.slice(2)).toEqual([
      ...[
        '-p',
        'shop',
        '--env-file',
        '/app/.env',
        '--project-directory',
        '/app',
        '-f',
        '-',
        'config',
        '--format',
        'json',
      ],
    ])
    expect(JSON.parse(calls[0]?.options.input ?? '')).toEqual({
      services: {
        variables: {
          image: 'none',
          environment: { A: '${A?the variable is not set}', B: '${B?the variable is not set}' },
        },
      },
    })
  })

  test('asks nothing where there is nothing to ask', async () => {
    const { exec, calls } = answering({})
    expect(await resolveVariables(exec, source, [])).toEqual({})
    expect(calls).toEqual([])
  })

  test('fails where one is not set', async () => {
    const stderr = 'required variable A is missing a value: the variable is not set'
    expect(await errorOf(resolveVariables(answering({ code: 1, stderr }).exec, source, ['A']))).toMatchObject({
      kind: 'config',
      detail: stderr,
    })
  })
})

describe('configHashes()', () => {
  test('feeds the model in, and reads a hash a service', async () => {
    const { exec, calls } = answering({ stdout: 'api 111\nweb  222\n\n' })
    const model = { name: 'shop', services: { web: { environment: { A: '$b' } }, api: {} } }
    expect(await configHashes(exec, model, '/app')).toEqual(
      new Map([
        ['api', '111'],
        ['web', '222'],
      ]),
    )
    expect(calls[0]?.argv.slice(2)).toEqual([...actFlags('shop', '/app'), '-f', '-', 'config', '--hash', '*'])
    expect(calls[0]?.options.input).toContain('"$$b"')
  })

  test('fails as reading does', async () => {
    expect(await errorOf(configHashes(answering({ code: 1, stderr: 'x' }).exec, MODEL, '/app'))).toMatchObject({
      kind: 'config',
      detail: 'x',
    })
  })
})

describe('modelText() and unescapeDollars()', () => {
  test.each(['$', '$$', '$x', '${x}', 'a$', '$$$', 'no dollar'])('hand %j on as it is', (text) => {
    const model = { name: 'app', services: { web: { command: [text], environment: { A: text }, 'x-n': 1, y: null } } }
    expect(unescapeDollars(JSON.parse(modelText(model)))).toEqual(model)
  })
})
