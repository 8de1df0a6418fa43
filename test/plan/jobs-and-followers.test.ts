import { describe, expect, test } from 'bun:test'
import type { Service } from '../../lib/compose/model.ts'
import type { Container } from '../../lib/docker/inspect.ts'
import { after, planned, type Services, type Situation, web } from '../scenes/situation.ts'

const completed = { depends_on: { job: { condition: 'service_completed_successfully' } } } as const

describe('makePlan() about jobs', () => {
  const job = (environment: Record<string, string> = {}): Services => ({
    job: { image: 'job', environment },
    web: { image: 'web', ...completed },
  })

  const situation = { jobs: ['job'] }

  test.each<[string, Situation, string]>([
    ['runs a new one', { ...situation, now: job() }, 'job job: new: runs once, to completion'],
    [
      'does not run one again that did not change',
      { ...situation, before: job(), now: job() },
      'job unchanged: has run, and nothing changed',
    ],
    [
      'does not run one again because its container is missing',
      {
        ...situation,
        before: job(),
        now: job(),
        containers: (made) => made.filter(({ service }) => service !== 'job'),
      },
      'job unchanged: has run, and nothing changed',
    ],
    [
      'runs one again whose definition changed',
      { ...situation, before: job(), now: job({ STEP: '2' }) },
      'job job: runs again: environment changed (STEP)',
    ],
    [
      'runs one again whose image changed',
      { ...situation, before: job(), now: job(), images: { job: 'new' } },
      'job job: runs again: image changed',
    ],
    [
      'may run one again whose image is not known yet',
      { ...situation, before: job(), now: job(), images: { job: undefined } },
      'job job?: runs again if the built or pulled image differs',
    ],
    [
      'knows one by what depends on it, without a setting',
      { before: web(), now: job() },
      'job job: new: runs once, to completion',
    ],
  ])('%s', (_, given, expected) => {
    expect(planned(given)[0]).toBe(expected)
  })
})

describe('makePlan() about services that belong together', () => {
  const with_ = (more: Service): Services => ({ owner: { image: 'owner' }, side: { image: 'side', ...more } })

  test.each<[string, Service, string]>([
    ['network_mode', { network_mode: 'service:owner' }, 'it uses the network of owner, which is recreated'],
    ['ipc', { ipc: 'service:owner' }, 'it uses the ipc of owner, which is recreated'],
    ['pid', { pid: 'service:owner' }, 'it uses the pid of owner, which is recreated'],
    ['volumes_from', { volumes_from: ['owner:ro'] }, 'it uses the volumes of owner, which is recreated'],
    ['links', { links: ['owner:alias'] }, 'it is linked to owner, which is recreated'],
    [
      'depends_on with restart: true',
      { depends_on: { owner: { condition: 'service_started', restart: true } } },
      'it depends on owner with restart: true, which is recreated',
    ],
  ])('recreates what follows by %s', (_, more, why) => {
    const situation = { before: with_(more), now: with_(more), images: { owner: 'new' } }
    expect(planned(situation)).toEqual(['owner recreate: image changed', `side recreate: ${why}`])
  })

  test('leaves alone what just depends on it', () => {
    const services = with_(after('owner'))
    const situation = { before: services, now: services, images: { owner: 'new' } }
    expect(planned(situation)).toEqual(['owner recreate: image changed', 'side unchanged: nothing changed'])
  })

  test('continues from follower to follower, even through one that must be created', () => {
    const services: Services = {
      a: { image: 'a' },
      b: { image: 'b', network_mode: 'service:a' },
      c: { image: 'c', ipc: 'service:b' },
    }
    const without = (name: string) => (made: Container[]) => made.filter(({ service }) => service !== name)
    expect(planned({ before: services, now: services, containers: without('a') })).toEqual([
      'a create: it does not exist any more',
      'b recreate: it uses the network of a, which is recreated',
      'c recreate: it uses the ipc of b, which is recreated',
    ])
  })

  test('keeps its own reason, and stays open while that of the other is', () => {
    const services = with_({ network_mode: 'service:owner' })
    expect(planned({ before: services, now: services, images: { owner: undefined } })).toEqual([
      'owner recreate?: if the built or pulled image differs',
      'side recreate?: it uses the network of owner, which is recreated',
    ])
    expect(planned({ before: services, now: services, images: { owner: undefined, side: 'new' } })).toEqual([
      'owner recreate?: if the built or pulled image differs',
      'side recreate: image changed',
    ])
    expect(planned({ before: services, now: services, images: { owner: 'new', side: undefined } })).toEqual([
      'owner recreate: image changed',
      'side recreate: it uses the network of owner, which is recreated',
    ])
  })

  test('recreates a service in the namespace of a container that is missing', () => {
    const services = with_({ network_mode: 'service:owner' })
    const sharing = (id: string) => (made: Container[]) =>
      made.map((found) => (found.service === 'side' ? { ...found, shares: [id], configHash: 'of other ids' } : found))
    expect(planned({ before: services, now: services, containers: sharing('gone') })[1]).toBe(
      'side recreate: the container whose namespace it uses is gone',
    )
    expect(planned({ before: services, now: services, containers: sharing('owner-1') })[1]).toBe(
      'side unchanged: nothing changed',
    )
  })

  test('does not take a container outside the project for a service', () => {
    const services = with_({ volumes_from: ['container:owner'], network_mode: 'container:owner' })
    const situation = { before: services, now: services, images: { owner: 'new' } }
    expect(planned(situation)[1]).toBe('side unchanged: nothing changed')
  })
})
