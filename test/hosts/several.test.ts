import { afterEach, describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import { partRef } from '../../lib/record/bundle/ref.ts'
import { readBundle } from '../../lib/record/bundle.ts'
import { NAMES } from '../fakes/fleet.ts'
import { story } from '../fakes/project.ts'
import { told } from '../scenes/shop.ts'
import { NEW, newFleet, OLD, of, QUICK, removeFleets, running, serving, web, write } from '../scenes/shop-fleet.ts'
import { formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

afterEach(removeFleets)

describe('several hosts', () => {
  test('each has what is placed there, and its part of the release', async () => {
    const fleet = await serving('hosts')
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(OLD, name))
    const [release] = fleet.project.releases()
    const id = release?.id ?? ''
    const { stateFile } = fleet.project
    expect(readBundle(stateFile, id)).toMatchObject({ host: 'a', hosts: ['a', 'b', 'c'] })
    expect(Object.keys(readBundle(stateFile, partRef(id, 'c'))?.images ?? {}).toSorted()).toEqual([
      'cache',
      'db',
      'web',
    ])
    expect(readBundle(stateFile, partRef(id, 'c'))?.services).toMatchObject({ db: { hosts: ['c'] } })
    expect(Object.keys(readBundle(stateFile, partRef(id, 'b'))?.images ?? {}).toSorted()).toEqual(['cache', 'web'])
  })

  test('a deploy that changes nothing touches nothing, and one that does says where', async () => {
    const fleet = await serving('hosts-again')
    for (const name of NAMES) fleet.engines[name].calls = []
    expect(told(await fleet.project.deploy())).toBe('no error')
    for (const name of NAMES) expect(fleet.engines[name].changes()).toEqual([])
    write(fleet, 2)
    const { events, error } = await fleet.project.deploy()
    expect(told({ error })).toBe('no error')
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(NEW, name))
    expect(events.flatMap((event) => (event.type === 'service' ? [event.host] : []))).toContain('b')
    expect(story(events)).toContain('rollout completed: 3 rolled, 3 recreated, 1 unchanged on 3 hosts')
  })

  test('switches nowhere before all are ready', async () => {
    const fleet = await serving('hosts-barrier')
    write(fleet, 2)
    fleet.engines.b.behave = ({ content }) => (content === 'web two' ? { after: 3000 } : undefined) // others are ready long before
    const order: string[] = []
    const { error } = await fleet.project.deploy({
      onEvent: (event) => {
        if (event.type === 'service') order.push(`${event.service} ${event.step}`)
      },
    })
    expect(told({ error })).toBe('no error')
    expect(order.lastIndexOf('web ready')).toBeLessThan(order.indexOf('cache recreate'))
    expect(order.lastIndexOf('cache ready')).toBeLessThan(order.indexOf('web remove'))
  })

  test('a failed deploy switches nothing anywhere, removes everything new, and reports what runs where', async () => {
    const fleet = await serving('hosts-bad')
    write(fleet, 2)
    fleet.engines.b.behave = ({ content }) => (content === 'web two' ? { exit: 3, after: 100 } : undefined)
    fleet.engines.a.behave = ({ content }) => (content === 'web two' ? { health: 'never' } : undefined)
    const began = fleet.project.engine.clock.now()
    const { error } = await fleet.project.deploy({ version: 'v2' })
    expect(fleet.project.engine.clock.now() - began).toBeLessThan(20_000) // no host waits for what cannot succeed
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(OLD, name))
    expect(error?.kind).toBe('failed')
    const [, first] = fleet.project.releases()
    const text = formatError(error)
      .join('\n')
      .replaceAll(first?.id ?? '', 'rel-20261122-080000000')
    expectGolden('core/hosts.md', 'hosts-failed', text)
    for (const name of NAMES) fleet.engines[name].behave = () => undefined
    expect(told(await fleet.project.deploy())).toBe('no error')
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(NEW, name))
  })
})

