import { afterEach, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { composeModel } from '../fakes/compose-model.ts'
import { FakeProject } from '../fakes/project.ts'
import { dice } from '../support/dice.ts'

const projects: FakeProject[] = []
afterEach(() => {
  for (const project of projects.splice(0)) project.remove()
})

/** An application that somebody might have: services that come and go, with other images, variables and networks. */
function writeApplication(project: FakeProject, roll: (sides: number) => number): void {
  const port = { ports: [{ target: 80, published: '8080' }] }
  const portOwner = roll(3)
  const back = roll(2) === 0 ? { back: null, default: null } : { default: null }
  const services: Record<string, Service> = {
    web: {
      build: { context: project.folder },
      environment: { STEP: `${roll(3)}` },
      networks: back,
      ...(portOwner === 0 ? port : {}),
    },
    db: { image: `db:${roll(2)}`, configs: [{ source: 'settings', target: '/settings' }] },
  }
  if (roll(2) === 0) services['api'] = { image: 'api:1', networks: back, ...(portOwner === 1 ? port : {}) }
  if (roll(3) === 0)
    services['side'] = { image: 'api:1', network_mode: 'service:web', environment: { S: `${roll(2)}` } }
  if (roll(2) === 0) services['seed'] = { image: 'db:0', command: ['exit', '0', `${roll(2)}`] }
  if (roll(3) === 0) services['pool'] = { image: 'api:1', deploy: { replicas: 1 + roll(3) } }
  project.engine.model = composeModel('shop', {
    services,
    networks: { back: { labels: { kind: `${roll(2)}` } } },
    configs: { settings: { content: `settings ${roll(3)}` } },
  })
  project.engine.sources = { web: `web ${roll(3)}` }
  const jobs = services['seed'] ? ', services: {seed: {job: true}}' : ''
  project.write('stagecraft.yml', `environments: {local: {keep: 50${jobs}}}`)
}

/** What runs, with the files that are mounted: the same words for the same release. Jobs have ended, and do not count. */
function running(project: FakeProject): string[] {
  const configs = project.engine.containersOf('shop').flatMap(({ service, definition }) => {
    return (definition.configs ?? []).map(({ source }) => `${service} has ${source}`)
  })
  return [...project.view().filter((line) => !line.startsWith('seed ')), ...configs].toSorted()
}

// The last ones found something once that the first ones did not.
test.each([...Array.from({ length: 30 }, (_, seed) => seed), 80, 200, 202])(
  'any release can be restored over any other, what runs then is what ran then, and so it is after a failure (%d)',
  async (seed) => {
    const project = new FakeProject('rollback-any')
    projects.push(project)
    project.write('.dockerignore', '.stagecraft')
    for (const name of ['db:0', 'db:1', 'api:1']) project.engine.addImage(name, name)
    let failing: string | undefined
    project.engine.behave = ({ service }) => {
      if (service !== failing) return undefined
      failing = undefined // its first container only: what served can be put back
      return { exit: 1 }
    }
    const roll = dice(seed)
    const then = new Map<string, string[]>()
    for (let step = 0; step < 10; step++) {
      const before = running(project)
      const known = [...then.keys()]
      const id = known[roll(Math.max(1, known.length))]
      const back = step > 2 && id !== undefined && roll(3) > 0
      const wanted = step > 0 && roll(3) === 0 ? ['web', 'db', 'api', 'side', 'seed', 'pool'][roll(6)] : undefined
      if (back) project.engine.model = composeModel('shop', { services: {} })
      else writeApplication(project, roll)
      failing = wanted
      const { error, release } = back
        ? await project.rollback({ to: 'release', reference: id })
        : await project.deploy()
      if (error?.message.endsWith('it is live now')) continue
      const failed = wanted !== undefined && failing === undefined
      expect(error && `${error.kind}: ${error.message}`).toEqual(
        failed ? expect.stringMatching(/^failed: /) : undefined,
      )
      const now = running(project)
      expect(now).toEqual(failed ? before : back ? (then.get(id) ?? []) : now)
      if (!failed) then.set(release?.id ?? '', now)
    }
  },
)
