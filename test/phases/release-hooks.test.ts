import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HOOK_NAMES } from '../../lib/config/hooks.ts'
import { createReporter } from '../../lib/output/report.ts'
import { formatPlan } from '../../lib/plan/format.ts'
import { PHASES } from '../../lib/plan/six-phases.ts'
import { withoutHooks } from '../../lib/project/settings.ts'
import { planDeploy } from '../../lib/release/deploy.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { story } from '../fakes/project.ts'
import { newShop, told } from '../scenes/shop.ts'
import { lineProblem } from '../support/contract.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()

/** A shop with these hooks, in the words of stagecraft.yml. */
function shop(hooks: Readonly<Record<string, unknown>>): FakeProject {
  const project = temporary(newShop('hooks'))
  configure(project, hooks)
  return project
}

function configure(project: FakeProject, hooks: Readonly<Record<string, unknown>>): void {
  project.write('stagecraft.yml', JSON.stringify({ environments: { local: { hooks } } }))
}

/** Appends a line to the file `told` of the project. */
const append = (line: string) => `echo "${line}" >>told`
const linesOf = ({ folder }: FakeProject): string[] => {
  const file = join(folder, 'told')
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
}

/** The text as in the spec: with another command and another id. */
const asInSpec = (text: string, command: RegExp, instead: string) =>
  text
    .trimEnd()
    .replace(command, instead)
    .replace(/rel-[\d-]+/, 'rel-20261122-080225643')
    .replace('local', 'prod')

/** The events as a person reads them, without what builds print. */
function printed({ events }: Outcome): string {
  const lines: string[] = []
  const stderr = { write: (text: string) => void lines.push(text), failure: undefined }
  const report = createReporter({
    ...{ mode: 'plain', quiet: false, verbose: false, stdout: stderr, stderr, atOnce: false },
  })
  for (const event of events) report.emit(event)
  return lines.join('').replace(/\d+\.\ds\b/g, '1.2s')
}

test('there is one before and one after each phase', () => {
  const around = PHASES.flatMap((phase) => [`before_${phase}`, `after_${phase}`])
  expect(HOOK_NAMES).toEqual([...around, 'on_failure', 'on_interrupt'] as unknown as typeof HOOK_NAMES)
})

test('all of them run in order, in the project folder, and know the release', async () => {
  const facts =
    '$STAGECRAFT_HOOK $STAGECRAFT_PHASE $STAGECRAFT_STATUS $STAGECRAFT_COMMAND $STAGECRAFT_ENV $STAGECRAFT_VERSION'
  const project = shop(Object.fromEntries(HOOK_NAMES.map((name) => [name, append(facts)])))
  expect(told(await project.deploy())).toBe('no error')
  expect(linesOf(project)).toEqual(
    PHASES.flatMap((phase) => [
      `before_${phase} ${phase} running deploy local v1`,
      `after_${phase} ${phase} completed deploy local v1`,
    ]),
  )
  await project.deploy()
  configure(project, { before_build: append('$STAGECRAFT_COMMAND $STAGECRAFT_PREVIOUS $STAGECRAFT_VERSION') })
  expect(told(await project.rollback())).toBe('no error')
  expect(linesOf(project).at(-1)).toBe('rollback v2 v1')
})

test('a hook reads the release on stdin, as `releases show --json` prints it', async () => {
  const project = shop({ after_rollout: 'cat >document', before_push: ['true', 'it need not be read'] })
  const { release } = await project.deploy()
  const text = readFileSync(join(project.folder, 'document'), 'utf8')
  expect(text.endsWith('}\n')).toBe(true)
  expect(lineProblem(JSON.parse(text))).toBeUndefined()
  expect(JSON.parse(text)).toMatchObject({
    ...{ v: 1, type: 'release', hook: 'after_rollout', status: 'completed' },
    release: { id: release?.id, version: 'v1', phases: { rollout: 'completed', migrate_post: 'pending' } },
    details: { project: 'shop', images: { web: { id: expect.any(String) } } },
  })
})

