import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HOOK_NAMES, type HookName } from '../../lib/config/hooks.ts'
import { PHASES, type PhaseName } from '../../lib/plan/six-phases.ts'
import { type FakeProject, type Outcome, story } from '../fakes/project.ts'
import { newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

// Each hook, with each way it can fail: what that does to the release, and what is left of the hook.
const temporary = temporaries()
const SECRET = 'correct-horse-battery'
const WAYS: Readonly<Record<string, { hook: unknown; says: string }>> = {
  fails: { hook: 'echo $$ >pid; exit 3', says: 'ended with 3' },
  'is not there': { hook: ['bin/no-such-program'], says: 'ended with 127' },
  hangs: { hook: { command: 'echo $$ >pid; exec sleep 60', timeout: '200ms' }, says: 'did not end within 0.2s' },
  'is killed': { hook: 'echo $$ >pid; kill -9 $$', says: 'ended with 137' },
  'prints a secret': { hook: `echo $$ >pid; echo ${SECRET}; echo ${SECRET} >&2; exit 1`, says: 'ended with 1' },
}

/** A shop whose first version is live, and whose next one runs this hook. */
async function live(name: HookName, hook: unknown): Promise<FakeProject> {
  const project = temporary(newShop('points'))
  project.write('.env', `PASSWORD=${SECRET}\n`)
  expect(told(await project.deploy())).toBe('no error')
  project.engine.sources = { web: 'web two' }
  const hooks = { ...(name === 'on_failure' ? { before_rollout: 'false' } : {}), [name]: hook }
  project.write('stagecraft.yml', JSON.stringify({ environments: { local: { hooks } } }))
  return project
}

/** Deploys, and interrupts the release for `on_interrupt`. */
async function deployed(project: FakeProject, name: HookName): Promise<Outcome> {
  const controller = new AbortController()
  const onEvent = ({ type }: { type: string }) => {
    if (name === 'on_interrupt' && type === 'phase') controller.abort(15)
  }
  return project.deploy({ signal: controller.signal, onEvent })
}

const phaseOf = (name: HookName) => name.replace(/^(before|after)_/, '') as PhaseName
const isAfterSwitch = (name: HookName) => PHASES.indexOf(phaseOf(name)) > PHASES.indexOf('rollout')
const liveIn = (project: FakeProject) =>
  project.releases().find(({ phases }) => phases.rollout === 'completed')?.version

/** How the release ends with such a hook. */
function expectEnding(name: HookName, says: string, project: FakeProject, outcome: Outcome): void {
  const ending = told(outcome)
  const warnings = story(outcome.events).filter((line) => line.includes(`warning: the hook ${name} failed: `))
  if (name.startsWith('before_')) {
    const exit = isAfterSwitch(name) ? 'after-commit (exit 10)' : 'failed (exit 5)'
    expect(ending).toStartWith(`${exit}: Cannot run the hook ${name}: `)
    expect(ending).toContain(says)
    expect(outcome.release?.phases[phaseOf(name)]).toBe('failed')
    expect(warnings).toEqual([])
  } else {
    expect(warnings).toEqual([expect.stringContaining(says)])
    if (name === 'on_failure') expect(ending).toStartWith('failed (exit 5): Cannot run the hook before_rollout: false')
    else if (name === 'on_interrupt') expect(outcome.error?.signal).toBe(15)
    else
      expect([ending, Object.values(outcome.release?.phases ?? {})]).toEqual([
        'no error',
        PHASES.map(() => 'completed'),
      ])
  }
  const isOld = name.startsWith('on_') || (name.startsWith('before_') && !isAfterSwitch(name))
  expect(liveIn(project)).toBe(isOld ? 'v1' : 'v2')
}

/** The process of the hook, if it has written its id, has ended; its parent may not have reaped it yet. */
function expectGone({ folder }: FakeProject): void {
  const [file, state] = [join(folder, 'pid'), (pid: string) => `/proc/${pid}/stat`]
  const pid = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
  if (pid !== '' && existsSync(state(pid))) expect(readFileSync(state(pid), 'utf8')).toMatch(/\) Z /)
}

describe.each([...HOOK_NAMES])('%s', (name) => {
  test.each(Object.entries(WAYS))('%s', async (_, { hook, says }) => {
    const project = await live(name, hook)
    const before = project.view()
    const outcome = await deployed(project, name)
    expectEnding(name, says, project, outcome)
    if (liveIn(project) === 'v1') expect(project.view().filter((line) => !line.includes('of web two'))).toEqual(before)
    expectGone(project)
    const history = readFileSync(
      join(project.folder, `.stagecraft/releases/${outcome.release?.id}/events.jsonl`),
      'utf8',
    )
    expect(JSON.stringify([outcome.events, outcome.error, outcome.bundle?.hook]) + history).not.toContain(SECRET)
    // It does not block the next deploy.
    project.write('stagecraft.yml', 'environments: {local: {}}\n')
    expect(told(await project.deploy())).toBe('no error')
  })
})

test('a hook that ignores TERM is killed, with all that it has started', async () => {
  const command = `trap '' TERM; sleep 60 & echo $! >pid; echo started; wait`
  const project = await live('after_build', { command, timeout: '200ms' })
  const began = performance.now()
  const outcome = await project.deploy()
  expectEnding('after_build', 'did not end within 0.2s', project, outcome)
  expect(performance.now() - began).toBeLessThan(45_000)
  expectGone(project)
})
