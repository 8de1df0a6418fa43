import { afterEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Event } from '../../lib/output/events.ts'
import type { ReleaseRun } from '../../lib/phases/host-run.ts'
import { type Phase, runPhases } from '../../lib/phases/loop.ts'
import { onEngine } from '../../lib/phases/on-engine.ts'
import { PHASES, type PhaseName } from '../../lib/plan/six-phases.ts'
import { readBundle } from '../../lib/record/bundle.ts'
import { openState } from '../../lib/record/releases.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject, story } from '../fakes/project.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

/** An application with one service that has been deployed. */
async function deployed(): Promise<FakeProject> {
  const project = new FakeProject('phases')
  projects.push(project)
  project.engine.addImage('web:1', 'web one')
  project.engine.addImage('web:2', 'web two')
  project.engine.model = composeModel('shop', { services: { web: { image: 'web:1' } } })
  expect((await project.deploy()).error).toBeUndefined()
  project.engine.model = composeModel('shop', { services: { web: { image: 'web:2' } } })
  return project
}

/** Replaces a file with a folder, so that it cannot be written. @returns a function that undoes it */
function block(file: string): () => void {
  fs.renameSync(file, `${file}.kept`)
  fs.mkdirSync(join(file, 'in the way'), { recursive: true })
  return () => {
    fs.rmSync(file, { recursive: true })
    fs.renameSync(`${file}.kept`, file)
  }
}

function newest(project: FakeProject) {
  const [release] = project.releases()
  if (release === undefined) throw new Error('there is no release')
  return { release, bundleFile: join(project.folder, '.stagecraft/releases', release.id, 'release.json') }
}

describe('onEngine()', () => {
  test('are the six of the state, in its order', () => {
    for (const engine of ['compose', 'swarm'] as const)
      expect(onEngine({ engine }).phases.map(({ name }) => name)).toEqual([...PHASES])
  })
})

describe('runPhases()', () => {
  /** Runs phases that do what `work` says, in a project where nothing has been deployed. */
  async function loop(
    work: Partial<Record<PhaseName, () => string>>,
    signalled: () => number | undefined = () => undefined,
  ) {
    const project = new FakeProject('loop')
    projects.push(project)
    const { clock } = project.engine
    const state = openState(project.stateFile, { clock: clock.now })
    const release = state.createRelease({ environment: 'local', version: 'v1', commit_sha: '' })
    const events: Event[] = []
    const seen: string[] = []
    const said = (when: string) => async (phase: PhaseName) => void hooks.push(`${when} ${phase}`)
    const hooks: string[] = []
    const phases = PHASES.map((name): Phase => {
      const run = async () => {
        seen.push(`${name}: ${Object.values(state.getRelease(release.id)?.phases ?? {}).join(' ')}`)
        await clock.sleep(1500)
        return work[name]?.() ?? `did ${name}`
      }
      const kind = { describe: () => name, run }
      return { name, deploy: kind, rollback: kind }
    })
    const run = {
      kind: 'deploy',
      tools: { clock, emit: (event: Event) => events.push(event), checkLock() {} },
      hostRuns: [{ tools: { docker: { mask: createMask([]) } } }],
      bundle: {
        now: { version: 'v1', phases: {} },
        save(changes: object) {
          this.now = { ...this.now, ...changes }
        },
      },
    }
    const error = await runPhases(phases, run as unknown as ReleaseRun, release, state, {
      signalled,
      undoBegun: async (_, cause) => cause,
      hooks: { before: said('before'), after: said('after'), ended: said('ended') },
    }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    ) // the loop uses no other part of a run
    return { error, events, seen, hooks, run, phases: state.getRelease(release.id)?.phases }
  }

  test('writes running, then completed, one phase after the other', async () => {
    const { error, events, seen, run, phases } = await loop({})
    expect(error).toBeUndefined()
    expect(phases).toEqual(Object.fromEntries(PHASES.map((name) => [name, 'completed'])) as typeof phases)
    expect(seen).toEqual([
      'build: running pending pending pending pending pending',
      'push: completed running pending pending pending pending',
      'migrate_pre: completed completed running pending pending pending',
      'rollout: completed completed completed running pending pending',
      'migrate_post: completed completed completed completed running pending',
      'finalize: completed completed completed completed completed running',
    ])
    expect(events.slice(0, 2)).toEqual([
      { type: 'phase', phase: 'build', status: 'running' },
      { type: 'phase', phase: 'build', status: 'completed', duration_ms: 1500, note: 'did build' },
    ])
    expect(run.bundle.now.phases).toMatchObject({ finalize: { duration_ms: 1500, note: 'did finalize' } })
  })

  test('writes the first failure, skips the rest, and rethrows it', async () => {
    const thrown = new StagecraftError('unreachable', 'Cannot push: no network', {
      hint: 'Plug it in.',
      detail: 'eth0 down',
    })
    const { error, events, run, phases } = await loop({
      push: () => {
        throw thrown
      },
    })
    expect(error).toMatchObject({ kind: 'unreachable', message: thrown.message, detail: 'eth0 down' })
    expect((error as StagecraftError).hint).toBe('Plug it in.\nNothing was deployed before, and nothing is running.')
    expect(Object.values(phases ?? {})).toEqual(['completed', 'failed', 'skipped', 'skipped', 'skipped', 'skipped'])
    expect(story(events)).toEqual([
      'build completed: did build',
      'push failed',
      'migrate_pre skipped',
      'rollout skipped',
      'migrate_post skipped',
      'finalize skipped',
    ])
    expect(run.bundle.now).toMatchObject({
      error: { message: thrown.message, detail: 'eth0 down' },
      phases: { push: { duration_ms: 1500 } },
    })
  })

  test('reports any other error as a bug', async () => {
    const { error } = await loop({
      build: () => {
        throw new TypeError('undefined is not a function')
      },
    })
    expect(error).toMatchObject({ kind: 'bug', message: 'Stagecraft has a bug: undefined is not a function' })
  })

  test('stops before a phase after a signal', async () => {
    let signal: number | undefined
    const work = {
      push: () => {
        signal = 2
        return 'done'
      },
    }
    const { error, seen, phases } = await loop(work, () => signal)
    expect(error).toMatchObject({ signal: 2, message: 'Cannot finish the release: ended by signal 2' })
    expect(seen).toHaveLength(2)
    expect(Object.values(phases ?? {})).toEqual(['completed', 'completed', 'failed', 'skipped', 'skipped', 'skipped'])
  })
})

