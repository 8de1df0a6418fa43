import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { validateAction, validateWorkflow } from '@action-validator/core'
import * as v from 'valibot'
import { parse } from 'yaml'
import { parseConfig } from '../../lib/config/parse.ts'
import { fencesOf } from '../support/golden.ts'
import { callsIn, checkCall } from '../support/shell-lines.ts'

const EXAMPLES = join(import.meta.dir, '../../examples')
const read = (file: string) => readFileSync(join(EXAMPLES, file), 'utf8')
const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((file) =>
  statSync(join(EXAMPLES, file)).isFile(),
)
const applications = files.filter((file) => file.endsWith('/stagecraft.yml')).map((file) => file.split('/')[0] ?? '')

describe.each(applications)('examples/%s', (name) => {
  const compose = parse(read(`${name}/compose.yaml`)) as { services: Record<string, { build?: string }> }
  const config = parseConfig(read(`${name}/stagecraft.yml`))

  test('stagecraft.yml is valid, for one server, and its services exist', () => {
    expect(config.project.name).toBeString()
    const { hosts, services, databases = {} } = config.environments['prod'] ?? { services: {} }
    expect(hosts).toBeDefined()
    const used = Object.values(databases).map((each) =>
      each.migrations.engine === 'raw' ? each.via : each.migrations.service,
    )
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining([...Object.keys(services), ...used]))
  })

  test('the state and values are neither committed nor copied into an image', () => {
    for (const ignore of ['.gitignore', '.dockerignore'])
      expect(read(`${name}/${ignore}`).split('\n')).toEqual(expect.arrayContaining(['.stagecraft/', '.env*']))
    expect(existsSync(join(EXAMPLES, name, 'Dockerfile'))).toBe(true)
  })

  test('the README is short', () => {
    expect(read(`${name}/README.md`).split('\n').length).toBeLessThanOrEqual(21)
    expect(read('README.md')).toContain(`[${name}](${name})`)
  })
})