test('the output of a hook is printed, and kept out of the history', async () => {
  const project = shop({ before_build: 'echo all tests are green' })
  const outcome = await project.deploy()
  const lines = printed(outcome).split('\n').slice(0, 5).join('\n')
  expectGolden('core/hooks.md', 'hooks', asInSpec(lines, /echo all tests are green/g, 'bin/check'))
  const history = readFileSync(join(project.folder, `.stagecraft/releases/${outcome.release?.id}/events.jsonl`), 'utf8')
  expect(history).toContain('"type":"hook"')
  expect(history).not.toContain('"line":"all tests are green"')
})

describe('a hook before a phase that fails', () => {
  test.each(PHASES.slice(0, 4))('stops the release before %s, and undoes what it did', async (phase) => {
    const project = shop({})
    await project.deploy()
    const before = project.view()
    const tags = { web: 'web two' }
    project.engine.sources = tags
    configure(project, { [`before_${phase}`]: 'echo "no space left on device"; exit 3', on_failure: append('failed') })
    const outcome = await project.deploy()
    expect(told(outcome)).toStartWith(`failed (exit 5): Cannot run the hook before_${phase}: echo`)
    expect(outcome.release?.phases[phase]).toBe('failed')
    expect(project.view().filter((line) => !line.includes('of web two'))).toEqual(before)
    expect(linesOf(project)).toEqual(['failed'])
    if (phase === 'rollout') {
      const text = formatError(outcome.error).join('\n')
      expectGolden('core/hooks.md', 'before-fails', asInSpec(text, /echo .*exit 3(?= ended)/, 'bin/backup'))
    }
    configure(project, {})
    expect(told(await project.deploy())).toBe('no error')
  })

  test('also removes containers that were created for migrations', async () => {
    const project = temporary(newShop('hooks', { db: { image: 'postgres:16' } }))
    const main = { migrations: { engine: 'command', service: 'web', command: 'migrate up' } }
    const environment = { databases: { main }, hooks: { before_rollout: 'false' } }
    project.write('stagecraft.yml', JSON.stringify({ environments: { local: environment } }))
    project.engine.behave = ({ definition }) => (definition['command'] === 'migrate up' ? { exit: 0 } : undefined)
    expect(told(await project.deploy())).toContain('Cannot run the hook before_rollout')
    expect(project.engine.state.containers).toEqual([])
  })

  test('after the switch the new release is live: exit 10', async () => {
    const project = shop({ before_finalize: 'false' })
    const outcome = await project.deploy()
    expect(told(outcome)).toStartWith('after-commit (exit 10): Cannot run the hook before_finalize: false ended with 1')
    expect(told(outcome)).toEndWith('v1 is live.')
  })

  test.each([
    ['is not there', ['bin/nothing'], /not found/],
    ['hangs', { command: 'sleep 60', timeout: '300ms' }, /did not end within 0\.3s, and was ended/],
  ])('because it %s', async (_, hook, message) => {
    const outcome = await shop({ before_build: hook }).deploy()
    expect(told(outcome)).toMatch(message)
    expect(outcome.release?.phases.build).toBe('failed')
  })
})

test('a hook after a phase that fails is a warning', async () => {
  const project = shop({ after_finalize: 'echo could not resolve host; false', after_build: 'exit 7' })
  const outcome = await project.deploy()
  expect(told(outcome)).toBe('no error')
  const last = printed(outcome).trimEnd().split('\n').slice(-2).join('\n')
  expectGolden('core/hooks.md', 'after-fails', asInSpec(last, /echo .*false(?= ended)/, 'bin/announce'))
  expect(story(outcome.events)).toContain('  warning: the hook after_build failed: exit 7 ended with 7')
})

