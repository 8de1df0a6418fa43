import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { PHASES, type PhaseName } from '../../lib/plan/six-phases.ts'
import { exitCodeOf } from '../../lib/util/errors.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { phasesOf } from '../scenes/deploys.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { temporaries } from '../support/temporary.ts'

const temporary = temporaries()
const shop = (services?: Record<string, Service>, without?: readonly string[]) =>
  temporary(newShop('deploy', services, without))

describe('a signal', () => {
  /** Deploys a change of nearly everything, and sends a signal when a command is about to be run. */
  async function signalAt(project: FakeProject, when: (line: string, project: FakeProject) => boolean) {
    const controller = new AbortController()
    project.engine.intercept = (argv) => {
      if (!controller.signal.aborted && when(argv.join(' '), project)) controller.abort(15)
      return undefined
    }
    const outcome = await project.deploy({ signal: controller.signal })
    expect(controller.signal.aborted).toBe(true)
    return outcome
  }

  const inPhase = (phase: PhaseName) => (_: string, project: FakeProject) =>
    project.releases()[0]?.phases[phase] === 'running'

  test.each<[string, string, (line: string, project: FakeProject) => boolean]>([
    ['build', 'build', (line) => line.includes(' build -- web')],
    ['push', 'push', (line) => line.startsWith('docker pull')],
    ['migrate_pre', 'migrate_pre', () => false],
    ['rollout, before anything is changed', 'rollout', inPhase('rollout')],
    ['rollout, when Compose creates', 'rollout', (line) => line.includes(' up ') && line.endsWith(' api')],
    ['rollout, when Compose replaces', 'rollout', (line) => line.includes(' up ') && line.endsWith(' web')],
    [
      'rollout, while containers start',
      'rollout',
      (line) => line.startsWith('docker container inspect') && line.split(' ').length === 4,
    ],
  ])('in %s undoes what the phase did', async (_, phase, when) => {
    const project = shop()
    await project.deploy()
    const before = project.view()
    change(project, { api: { image: 'nginx:1' } })
    project.engine.registry['nginx:1'] = 'nginx'
    project.engine.sources = { web: 'web two' }
    const outcome = phase === 'migrate_pre' ? await signalBetween(project) : await signalAt(project, when)
    const { error, release } = outcome
    expect([error?.message, exitCodeOf(error)]).toEqual(['Cannot finish the release: ended by signal 15', 143])
    expect(error?.hint).toMatch(/^v1 \(rel-[0-9-]+\) is still live\.$/)
    expect(project.view()).toEqual(before)
    const at = PHASES.indexOf(phase as PhaseName)
    expect(PHASES.map((name) => release?.phases[name])).toEqual(
      PHASES.map((_, index) => (index < at ? 'completed' : index === at ? 'failed' : 'skipped')),
    )
    project.engine.intercept = () => undefined
    expect(told(await project.deploy())).toBe('no error')
  })

  /** No docker command runs in migrate_pre: the signal comes as push ends. */
  async function signalBetween(project: FakeProject): Promise<Outcome> {
    const controller = new AbortController()
    return project.deploy({
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === 'push' && event.status === 'completed') controller.abort(15)
      },
    })
  }

  test.each(['migrate_post', 'finalize'] as const)('in %s does not undo the live release', async (phase) => {
    const project = shop()
    await project.deploy()
    project.engine.sources = { web: 'web two' }
    const controller = new AbortController()
    const outcome = await project.deploy({
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === phase && event.status === 'running') controller.abort(2)
      },
    })
    expect(told(outcome)).toBe('no error')
    expect(project.view()).toContain('web of web two GREETING=hello running on shop_default')
    expect(phasesOf(outcome)).toBe(PHASES.map((name) => `${name} completed`).join(', '))
  })

  test('ends a command that hangs', async () => {
    const project = shop()
    await project.deploy()
    const before = project.view()
    project.engine.sources = { web: 'web two' }
    const controller = new AbortController()
    let ups = 0
    project.engine.intercept = (argv) => {
      if (!argv.includes('up') || ++ups > 1) return undefined
      queueMicrotask(() => controller.abort(1))
      return 'hang'
    }
    const outcome = await project.deploy({ signal: controller.signal })
    expect(exitCodeOf(outcome.error)).toBe(129)
    expect(project.view()).toEqual(before)
  })
})
