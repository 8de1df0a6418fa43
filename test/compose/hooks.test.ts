import { describe, expect, test } from 'bun:test'
import { loadCompose } from '../../lib/compose/load.ts'
import { refuseOldCompose } from '../../lib/compose/released/hooks.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

/** A docker compose of this version. */
function compose(version: string) {
  const calls: string[] = []
  const exec: Exec = async (argv) => {
    calls.push(argv.join(' '))
    return { argv, code: 0, stdout: `${version}\n`, stderr: '', timedOut: false }
  }
  return { exec, calls }
}

const PRE = { services: { web: { pre_start: [] }, api: {} } }
const POST = { services: { web: { post_start: [] }, api: { pre_stop: [] } } }

describe('refuseOldCompose()', () => {
  test('asks nothing where there are no hooks', async () => {
    const { exec, calls } = compose('1.0')
    await refuseOldCompose(exec, { services: { web: {} } })
    expect(calls).toEqual([])
  })

  test.each(['5.3.0', 'v5.3.1', '5.10.0', '6.0.0', 'dev', ''])('has nothing against %s', async (version) => {
    await refuseOldCompose(compose(version).exec, PRE)
  })

  test.each(['5.2.9', 'v2.40.3', '2.26.1-4'])('refuses pre_start with %s', async (version) => {
    const error = await failureOf(refuseOldCompose(compose(version).exec, PRE))
    const plain = version.replace(/^v/, '')
    expect([error.kind, error.message]).toEqual([
      'config',
      `Cannot use pre_start of web: Docker Compose ${plain} does not run it`,
    ])
  })

  test('says what to do', async () => {
    const error = await failureOf(refuseOldCompose(compose('2.40.3').exec, PRE))
    expectGolden('core/compose.md', 'pre-start-old', formatError(error).join('\n'))
  })

  test('warns of other hooks', async () => {
    const warnings = async (version: string) => {
      const said: string[] = []
      await refuseOldCompose(compose(version).exec, POST, (message) => said.push(message))
      return said
    }
    expect(await warnings('2.26.1-4')).toEqual([
      'Docker Compose 2.26.1-4 does not run pre_stop of api: 2.30 is the first that does',
      'Docker Compose 2.26.1-4 does not run post_start of web: 2.30 is the first that does',
    ])
    expect(await warnings('2.30.0')).toEqual([])
  })
})

describe('loadCompose() where Compose does not know pre_start', () => {
  test.each([
    'validating /srv/shop/compose.yaml: services.web Additional property pre_start is not allowed',
    "validating /srv/shop/compose.yaml: services.web additional properties 'pre_start' not allowed",
  ])('says which Compose does: %s', async (stderr) => {
    const exec: Exec = async (argv) => ({ argv, code: 15, stdout: '', stderr, timedOut: false })
    const error = await failureOf(loadCompose(exec, { directory: '/srv/shop', files: [], envFiles: [] }))
    expect([error.kind, error.detail]).toEqual(['config', stderr])
    expect(error.hint).toStartWith('pre_start needs Docker Compose 5.3 or later: update it. Or, if it migrates')
  })
})
