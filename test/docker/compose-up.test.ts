import { describe, expect, test } from 'bun:test'
import { upArgs } from '../../lib/docker/compose/up.ts'

const stage = {
  model: { name: 'shop', services: { web: {}, api: { scale: 2 } } },
  modelFile: '/app/.stagecraft/releases/r/compose.json',
  directory: '/app',
}

describe('upArgs()', () => {
  test('names the services and never touches their dependencies, builds, pulls or asks', () => {
    expect(upArgs(stage, [{ service: 'web', replicas: 1 }], 'recreate').join(' ')).toBe(
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