describe('a deploy that cannot write', () => {
  test('its state stops at once, and the previous release is still live', async () => {
    const project = await deployed()
    const before = project.view()
    let undo = () => {}
    project.engine.intercept = (argv) => {
      if (argv[1] === 'tag') undo = block(project.stateFile)
      return argv.includes('up') ? { damage: 'none' } : undefined
    }
    const { error } = await project.deploy({ mend: () => undo() })
    expect(error?.kind).toBe('state')
    expect(project.view()).toEqual(before)
  })

  test('both errors are reported if there are two', async () => {
    const project = await deployed()
    let undo = () => {}
    project.engine.intercept = (argv) => {
      if (argv[1] !== 'tag') return undefined
      undo = block(newest(project).bundleFile)
      return { damage: 'none' }
    }
    const { error } = await project.deploy({ mend: () => undo() })
    expect(error?.kind).toBe('state')
    expect(error?.message).toStartWith('Cannot record that rollout failed: Cannot write release rel-')
    expect(error?.detail).toContain('Cannot tag the image of shop-web:sc-')
  })

  test('the commit point leaves the old release live, also for the next deploy', async () => {
    const project = await deployed()
    const before = project.view()
    const serving = project.releases()[0]
    let undo = () => {}
    let looks = 0
    project.engine.intercept = (argv) => {
      if (argv[1] === 'ps' && ++looks === 2) undo() // the first is for the commit, the second for the undo
      return undefined
    }
    const { error, release } = await project.deploy({
      onEvent: (event) => {
        if (event.type !== 'service' || event.step !== 'ready') return
        undo = block(newest(project).bundleFile)
        looks = 0
      },
    })
    expect(error).toMatchObject({ kind: 'state', hint: expect.stringContaining(`v1 (${serving?.id}) is still live.`) })
    expect(project.view()).toEqual(before)
    expect(release?.phases.rollout).toBe('failed')
    expect(readBundle(project.stateFile, release?.id ?? '')?.switched_at).toBeUndefined()
    expect((await project.plan()).serving?.id).toBe(serving?.id ?? '')
  })

  test('after the commit point says that the new release is live', async () => {
    const project = await deployed()
    let undo: (() => void) | undefined
    project.engine.intercept = () => {
      if (newest(project).release.phases.finalize === 'running') undo ??= block(newest(project).bundleFile)
      return undefined
    }
    const { error } = await project.deploy({ mend: () => undo?.() })
    expect(error).toMatchObject({ kind: 'state', hint: expect.stringContaining('v2 is live.') })
    expect(project.view()).toEqual(['web of web two running on shop_default'])
  })
})