test('there are four applications, and no example has a secret', () => {
  expect(applications.toSorted()).toEqual(['django', 'node-postgres', 'static', 'worker'])
  const secrets = files.filter((file) => /^.*(PASSWORD|SECRET_KEY|TOKEN)=["']?[\w-]{4,}/m.test(read(file)))
  expect(secrets).toEqual([])
})

describe('each call of stagecraft', () => {
  const shell = (file: string): string => {
    if (file.endsWith('.md'))
      return fencesOf(read(file))
        .flatMap((fence) => fence.content)
        .join('\n')
    if (/(deploy|gitlab-ci)\.yml$/.test(file)) return scriptsIn(parse(read(file))).join('\n')
    return file === 'Makefile'
      ? read(file)
          .replaceAll('$$', '$')
          .replaceAll(/\$\((\w+)\)/g, '$1')
      : read(file)
  }
  const callers = files.filter((file) => /(\.md|Makefile|deploy\.yml|gitlab-ci\.yml|crontab|dump|backup)$/.test(file))
  const calls = callers.flatMap((file) => callsIn(shell(file)).map((argv) => ({ file, argv, line: argv.join(' ') })))

  test('is found', () => {
    expect(callers.filter((file) => !calls.some((call) => call.file === file))).toEqual([])
    expect(calls.length).toBeGreaterThan(15)
  })

  test.each(calls)('$file: stagecraft $line', ({ argv }) => checkCall(argv))
})

/** All texts that a CI file has a shell run. */
function scriptsIn(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return []
  return Object.entries(node).flatMap(([key, value]) =>
    ['run', 'script', 'before_script'].includes(key) ? [value].flat().map(String) : scriptsIn(value),
  )
}

describe('examples/github/deploy.yml', () => {
  const { on, permissions, jobs } = parse(read('github/deploy.yml'))

  test('plans in a pull request of this repository, never of a fork, and deploys on a push', () => {
    expect(Object.keys(on)).toEqual(['pull_request', 'push'])
    expect(permissions).toEqual({ contents: 'read' })
    expect(jobs.plan.if).toContain('head.repo.full_name == github.repository')
    expect(jobs.deploy).toMatchObject({ if: "github.event_name == 'push'", needs: 'plan', environment: 'prod' })
  })

  test('one deploy at a time, which nothing cancels', () => {
    expect(jobs.deploy.concurrency).toEqual({ group: 'deploy-prod', 'cancel-in-progress': false })
  })

  test('what was approved is what is deployed', () => {
    expect(jobs.plan.outputs.token).toBe('${{ steps.plan.outputs.token }}')
    const { env, run } = jobs.deploy.steps.at(-1)
    expect([env.TOKEN, run]).toEqual(['${{ needs.plan.outputs.token }}', expect.stringContaining('--plan "$TOKEN"')])
  })

  test('is what the JSON Schema of workflows says, and one with a wrong key is not', () => {
    const text = read('github/deploy.yml')
    expect(validateWorkflow(text).errors).toEqual([])
    expect(validateWorkflow(text.replace('needs: plan', 'need: plan')).errors).not.toEqual([])
  })
})

describe('examples/github/action/action.yml', () => {
  const text = read('github/action/action.yml')
  const { inputs, runs } = parse(text)

  test('is what the JSON Schema of actions says, and one with a wrong key is not', () => {
    expect(validateAction(text).errors).toEqual([])
    expect(validateAction(text.replace('shell: sh', 'shel: sh')).errors).not.toEqual([])
  })

  test('each input is used, in env: or if: alone, and explained; deploy.yml gives those that it must have', () => {
    const used = runs.steps.flatMap(({ env = {}, if: when = '' }) =>
      [...`${Object.values(env).join()} ${when}`.matchAll(/inputs\.([\w-]+)/g)].map(([, name]) => name),
    )
    expect([...new Set(used)].toSorted()).toEqual(Object.keys(inputs).toSorted())
    const page = readFileSync(join(EXAMPLES, '../spec/core/distribution.md'), 'utf8')
    for (const name of Object.keys(inputs)) expect(page).toContain(`| \`${name}\` |`)
    const { uses, with: given } = parse(read('github/deploy.yml')).jobs.plan.steps.find(
      (step: { with?: { key?: string } }) => step.with?.key !== undefined,
    )
    expect(uses).toMatch(/^[\w-]+\/[\w-]+\/examples\/github\/action@[0-9a-f]{40}$/)
    const required = Object.keys(inputs).filter((name) => inputs[name].required)
    expect(Object.keys(given)).toEqual(expect.arrayContaining(required))
    expect(Object.keys(inputs)).toEqual(expect.arrayContaining(Object.keys(given)))
  })
})

/** The keys of .gitlab-ci.yml that the example uses, as GitLab documents them. */
const strings = v.array(v.string())
const JOB = v.strictObject({
  extends: v.optional(v.string()),
  stage: v.optional(v.string()),
  image: v.optional(v.string()),
  services: v.optional(strings),
  variables: v.optional(v.record(v.string(), v.string())),
  before_script: v.optional(strings),
  script: v.optional(v.pipe(strings, v.minLength(1))),
  needs: v.optional(strings),
  environment: v.optional(v.string()),
  resource_group: v.optional(v.string()),
  interruptible: v.optional(v.boolean()),
  rules: v.optional(
    v.array(
      v.strictObject({ if: v.string(), when: v.optional(v.picklist(['on_success', 'manual', 'always', 'never'])) }),
    ),
  ),
  artifacts: v.optional(
    v.strictObject({ expose_as: v.string(), paths: strings, reports: v.strictObject({ dotenv: v.string() }) }),
  ),
})
const GITLAB = v.objectWithRest({ stages: strings }, JOB)

describe('examples/gitlab/.gitlab-ci.yml', () => {
  const { stages, plan, deploy, '.stagecraft': base } = parse(read('gitlab/.gitlab-ci.yml'))

  test('has the keys that GitLab knows, and each job a script of its own', () => {
    const file = v.parse(GITLAB, parse(read('gitlab/.gitlab-ci.yml')))
    const jobs = Object.entries(file).filter(([name]) => name !== 'stages' && !name.startsWith('.'))
    for (const [, job] of jobs) expect(Object.keys(job)).toContain('script')
    expect(v.safeParse(GITLAB, { ...file, plan: { scripts: ['true'] } }).success).toBe(false)
  })

  test('plans in a merge request; a person starts the deploy, of that plan', () => {
    expect(stages).toEqual([plan.stage, deploy.stage])
    expect(plan.rules[0].if).toContain('merge_request_event')
    expect(deploy).toMatchObject({ needs: ['plan'], environment: 'prod', rules: [{ when: 'manual' }] })
    expect(plan.script.at(-1)).toContain(`>${plan.artifacts.reports.dotenv}`)
    expect(deploy.script[0]).toContain('--plan "$PLAN_TOKEN"')
  })

  test('one deploy at a time, which nothing cancels', () => {
    expect([deploy.resource_group, deploy.interruptible]).toEqual(['prod', false])
  })

  test('jobs extend what prepares them', () => {
    expect([plan.extends, deploy.extends]).toEqual(['.stagecraft', '.stagecraft'])
    expect(base.before_script.join('\n')).toContain('known_hosts')
  })
})

describe.each(['github/deploy.yml', 'github/action/action.yml', 'gitlab/.gitlab-ci.yml'])(
  'the scripts of %s',
  (file) => {
    const scripts = scriptsIn(parse(read(file)))

    test('trust the host key that somebody has looked at, and print no secret', () => {
      const all = scripts.join('\n')
      expect(all).not.toMatch(/ssh-keyscan|StrictHostKeyChecking|set -x/)
      expect(read(file)).toContain('known_hosts')
      if (!file.endsWith('deploy.yml')) expect(all).toContain('--require-signature')
      expect((all.match(/^.*SSH_KEY.*$/gm) ?? []).filter((line) => !line.includes('ssh-add'))).toEqual([])
      expect(all).not.toContain('${{') // a value of GitHub in a script is code
    })

    test('are what a shell can read', () => {
      for (const script of scripts)
        expect(Bun.spawnSync(['bash', '-n'], { stdin: Buffer.from(script) }).exitCode).toBe(0)
    })
  },
)

describe('examples/cron/crontab', () => {
  const entries = read('cron/crontab')
    .split('\n')
    .filter((line) => /^[\d*]/.test(line))

  test.each(entries)('%s', (line) => {
    expect(line).toMatch(/^(?:[\d*/,-]+ ){5}cd \/srv\/\w+ && \S/)
    expect(line).not.toContain('%') // cron's line break
    expect(Bun.spawnSync(['sh', '-n'], { stdin: Buffer.from(line.replace(/^(\S+ ){5}/, '')) }).exitCode).toBe(0)
  })
})

describe.skipIf(Bun.which('make') === null)('examples/Makefile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'make-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const FAKE =
    '#!/bin/sh\necho "$@" >>calls\n[ ! -e broken ] || exit 5\n[ "$1" != plan ] || { echo a plan; echo t0ken; }\n'
  const make = (target: string, answer = '') => {
    const argv = ['make', '-sf', join(EXAMPLES, 'Makefile'), target, 'VERSION=v1']
    const env = { PATH: `${folder}/bin:${process.env['PATH']}` }
    const { exitCode, stdout, stderr } = Bun.spawnSync(argv, { cwd: folder, env, stdin: Buffer.from(answer) })
    return { code: exitCode, said: `${stdout}${stderr}` }
  }
  const calls = () => {
    const file = join(folder, 'calls')
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
  }
  const PLANNED = 'plan --env prod --version v1 --token'

  test('deploys nothing that is not approved', () => {
    mkdirSync(join(folder, 'bin'))
    writeFileSync(join(folder, 'bin/stagecraft'), FAKE, { mode: 0o755 })
    expect(make('approve')).toMatchObject({ code: 2, said: expect.stringContaining('Nothing is planned') })
    expect(make('plan')).toEqual({ code: 0, said: 'a plan\nt0ken\n' })
    expect(make('approve', 'n\n').code).toBe(2)
    expect(make('approve').code).toBe(2)
    expect(make('deploy')).toMatchObject({ code: 2, said: expect.stringContaining('Nothing is approved') })
    expect(calls()).toEqual([PLANNED])
  })

  test('deploys what was approved, once', () => {
    expect(make('approve', 'y\n').code).toBe(0)
    expect(make('deploy').code).toBe(0)
    expect(calls()).toEqual([PLANNED, 'deploy --env prod --version v1 --plan t0ken'])
    expect(make('deploy').code).toBe(2)
  })

  test('release is all three; a plan that fails is the end', () => {
    expect(make('release', 'y\n').code).toBe(0)
    expect(calls().slice(2)).toEqual(calls().slice(0, 2))
    writeFileSync(join(folder, 'broken'), '')
    expect(make('release', 'y\n').code).toBe(2)
    expect(calls().slice(4)).toEqual([PLANNED])
  })
})
