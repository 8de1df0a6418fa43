import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { Container } from '../../lib/docker/inspect.ts'
import { hasLoose, makePlan } from '../../lib/plan/make.ts'
import { plannedImages, plannedModel } from '../../lib/plan/model.ts'
import { isNothingToDo } from '../../lib/plan/stages.ts'
import { container, imageOf, inputOf, planned, type Services, type Situation, web } from '../scenes/situation.ts'
import { expectGolden } from '../support/golden.ts'

const change = (changes: Partial<Container>) => (made: Container[]) => made.map((found) => ({ ...found, ...changes }))

describe('makePlan() about changes made by hand', () => {
  test.each<[string, Partial<Container>, string]>([
    ['another definition', { configHash: 'other' }, 'web recreate: it was changed by hand'],
    ['another image', { image: 'sha256:other' }, 'web recreate: its image was changed by hand'],
    ['stopped', { state: 'exited', exitCode: 137 }, 'web recreate: it is not running (exited, exit code 137)'],
    ['paused', { state: 'paused' }, 'web recreate: it is not running (paused, exit code 0)'],
    ['crashing', { state: 'restarting', exitCode: 1 }, 'web recreate: it is not running (restarting, exit code 1)'],
  ])('recreates a container that is found with %s', (_, found, expected) => {
    expect(planned({ before: web(), now: web(), containers: change(found) })).toEqual([expected])
  })

  test('keeps a number of containers that was set by hand, unless the file changes its own', () => {
    const three = () => [1, 2, 3].map((number) => container('web', number))
    expect(planned({ before: web(), now: web(), containers: three })).toEqual(['web unchanged: nothing changed'])
    expect(planned({ before: web(), now: web({ scale: 2 }), containers: three })).toEqual([
      'web scale: 3 → 2 containers',
    ])
    const [plan] = makePlan(inputOf({ before: web(), now: web(), images: { web: 'new' }, containers: three })).services
    expect([plan?.action, plan?.replicas]).toEqual(['recreate', 3])
  })

  test('does not count what a failed release has left next to the live one', () => {
    const configFiles = '/shop/.stagecraft/releases/rel-29991231-000000000/compose.json'
    const left = () => [container('web', 1), { ...container('web', 2), configHash: 'other', configFiles }]
    const [plan] = makePlan(inputOf({ before: web(), now: web(), containers: left })).services
    expect([plan?.action, plan?.replicas]).toEqual(['recreate', 1])
  })

  test.each<[string, Service, Service, string]>([
    ['more', { scale: 1 }, { scale: 3 }, 'web scale: 1 → 3 containers'],
    ['fewer', { deploy: { replicas: 3 } }, { deploy: { replicas: 2 } }, 'web scale: 3 → 2 containers'],
    ['none', { scale: 2 }, { scale: 0 }, 'web scale: 2 → 0 containers'],
    ['none, as before', { scale: 0 }, { scale: 0 }, 'web unchanged: it has 0 replicas'],
    ['some after none', { scale: 0 }, { scale: 2 }, 'web create: it does not exist any more'],
  ])('scales when the file wants %s', (_, before, now, expected) => {
    expect(planned({ before: web(before), now: web(now) })).toEqual([expected])
  })

  test('recreates an unhealthy container only if it holds no data', () => {
    const sick = { before: web(), now: web(), containers: change({ health: 'unhealthy' }) }
    expect(planned(sick)).toEqual(['web recreate: it is unhealthy'])
    const leftAlone = ['web unchanged: unhealthy, but it holds data: check it yourself']
    const volumes = [{ type: 'volume', source: 'data', target: '/data' }]
    expect(planned({ ...sick, before: web({ volumes }), now: web({ volumes }) })).toEqual(leftAlone)
    const input = inputOf(sick)
    const withData = { ...input, images: { web: { ...imageOf('web', 'old'), volumes: true } } }
    expect(makePlan(withData).services[0]?.why).toBe('unhealthy, but it holds data: check it yourself')
  })

  test('reports containers that it does not know, and leaves them alone', () => {
    const input = inputOf({ before: web(), now: web(), containers: (made) => [...made, container('debug')] })
    const plan = makePlan(input)
    expect(plan.notes).toEqual([
      'container shop-debug-1 belongs to this Compose project but not to this release: it is left alone',
    ])
    expect(isNothingToDo(plan)).toBe(true)
  })

  test('notes the files of the old image, if an anonymous volume hides those of the new one', () => {
    const volume = (path: string, name = 'a'.repeat(64)) => ({ name, path })
    const notes = (now: string | undefined, anonymous = [volume('/data')], more: Service = {}) => {
      const containers = () => [{ ...container('web'), anonymous }]
      const input = inputOf({ before: web(), now: web(more), images: { web: 'old' }, containers })
      return makePlan({ ...input, images: now === undefined ? {} : { web: imageOf('web', now) } }).notes
    }
    const said = notes('new').map((note) => `note: ${note}`)
    expectGolden('commands/plan.md', 'volumes', said.join('\n'))
    expect(notes(undefined)).toEqual(notes('new')) // it is not known before it is built
    expect(notes('old')).toEqual([])
    expect(notes('old', undefined, { environment: { A: '1' } })).toEqual([]) // the same files
    expect(notes('new', [])).toEqual([])
    expect(notes('new', [volume('/own'), volume('/data')])[0]).toContain("the new image's files in /data, /own if")
  })

  test('says which paths are not part of the release', () => {
    const data = [{ path: './uploads', why: 'a service writes to it' }]
    expect(makePlan(inputOf({ now: web(), data })).notes).toEqual([
      './uploads is mounted in place and is not part of the release: a service writes to it',
    ])
  })
})

