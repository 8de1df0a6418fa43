import { describe, expect, test } from 'bun:test'
import { settleVariables, withoutShell } from '../../lib/compose/released/variables.ts'
import { exec } from '../../lib/system/exec.ts'

describe('withoutShell()', () => {
  const left = (services: Parameters<typeof withoutShell>[0]['services'], shell: Record<string, string> = {}) =>
    Object.keys(withoutShell({ services }, shell)).toSorted()

  test('leaves out what a service has no value for, of hooks too, and nothing that it has one for', () => {
    const hooks = {
      pre_start: [{ environment: { FIRST: null } }],
      post_start: [{ environment: { AFTER: null } }],
      pre_stop: [{ environment: { BEFORE: null, A: 'b' } }],
    }
    expect(
      left({ web: { environment: { DEBUG: null, SET: 'x', EMPTY: '' } }, api: { environment: null, ...hooks } }),
    ).toEqual([...['AFTER', 'BEFORE', 'DEBUG', 'DOCKER_DEFAULT_PLATFORM', 'FIRST']])
  })

  test('leaves out what Compose would take its settings from', () => {
    const shell = { COMPOSE_FILE: 'x', COMPOSE_PROFILES: 'a', COMPOSE_PARALLEL_LIMIT: '2', DOCKER_HOST: 'y', PATH: 'z' }
    expect(left({}, shell)).toEqual(['COMPOSE_FILE', 'COMPOSE_PROFILES', 'DOCKER_DEFAULT_PLATFORM'])
  })

  test('never leaves out what docker cannot be run without', () => {
    expect(left({ web: { environment: { PATH: null, DOCKER_HOST: null, HOME: null } } })).toEqual([
      'DOCKER_DEFAULT_PLATFORM',
    ])
  })

  test('a program is run without it', async () => {
    process.env['STAGECRAFT_OPEN'] = 'ana'
    try {
      const env = withoutShell({ services: { web: { environment: { STAGECRAFT_OPEN: null } } } }, process.env)
      const { stdout } = await exec(['sh', '-c', 'echo "${STAGECRAFT_OPEN-none}"'], { env })
      expect(stdout).toBe('none\n')
    } finally {
      delete process.env['STAGECRAFT_OPEN']
    }
  })
})

describe('settleVariables()', () => {
  test('keeps a variable without a value, but for those that docker is run with', () => {
    const environment = { DEBUG: null, A: 'b', PATH: null, DOCKER_HOST: null }
    expect(settleVariables({ image: 'x', environment })).toEqual({ image: 'x', environment: { DEBUG: null, A: 'b' } })
    expect(settleVariables({ image: 'x' })).toEqual({ image: 'x' })
  })
})
