import { describe, expect, test } from 'bun:test'
import { toWaves, upArgs } from '../lib/compose-up.ts'
import type { Need } from '../lib/services.ts'

const stage = {
  model: { name: 'shop', services: { web: {}, api: { scale: 2 } } },
  modelFile: '/app/.stagecraft/releases/r/compose.json',
  directory: '/app',
}

describe('upArgs()', () => {
  test('names the services and never touches their dependencies, builds, pulls or asks', () => {
    expect(upArgs(stage, [{ service: 'web', replicas: 1 }], 'anew').join(' ')).toBe(
      'compose --progress plain -p shop --project-directory /app --env-file /dev/null ' +
        '-f /app/.stagecraft/releases/r/compose.json up -d --no-deps --no-build --pull never --force-recreate -- web',
    )
  })

  test('gives a number only where it is not the model’s', () => {
    const wanted = [
      { service: 'web', replicas: 3 },
      { service: 'api', replicas: 2 },
    ]
    expect(upArgs(stage, wanted, 'keep').slice(-6)).toEqual(['--no-recreate', '--scale', 'web=3', '--', 'web', 'api'])
  })
})

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
      members.flatMap(({ service }) => (awaited.has(service) ? [service] : [])).join(),
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