describe('a run on several hosts that dies', () => {
  test('the commit point was kept, but the first host was lost before it said so: the others went back, and are not emptied', async () => {
    const fleet = await serving('hosts-answer')
    write(fleet, 2)
    let committed = false
    fleet.onPersist = () => {
      const [release] = fleet.project.releases()
      if (committed || readBundle(fleet.project.stateFile, release?.id ?? '')?.switched_at === undefined) return
      committed = release?.version === 'v2'
      if (!committed) return
      fleet.project.keep('dead')
      fleet.lost.add('a')
    }
    const { error } = await fleet.project.deploy({ version: 'v2' })
    expect(committed).toBe(true)
    expect(told({ error })).toStartWith(
      'not-restored (exit 6): Cannot restore the previous release on a: lost in the switch',
    )
    expect(running(fleet, 'b')).toEqual(OLD)
    fleet.project.comeBack('dead')
    fleet.lost.clear()
    let emptied = false
    const proxied: string[] = []
    fleet.onCommand = (name) => {
      if (name === 'b') proxied.push(...fleet.engines.b.proxy.answer('shop.example.com'))
      if (name === 'b' && !running(fleet, 'b').some((line) => line.startsWith('web ') && line.endsWith('running')))
        emptied = true
    }
    const next = await fleet.project.deploy({ version: 'v3' })
    expect(told(next)).toBe('no error')
    expect(next.events.flatMap((event) => (event.type === 'recovery' ? [event.message] : []))[0]).toContain(
      'On b: It went back to the previous release, although the new one is live: the next deploy repairs it.',
    )
    expect(emptied).toBe(false)
    expect([...new Set(proxied)].filter((each) => !/web (one|two)/.test(each))).toEqual([])
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(NEW, name))
  })
})

describe('a job', () => {
  test('runs on the first host, and services on other hosts wait for it', async () => {
    const fleet = newFleet('hosts-job')
    const needs = { job: { condition: 'service_completed_successfully' as const } }
    fleet.write(
      { web: { ...web(1), depends_on: needs }, job: { image: 'redis:7', command: ['exit', '0'] } },
      { web: QUICK },
    )
    const order: string[] = []
    const { error } = await fleet.project.deploy({
      onEvent: (event) => {
        if (event.type === 'service') order.push(`${event.host} ${event.service} ${event.step}`)
      },
    })
    expect(told({ error })).toBe('no error')
    expect(fleet.view('b').map((line) => line.split(' ')[0])).toEqual(['web'])
    expect(order.indexOf('a job ready')).toBeLessThan(order.indexOf('b web create'))
    expect(order.filter((line) => line.includes('job'))).toEqual(['a job run', 'a job ready'])
  })

  test('that runs in the switch, because its network is recreated, is waited for there', async () => {
    const fleet = newFleet('hosts-late-job')
    const needs = { job: { condition: 'service_completed_successfully' as const } }
    const job = (step: string): Service => ({
      ...{ image: 'redis:7', command: ['exit', '0'], environment: { STEP: step }, networks: { back: null } },
    })
    const settings = { web: '{hosts: [b], rollout: {strategy: rolling, min_ready: 200ms}}' }
    fleet.write({ web: { ...web(1), depends_on: needs }, job: job('1') }, settings)
    expect(told(await fleet.project.deploy())).toBe('no error')
    fleet.write({ web: { ...web(2), depends_on: needs }, job: job('2') }, settings, NAMES, {
      back: { labels: { step: '2' } },
    })
    const order: string[] = []
    const { error } = await fleet.project.deploy({
      onEvent: (event) => {
        if (event.type === 'service') order.push(`${event.host} ${event.service} ${event.step}`)
      },
    })
    expect(told({ error })).toBe('no error')
    expect(order.indexOf('a job ready')).toBeGreaterThan(-1)
    expect(order.indexOf('a job ready')).toBeLessThan(order.indexOf('b web rolling'))
  })
})

describe('a rollback on several hosts', () => {
  test('restores each host', async () => {
    const fleet = await serving('hosts-back')
    write(fleet, 2)
    expect(told(await fleet.project.deploy())).toBe('no error')
    expect(told(await fleet.project.rollback())).toBe('no error')
    for (const name of NAMES) expect(running(fleet, name)).toEqual(of(OLD, name))
  })

  test('to a release that was not on one of them is refused, and what is no longer named is left alone', async () => {
    const fleet = newFleet('hosts-fewer')
    fleet.write({ web: web(1) }, { web: QUICK }, ['a', 'b'])
    expect(told(await fleet.project.deploy({ version: 'v1' }))).toBe('no error')
    fleet.write({ web: web(2) }, { web: QUICK }, ['a', 'c'])
    const { error, events } = await fleet.project.deploy({ version: 'v2' })
    expect(told({ error })).toBe('no error')
    expect(story(events)).toContain('  warning: b is no longer a host of prod: its containers are left as they are')
    expect(fleet.view('b')).toEqual(['web of web one running on shop-prod_default'])
    const back = await fleet.project.rollback().catch((thrown: unknown) => ({ error: thrown }))
    expect(String((back as { error: Error }).error.message)).toMatch(/^Cannot roll back to .* \(v1\): it was not on c$/)
  })
})
