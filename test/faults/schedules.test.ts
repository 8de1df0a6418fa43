import { expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { type Damage, isQuestion } from '../fakes/engine.ts'
import type { FakeProject, Outcome } from '../fakes/project.ts'
import { withCron } from '../scenes/cron.ts'

// A run that dies at any command leaves the previous release's jobs, or what the next command makes those of the new one.

const scene = withCron()

const services = (step: string): Record<string, Service> => ({
  web: { image: 'busybox:1', environment: { STEP: step }, networks: { back: null } },
  backup: { image: 'busybox:1', environment: { STEP: step }, networks: { back: null } },
  [step]: { image: 'busybox:1' },
})

/** Version one is live; its definition, schedule and network differ from those of version two, which is ready to be deployed. */
async function prepared(): Promise<FakeProject> {
  const project = scene.project()
  for (const [step, schedule] of [
    ['one', '0 1 * * *'],
    ['two', '0 2 * * *'],
  ] as const) {
    const networks = { back: { name: 'shop_back', labels: { step } } }
    project.engine.model = composeModel('shop', { services: services(step), networks })
    const job = { schedule }
    project.write('stagecraft.yml', JSON.stringify({ environments: { local: { services: { backup: { job } } } } }))
    if (step === 'one') expect((await project.deploy()).error).toBeUndefined()
  }
  const [container = ''] = project.engine.ids('shop', 'backup')
  await project.engine.exec(['docker', 'start', container])
  await project.engine.exec(['docker', 'stop', container])
  return project
}

/** @returns what is not as it must be once a command has repaired what a run that died has left */
function problems(project: FakeProject, repaired: Outcome): string[] {
  const wrong = repaired.error ? [`${repaired.error.message} ${repaired.error.detail ?? ''}`] : []
  const isTwo = project.releases().length > 1 && repaired.bundle?.switched_at !== undefined
  const [step, schedule] = isTwo ? ['two', '0 2 * * *'] : ['one', '0 1 * * *']
  const own = project.engine.containersOf('shop').filter(({ service }) => service === 'backup')
  const entries = scene.cron.entries()
  const named = own.filter(({ id }) => entries.some((entry) => entry.id === id))
  if (entries.length !== 1 || entries[0]?.schedule !== schedule) wrong.push(`lines: ${JSON.stringify(entries)}`)
  if (named.length !== 1 || named[0]?.definition.environment?.['STEP'] !== step)
    wrong.push('another container is named')
  if (own.some(({ state }) => state === 'started')) wrong.push('a job was started')
  if (!isTwo && own.length > 1) wrong.push(`${own.length} containers`)
  for (const network of named[0]?.networks ?? [])
    if (project.engine.state.networks[network] === undefined) wrong.push(`${network} is gone`)
  return wrong
}

test('whatever command a run dies at, the jobs are those of the release that is live', async () => {
  const first = await prepared()
  const [tab, state] = [scene.cron.read() ?? '', structuredClone(first.engine.state)]
  first.keep()
  first.engine.calls = []
  expect((await first.deploy()).error).toBeUndefined()
  const calls = first.engine.calls.map((argv) => [...argv])
  const wrong = new Map<string, string>()
  for (const [index, argv] of calls.entries())
    for (const damage of isQuestion(argv) ? (['none'] as Damage[]) : (['half', 'all'] as Damage[])) {
      first.comeBack()
      first.engine.state = structuredClone(state)
      scene.cron.write(tab)
      await first.dieAt(index + 1, damage, () => first.deploy())
      const repaired = await first.recover()
      for (const what of problems(first, repaired))
        wrong.set(what, `${argv.slice(0, 4).join(' ')} (${index}, ${damage})`)
      if (index % 4 > 0) continue
      for (const what of problems(first, await first.deploy()))
        wrong.set(`next: ${what}`, `${argv.slice(0, 4).join(' ')} (${damage})`)
    }
  expect(wrong).toEqual(new Map())
})
