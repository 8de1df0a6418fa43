import { afterEach, describe, expect, test } from 'bun:test'
import { cpSync, existsSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { movedLines } from '../../lib/cli/commands/state-move.ts'
import { eventLines } from '../../lib/output/lines.ts'
import { createMask } from '../../lib/secrets/mask.ts'
import { FakeFleet } from '../fakes/fleet.ts'
import { FakeProject, type Outcome } from '../fakes/project.ts'
import { change, newShop, told } from '../scenes/shop.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const made: { remove(): void }[] = []
afterEach(() => {
  for (const one of made.splice(0)) one.remove()
})

/** Two checkouts of one application, and the engine that both would deploy to. The first has deployed. */
async function checkouts(title: string) {
  const one = newShop(`${title}-one`)
  const two = new FakeProject(`${title}-two`, undefined, one.engine)
  two.write('.dockerignore', '.stagecraft\n')
  made.push(one, two)
  expect(told(await one.deploy({ version: 'v1' }))).toBe('no error')
  return { one, two }
}

/** Folders and this machine have another name each time. */
function asInSpec(text: string, { one, two }: { one: FakeProject; two: FakeProject }): string {
  return text.replaceAll(one.folder, '/srv/one').replaceAll(two.folder, '/srv/two').replaceAll(hostname(), 'web-1')
}

const textOf = ({ error }: Pick<Outcome, 'error'>) => formatError(error).join('\n')
const versions = (project: FakeProject) => project.releases().map(({ version }) => version)

describe('another checkout of the same project', () => {
  test('is refused, and changes nothing', async () => {
    const both = await checkouts('other')
    const before = both.one.view()
    const outcome = await both.two.deploy({ version: 'v2' })
    expectGolden('core/ownership.md', 'refused', asInSpec(textOf(outcome), both))
    expect(both.two.releases()).toEqual([])
    expect(both.one.view()).toEqual(before)
    expect(told(await both.one.deploy({ version: 'v3' }))).toBe('no error')
  })

  test('takes over what the first has left, once that is gone', async () => {
    const both = await checkouts('gone')
    rmSync(join(both.one.folder, '.stagecraft'), { recursive: true })
    const { error, events } = await both.two.deploy({ version: 'v2' })
    expect(told({ error })).toBe('no error')
    const [warning] = events.filter((event) => event.type === 'warning')
    const lines = warning ? eventLines(warning, { mask: createMask([]), nameWidth: 0 }) : []
    expectGolden('core/ownership.md', 'taken-over', asInSpec(lines.join('\n'), both))
    expect(told(await both.two.deploy({ version: 'v3' }))).toBe('no error')
  })

  test('where it is nobody knows whether the first is gone, it is not taken to be', async () => {
    const both = await checkouts('far')
    rmSync(join(both.one.folder, '.stagecraft'), { recursive: true })
    const labels = both.one.engine.state.owners['stagecraft-shop'] ?? {}
    labels['stagecraft.host'] = 'another-machine'
    expect((await both.two.deploy()).error?.kind).toBe('state')
    const refused = await both.two.moveState()
    expect(told(refused)).toContain('continue without them: --lost')
    expect(told(await both.two.moveState(true))).toBe('no error')
    expect(told(await both.two.deploy())).toBe('no error')
  })
})

describe('what is written down', () => {
  const owners = ({ one }: { one: FakeProject }) => one.engine.state.owners
  const whole = (one: FakeProject, environment = 'local') => ({
    'stagecraft-shop': {
      'stagecraft.environment': environment,
      'stagecraft.host': hostname(),
      'stagecraft.root': join(one.folder, '.stagecraft'),
    },
  })

  test('may be pruned: what runs says of which release it is, and the next deploy writes it down again', async () => {
    const both = await checkouts('pruned')
    const { one, two } = both
    one.engine.state.owners = {}
    expectGolden('core/ownership.md', 'refused', asInSpec(textOf(await two.deploy({ version: 'v2' })), both))
    expect(owners(both)).toEqual({})
    expect(told(await one.deploy({ version: 'v2' }))).toBe('no error')
    expect(owners(both)).toEqual(whole(one))
    one.engine.state.owners = {}
    expect(told(await two.moveState())).toBe('no error')
    expect([owners(both), versions(two)]).toEqual([whole(two), ['v2', 'v1']])
  })

  test("where nobody knows the release that runs, it is somebody else's, until somebody says that it is gone", async () => {
    const { one, two } = await checkouts('unknown')
    one.engine.state.owners = {}
    rmSync(join(one.folder, '.stagecraft'), { recursive: true })
    const { error } = await two.deploy()
    expectGolden('core/ownership.md', 'unknown', textOf({ error }))
    expect(told(await two.moveState(true))).toBe('no error')
    expect(told(await two.deploy())).toBe('no error')
  })

  test.each([
    ['by a version that did not say the environment', { 'stagecraft.environment': undefined }],
    ['without the host', { 'stagecraft.host': undefined }],
    ['without anything', { 'stagecraft.root': undefined, 'stagecraft.host': undefined }],
  ])('in part, %s, is written down whole', async (_, changes) => {
    const both = await checkouts('part')
    const { one } = both
    const labels = { ...whole(one)['stagecraft-shop'], ...changes }
    const kept = Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== undefined)
    one.engine.state.owners = { 'stagecraft-shop': Object.fromEntries(kept) }
    expect(told(await one.deploy())).toBe('no error')
    expect(owners(both)).toEqual(whole(one))
  })

  test('is of one environment: another with the same Compose project is refused, whatever is written down', async () => {
    const both = await checkouts('environments')
    const { one } = both
    const other = () => one.write('stagecraft.yml', 'environments: {staging: {compose_project: shop}}\n')
    other()
    const before = one.view()
    expectGolden('core/ownership.md', 'shared', asInSpec(textOf(await one.deploy()), both))
    for (const changes of [{}, undefined]) {
      const { 'stagecraft.environment': _, ...old } = whole(one)['stagecraft-shop']
      one.engine.state.owners = changes === undefined ? {} : { 'stagecraft-shop': old }
      expect((await one.deploy()).error?.kind).toBe('config')
      expect((await one.moveState()).error?.kind).toBe('config')
    }
    expect([one.view(), versions(one)]).toEqual([before, ['v1']])
    rmSync(join(one.folder, 'stagecraft.yml'))
    expect(told(await one.deploy())).toBe('no error')
  })
})

