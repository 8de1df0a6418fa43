import { describe, expect, test } from 'bun:test'
import type { Need } from '../../lib/compose/topology.ts'
import { toWaves } from '../../lib/plan/waves.ts'

describe('toWaves()', () => {
  const need = (service: string, condition: Need['condition'] = 'service_started'): Need => {
    return { service, condition, follows: false, why: '' }
  }
  const waves = (services: string[], needs: Record<string, Need[]>) =>
    toWaves(
      services.map((service) => ({ service })),
      needs,
    ).map(({ members, awaited }) => [
      members.map(({ service }) => service).join(),
      members.flatMap(({ service }) => (awaited.includes(service) ? [service] : [])).join(),
    ])

  test('starts together what can, and waits for what others wait for', () => {
    const needs = {
      web: [need('db', 'service_healthy'), need('cache')],
      db: [],
      cache: [],
      proxy: [need('web'), need('job', 'service_completed_successfully')],
      job: [need('db', 'service_healthy')],
    }
    expect(waves(['web', 'db', 'cache', 'proxy', 'job'], needs)).toEqual([
      ['db,cache', 'db'],
      ['web,job', 'job'],
      ['proxy', ''],
    ])
  })

  test('does not wait for what is not brought up now', () => {
    expect(waves(['web'], { web: [need('db', 'service_healthy')] })).toEqual([['web', '']])
  })

  test('does not loop for ever on a cycle', () => {
    expect(waves(['a', 'b'], { a: [need('b')], b: [need('a')] })).toEqual([['a,b', '']])
  })
})
