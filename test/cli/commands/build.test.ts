import { describe, expect, test } from 'bun:test'
import { chosen, formatBuilt } from '../../../lib/cli/commands/build.ts'
import { StagecraftError } from '../../../lib/util/errors.ts'
import { formatError } from '../../support/failure.ts'
import { expectGolden } from '../../support/golden.ts'

const TARGETS = [{ service: 'web' }, { service: 'worker' }]

describe('stagecraft build', () => {
  test('lists what it built', () => {
    const built = [
      { service: 'web', image: 'shop-web:v2', id: `sha256:0123456789ab${'0'.repeat(52)}` },
      { service: 'worker', image: 'shop-worker:v2', id: `sha256:ba9876543210${'0'.repeat(52)}` },
    ]
    expectGolden('commands/build.md', 'built', formatBuilt(built).join('\n'))
  })

  test('says that there is nothing to build', () => {
    expectGolden('commands/build.md', 'nothing', formatBuilt([]).join('\n'))
  })

  test('builds all services, or those that --services names, in the order of the names', () => {
    expect(chosen(TARGETS, undefined)).toEqual(TARGETS)
    expect(chosen(TARGETS, 'worker, web')).toEqual(TARGETS)
    expect(chosen(TARGETS, 'worker')).toEqual([{ service: 'worker' }])
  })

  test.each(['wbe', '', 'web,', '../web', '--all'])('refuses the service %p', (asked) => {
    expect(() => chosen(TARGETS, asked)).toThrow(StagecraftError)
  })

  test('names the services that are built when one is not', () => {
    expect.assertions(1)
    try {
      chosen(TARGETS, 'wbe')
    } catch (error) {
      expectGolden('commands/build.md', 'no-such-service', formatError(error).join('\n'))
    }
  })
})