describe('stagecraft state move', () => {
  test('brings the history here, and the former folder is refused from then on', async () => {
    const both = await checkouts('move')
    const { one, two } = both
    change(one, { cache: { image: 'redis:7', environment: { SIZE: '2' } } })
    expect(told(await one.deploy({ version: 'v2' }))).toBe('no error')
    const { moved, error } = await two.moveState()
    expect(told({ error })).toBe('no error')
    expectGolden('commands/state.md', 'moved', asInSpec(movedLines('shop', moved).join('\n'), both))
    expect(versions(two)).toEqual(['v2', 'v1'])
    expect(existsSync(one.stateFile)).toBe(false)
    expect((await one.deploy({ version: 'v3' })).error?.kind).toBe('state')
    expect(told(await two.rollback())).toBe('no error')
    expectGolden('commands/state.md', 'nothing', movedLines('shop', (await two.moveState()).moved).join('\n'))
  })

  test('that was interrupted is done again', async () => {
    const { one, two } = await checkouts('again')
    cpSync(join(one.folder, '.stagecraft'), join(two.folder, '.stagecraft'), { recursive: true })
    expect(told(await two.moveState())).toBe('no error')
    expect([versions(two), existsSync(one.stateFile)]).toEqual([['v1'], false])
  })

  test('is refused while a run is under way there', async () => {
    const { one, two } = await checkouts('busy')
    let moving: Promise<Outcome> | undefined
    const onEvent = () => {
      moving ??= two.moveState()
    }
    expect(told(await one.deploy({ onEvent }))).toBe('no error')
    expect((await moving)?.error?.kind).toBe('locked')
    expect([versions(one).length, versions(two)]).toEqual([2, []])
  })

  test('does not make one history of two', async () => {
    const { one, two } = await checkouts('two')
    const folder = join(one.folder, '.stagecraft')
    renameSync(folder, `${folder}.aside`) // as if a disk had not been mounted
    expect(told(await two.deploy({ version: 'v2' }))).toBe('no error')
    renameSync(`${folder}.aside`, folder)
    const { error } = await one.moveState()
    expect(error?.message).toContain('there are others here as well')
    expect([versions(one), versions(two)]).toEqual([['v1'], ['v2', 'adopted']])
  })
})

describe('what cannot be looked at', () => {
  test('is not taken to be gone', async () => {
    const { one, two } = await checkouts('closed')
    const folder = join(one.folder, '.stagecraft')
    rmSync(folder, { recursive: true })
    symlinkSync('.stagecraft', folder) // as good as one that this user may not read
    expect((await two.deploy()).error?.kind).toBe('state')
  })
})

describe('another first host', () => {
  const services = { web: { image: 'web:1' } }
  const settings = { web: '{rollout: {min_ready: 200ms}}' }

  test('is the same one where only its name is another', async () => {
    const fleet = new FakeFleet('renamed')
    made.push(fleet)
    const { project } = fleet
    fleet.write(services, settings, ['a'])
    expect(told(await project.deploy({ version: 'v1' }))).toBe('no error')
    const ids = fleet.engines.a.ids('shop-prod', 'web')
    fleet.alias = { web: 'a' }
    fleet.write(services, settings, ['web'])
    expect(told(await project.deploy({ version: 'v2' }))).toBe('no error')
    expect(fleet.engines.a.ids('shop-prod', 'web')).toEqual(ids)
  })

  test('has no history of its own: it is refused, until the history is brought there', async () => {
    const fleet = new FakeFleet('first')
    made.push(fleet)
    const { project } = fleet
    fleet.write(services, settings, ['a', 'b'])
    expect(told(await project.deploy({ version: 'v1' }))).toBe('no error')
    fleet.write({ web: { image: 'web:2' } }, settings, ['b', 'a'])
    expect(told(await project.deploy({ version: 'v2' }))).toContain('state (exit 9): Cannot continue with shop-prod')
    const { moved, error } = await project.moveState()
    expect(told({ error })).toBe('no error')
    expect(moved).toMatchObject({ from: { host: 'a' }, to: { host: 'b' }, releases: 1 })
    const before = ['a', 'b'].map((name) => fleet.engines[name as 'a' | 'b'].ids('shop-prod', 'web'))
    fleet.write(services, settings, ['b', 'a'])
    expect(told(await project.deploy({ version: 'v3' }))).toBe('no error')
    // Whose part is whose is known by name: nothing has changed for either.
    expect(['a', 'b'].map((name) => fleet.engines[name as 'a' | 'b'].ids('shop-prod', 'web'))).toEqual(before)
  })
})