describe('makePlan() about a held service', () => {
  const settings = { db: { rollout: { strategy: 'hold' as const } } }

  const db = (more: Service = {}): Services => ({ db: { image: 'db', ...more } })

  test.each<[string, Situation, string]>([
    ['creates it', { now: db() }, 'db create: new'],
    ['leaves it alone', { before: db(), now: db() }, 'db hold: held: a deploy does not touch it'],
    [
      'says what is waiting',
      { before: db(), now: db({ environment: { A: '1' } }), images: { db: 'new' } },
      'db hold: held; waiting: image changed; environment changed (A)',
    ],
    [
      'leaves it alone though it follows another',
      { before: { ...db(), web: { image: 'web' } }, now: { ...db(), web: { image: 'web' } }, images: { web: 'new' } },
      'db hold: held: a deploy does not touch it',
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned({ ...situation, settings })[0]).toBe(expected)
  })

  test('is loose if changes wait for it, or if it does not run', () => {
    const isLoose = (situation: Situation) => {
      const input = inputOf({ ...situation, settings })
      return hasLoose(makePlan(input), input)
    }
    const as = { before: db(), now: db() }
    expect(isLoose(as)).toBe(false)
    expect(isLoose({ ...as, images: { db: 'new' } })).toBe(true)
    expect(isLoose({ ...as, containers: change({ state: 'exited' }) })).toBe(true)
  })

  test('keeps its definition, image and files in the release', () => {
    const config = (hash: string) => [{ source: `app-${hash}`, target: '/app' }]
    const files = (hash: string) => ({
      configs: { [`app-${hash}`]: { name: `app-${hash}`, file: `/content/${hash}` } },
    })
    const input = inputOf({
      before: { ...db({ configs: config('one') }), web: { image: 'web' } },
      now: { ...db({ configs: config('two') }), web: { image: 'web', environment: { A: '1' } } },
      beforeParts: files('one'),
      nowParts: files('two'),
      images: { db: 'new', web: 'new' },
      settings,
    })
    const plan = makePlan(input)
    const model = plannedModel(input, plan)
    expect(model.services['db']).toEqual(input.serving?.model.services['db'] ?? {})
    expect(model.services['web']?.image).toBe('shop-web:sc-new')
    expect(Object.keys(model.configs ?? {}).toSorted()).toEqual(['app-one', 'app-two'])
    const ids = Object.entries(plannedImages(input, plan)).map(([service, { id }]) => [service, id])
    expect(Object.fromEntries(ids)).toEqual({ db: 'sha256:old', web: 'sha256:new' })
  })
})

describe('makePlan() if nothing has been released but containers run', () => {
  const running = () => [container('web')]

  const adoptable = { web: ['hash of web', 'hash with depends_on'] }

  test.each<[string, Situation, string]>([
    [
      'adopts what runs as the file says',
      { now: web(), containers: running, adoptable },
      'web unchanged: adopted as it runs',
    ],
    [
      'recreates what has another image',
      { now: web(), containers: running, adoptable, images: { web: 'new' } },
      'web recreate: image changed',
    ],
    [
      'recreates what runs otherwise, and warns',
      { now: web(), containers: running, adoptable: { web: ['other'] } },
      'web recreate: it runs, but not with the definition in the Compose file; its old container is kept until the new release is live',
    ],
    [
      'waits for the image before it decides',
      { now: web(), containers: running, adoptable, images: { web: undefined } },
      'web recreate?: if the built or pulled image differs',
    ],
    [
      'recreates what runs alongside a release that does not know it',
      {
        before: { api: { image: 'api' } },
        now: { ...web(), api: { image: 'api' } },
        containers: (made) => [...made, ...running()],
      },
      'web recreate: it runs, but no release has it; its old container is kept until the new release is live',
    ],
  ])('%s', (_, situation, expected) => {
    expect(planned(situation)).toContain(expected)
  })
})
