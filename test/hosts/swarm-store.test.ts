import { describe, expect, test } from 'bun:test'
import { look, persist, refresh } from '../../lib/hosts/swarm/store.ts'
import { openState } from '../../lib/record/releases.ts'
import { FakeConfigs, type Fate } from '../fakes/configs.ts'
import { inRelease, laptops } from '../scenes/swarm-store.ts'
import { failureOf } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const scene = laptops()

/** A Swarm that holds one release, and who wrote it. */
async function begun() {
  const configs = new FakeConfigs()
  const one = await scene.open(configs.machine())
  one.write('releases.json', 'first')
  one.write(inRelease(1), 'model one')
  await persist(one.store)
  return { configs, one }
}

describe('the releases in a Swarm', () => {
  test('are read by another machine as they were written, with the placeholders of their content', async () => {
    const { configs, one } = await begun()
    const hash = 'a'.repeat(32)
    one.write(inRelease(2), JSON.stringify({ file: `/stagecraft/content/${hash}` }))
    one.write('locks/prod.hold.json', '{"user":"ana","machine":"m","since":"s","message":"why"}')
    await persist(one.store)
    const other = await scene.open(configs.machine())
    expect(other.files()).toEqual({
      [`content/${hash}`]: '',
      'locks/prod.hold.json': '{\n  "user": "ana",\n  "machine": "m",\n  "since": "s",\n  "message": "why"\n}\n',
      'releases.json': 'first',
      [inRelease(1)]: 'model one',
      [inRelease(2)]: JSON.stringify({ file: `/stagecraft/content/${hash}` }),
    })
    expect(configs.names().toSorted()).toEqual(['hold.1', 'part', 'state.1', 'state.2'])
  })

  test('are written by one of two that have read the same', async () => {
    const { configs, one } = await begun()
    const other = await scene.open(configs.machine())
    one.write('releases.json', 'of one')
    other.write('releases.json', 'of the other')
    const ended = await Promise.allSettled([persist(one.store), persist(other.store)])
    expect(ended.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    const late = ended[0]?.status === 'rejected' ? one : other
    const error = await failureOf(persist(late.store))
    expect(error.kind).toBe('state')
    await expectGolden('core/swarm.md', 'changed-meanwhile', error.message)
    await refresh(late.store)
    expect(late.files()['releases.json']).toBe(late === one ? 'of the other' : 'of one')
  })

  test('are not written by one who comes so late that the names of that time are free again', async () => {
    const { configs, one } = await begun()
    const late = await scene.open(configs.machine())
    for (let at = 0; at < 30; at++) {
      one.write('releases.json', `write ${at}`)
      await persist(one.store)
    }
    expect(configs.names()).not.toContain('state.2')
    late.write('releases.json', 'late')
    expect((await failureOf(persist(late.store))).kind).toBe('state')
    expect(configs.names()).not.toContain('state.2')
    await refresh(late.store)
    expect(late.files()['releases.json']).toBe('write 29')
    expect(configs.names().length).toBeLessThan(10)
  })

  test('are sent once: a release that is no longer the newest one stays where it is', async () => {
    const { configs, one } = await begun()
    one.write(inRelease(2), 'model two')
    await persist(one.store)
    configs.changes.length = 0
    one.write(inRelease(2, 'events.jsonl'), 'more')
    await persist(one.store)
    expect(configs.changes).toEqual(['create state.3'])
  })

  test('are cut into parts that Swarm takes, and what no state needs goes', async () => {
    const { configs, one } = await begun()
    const large = crypto.getRandomValues(new Uint8Array(65_536))
    const many = Buffer.concat(Array.from({ length: 45 }, (_, at) => large.map((byte) => byte ^ at)))
    const noise = Buffer.from(many.map((byte, at) => byte ^ (at * 2654435761) ^ (at >> 8)))
    one.write(inRelease(2), noise)
    await persist(one.store)
    expect([configs.largest < 1_024_000, configs.names().filter((name) => name === 'part').length > 2]).toEqual([
      true,
      true,
    ])
    const other = await scene.open(configs.machine())
    expect(other.files()[inRelease(2)]).toBe(noise.length)
    other.remove('releases/rel-20261122-120000002')
    for (let at = 0; at < 9; at++) {
      other.write('releases.json', `write ${at}`)
      await persist(other.store)
    }
    expect(configs.names().filter((name) => name === 'part')).toEqual(['part']) // of the first release
  })

  test('are those of the format as ever', async () => {
    const configs = new FakeConfigs()
    const one = await scene.open(configs.machine())
    const file = `${one.store.folder}/releases.json`
    openState(file, { clock: () => 0 }).createRelease({ environment: 'prod', version: 'v1', commit_sha: 'c' })
    await persist(one.store)
    const other = await scene.open(configs.machine())
    expect(openState(`${other.store.folder}/releases.json`, { clock: () => 0 }).listReleases()).toMatchObject([
      { environment: 'prod', version: 'v1' },
    ])
  })
})

describe('damaged data', () => {
  test('is refused, and named', async () => {
    const { configs, one } = await begun()
    one.write(inRelease(2), 'model two')
    await persist(one.store)
    const part = [...configs.all.keys()].find((name) => name.includes('.part.')) ?? ''
    const messages: string[] = []
    const before = new Map(configs.all)
    for (const spoil of [
      () => configs.spoil('.part.', (text) => text.replace(/^.{20}/, 'A'.repeat(20))),
      () => void configs.all.delete(part),
      () => configs.spoil('.state.2', () => '{"format":2}'),
      () => configs.spoil('.state.2', (text) => text.replace('releases.json', '../../etc/passwd')),
      () => configs.spoil('.state.2', (text) => text.replace(part, 'shop_other-config')),
    ]) {
      spoil()
      const error = await failureOf(scene.open(configs.machine()))
      messages.push(
        error.message
          .replace(part, 'stagecraft.shop-prod.5d1f1f0c.part.4c1f2a9b0d3e5f67')
          .replace(/\.[0-9a-f]{8}\.state/, '.5d1f1f0c.state'),
      )
      for (const [name, config] of before) configs.all.set(name, config)
    }
    await expectGolden('core/swarm.md', 'unusable', messages.slice(0, 3).join('\n'))
    expect(new Set(messages.slice(2)).size).toBe(1)
  })
})

describe('a write that does not finish', () => {
  const FATES: readonly Fate[] = ['dies before', 'dies after', 'lost', 'unanswered']

  test('leaves the state before or after it, whatever dies or is lost, and the next one goes through', async () => {
    const ends = new Set<string>()
    for (const fate of FATES)
      for (let place = 1; place < 12; place++) {
        const { configs } = await begun()
        // The first two have read it.
        const death = Promise.withResolvers<string>()
        const own = configs.machine(
          (at) => (at === place + 2 ? fate : undefined),
          () => death.resolve('dead'),
        )
        const writer = await scene.open(own)
        writer.write(inRelease(2), 'model two')
        writer.write('releases.json', 'second')
        const ended = await Promise.race([persist(writer.store).then(() => 'written'), death.promise])
        const reader = await scene.open(configs.machine())
        const found = reader.files()['releases.json'] === 'second' ? 'second' : 'first'
        expect(reader.files()).toEqual(
          found === 'second'
            ? { 'releases.json': 'second', [inRelease(1)]: 'model one', [inRelease(2)]: 'model two' }
            : { 'releases.json': 'first', [inRelease(1)]: 'model one' },
        )
        if (ended === 'written') expect(found).toBe('second')
        ends.add(`${fate}: ${ended}, ${found}`)
        reader.write('releases.json', 'third')
        await persist(reader.store)
        expect((await scene.open(configs.machine())).files()['releases.json']).toBe('third')
      }
    expect([...ends].toSorted()).toEqual([
      'dies after: dead, first',
      'dies after: dead, second',
      'dies after: written, second',
      'dies before: dead, first',
      'dies before: dead, second',
      'dies before: written, second',
      'lost: written, second',
      'unanswered: written, second',
    ])
  })

  test('is found by the next one of the same run if the Swarm did not answer for long', async () => {
    const { configs } = await begun()
    let isCut = false
    const writer = await scene.open(
      configs.machine((_, verb) => (isCut ? (verb === 'create' ? 'unanswered' : 'lost') : undefined)),
    )
    writer.write('releases.json', 'second')
    isCut = true
    expect((await failureOf(persist(writer.store))).kind).toBe('unreachable')
    isCut = false
    writer.write('releases.json', 'third')
    await persist(writer.store)
    await look(writer.store)
    expect([writer.store.number, (await scene.open(configs.machine())).files()['releases.json']]).toEqual([3, 'third'])
  })
})