test('a signal ends the running hook, then `on_interrupt` runs instead of `on_failure`', async () => {
  const project = shop({
    before_push: 'echo begun >begun; exec sleep 60',
    on_interrupt: append('$STAGECRAFT_PHASE $STAGECRAFT_STATUS'),
    on_failure: append('failed'),
  })
  const controller = new AbortController()
  const running = project.deploy({ signal: controller.signal })
  for (let tries = 0; !existsSync(join(project.folder, 'begun')) && tries < 600; tries++) await Bun.sleep(50)
  controller.abort(15)
  const outcome = await running
  expect(outcome.error).toMatchObject({ signal: 15, message: 'Cannot finish the release: ended by signal 15' })
  expect(linesOf(project)).toEqual(['push interrupted'])
})

test('a failure keeps its message and exit code, whatever `on_failure` does', async () => {
  const project = shop({ on_failure: 'exit 9' })
  project.engine.behave = ({ service }) => (service === 'web' ? { exit: 1 } : undefined)
  const outcome = await project.deploy()
  expect(told(outcome)).toStartWith('failed (exit 5): Cannot start web')
  expect(story(outcome.events).at(-1)).toBe('  warning: the hook on_failure failed: exit 9 ended with 9')
})

test('secrets are masked in its command, its output and its error', async () => {
  const project = shop({ before_build: 'echo correct-horse-battery; exit 1' })
  project.write('.env', 'PASSWORD=correct-horse-battery\n')
  const outcome = await project.deploy()
  expect(JSON.stringify([outcome.events, outcome.error?.message])).not.toContain('correct-horse')
  expect(JSON.stringify(outcome.bundle)).not.toContain('correct-horse')
})

test('the plan lists them, and without hooks there are none', async () => {
  const project = shop({ before_build: ['bin/check', '--all'], on_failure: 'bin/page' })
  const opened = await project.open()
  const version = { name: 'v1', commit: '' }
  const [planning] = await planDeploy(opened, version, project.world())
  const lines = planning ? formatPlan(planning.plan) : []
  expect(lines.slice(2, 4)).toEqual(['  before_build  bin/check --all', expect.stringMatching(/^build /)])
  expect(lines).toContain('  on_failure  bin/page')
  const [none] = await planDeploy(withoutHooks(opened), version, project.world())
  expect(none?.plan.hooks).toBeUndefined()
})

describe('a run that dies in a hook', () => {
  test.each(['before_push', 'after_finalize'])('%s: the next command names it, once', async (name) => {
    const project = shop({ [name]: 'bin/announce' })
    await project.dieAt(
      (argv) => argv[0] === '/bin/sh',
      'none',
      () => project.deploy(),
    )
    configure(project, {})
    const next = await project.recover()
    const warning = story(next.events).filter((line) => line.includes('hook'))
    if (name === 'after_finalize') {
      expectGolden('core/hooks.md', 'hook-died', asInSpec(printed(next), /^$/, ''))
      expect(warning).toHaveLength(1)
    } else
      expect(next.events).toMatchObject([
        { type: 'recovery', message: expect.stringContaining('Its hook before_push was running, and was ended') },
      ])
    expect((await project.recover()).events).toEqual([])
  })
})

test('errors in stagecraft.yml', async () => {
  const project = shop({ before_deploy: 'x', after_push: { timeout: '1m' }, on_failure: [] })
  const { detail } = await failureOf(project.open())
  expect(detail).toMatchInlineSnapshot(`
    "stagecraft.yml:1:36: unknown key "before_deploy" (known here: before_build, after_build, before_push, after_push, before_migrate_pre, after_migrate_pre, before_rollout, after_rollout, before_migrate_post, after_migrate_post, before_finalize, after_finalize, on_failure, on_interrupt)
    stagecraft.yml:1:69: must be a command (a text, or a list of words), or a mapping with \`command\` and \`timeout\`
    stagecraft.yml:1:99: must be a command (a text, or a list of words), or a mapping with \`command\` and \`timeout\`"
  `)
})
