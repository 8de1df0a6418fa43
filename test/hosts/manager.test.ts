import { describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseHostAddress } from '../../lib/config/host-address.ts'
import { openManager } from '../../lib/hosts/ssh/manager.ts'
import type { Exec, Result } from '../../lib/system/exec.ts'
import { failureOf } from '../support/failure.ts'

/** What each host is: a manager, a worker, one whose engine does not answer, or one that cannot be reached. */
type Kind = 'manager' | 'worker' | 'silent' | 'gone'

const LOOKED = 'folder /x\nsocket /var/run/docker.sock\nmay yes\nuser root\nsession yes\n'
const SILENT = { code: 1, stderr: 'error during connect: Get "http://x/v1.50/info": EOF' }

/** ssh and docker of an operator: docker prints the name of the host that it has reached. */
function machines(kinds: Record<string, Kind>) {
  const hosts = new Map<string, string>()
  const logins: string[] = []
  const ends = new Map<string, () => void>()
  const exec: Exec = (argv, options = {}) => {
    const result = (more: Partial<Result> = {}) => ({ argv, code: 0, stdout: '', stderr: '', timedOut: false, ...more })
    const name =
      Object.keys(kinds).find((each) => argv.some((word) => word.endsWith(`@${each}`) || word === each)) ?? ''
    if (argv.includes('-M')) {
      logins.push(name)
      if (kinds[name] === 'gone') return Promise.resolve(result({ code: 255, stderr: 'Connection timed out' }))
      const control = argv[argv.indexOf('-S') + 1] ?? ''
      hosts.set(dirname(control), name)
      writeFileSync(control, '')
      return new Promise((resolve) => {
        const end = () => resolve(result({ code: 255 }))
        ends.set(name, end)
        options.signal?.addEventListener('abort', end)
      })
    }
    if (argv[0] === 'ssh') return Promise.resolve(result(argv.includes('-O') ? {} : { stdout: LOOKED }))
    const there = hosts.get(dirname(String(options.env?.['DOCKER_HOST']).replace('unix://', ''))) ?? ''
    if (kinds[there] === 'silent') return Promise.resolve(result(SILENT))
    if (argv[1] === 'version') return Promise.resolve(result({ stdout: '1.50 1.50 linux/amd64\n' }))
    const swarm = kinds[there] === 'manager' ? 'true\tn\t3\t\tcluster\n' : 'false\t\t0\t\t\n'
    return Promise.resolve(result({ stdout: argv[1] === 'info' ? swarm : there }))
  }
  return { exec, logins, lose: (name: string) => ends.get(name)?.() }
}

const addresses = ['a', 'b', 'c'].flatMap((name) => parseHostAddress(`root@${name}`) ?? [])

async function open(kinds: Record<string, Kind>) {
  const { exec, logins, lose } = machines(kinds)
  const options = { exec, timeout: 1_000, signal: new AbortController().signal }
  const manager = await openManager(addresses, options)
  const ask = async () => (await manager.exec(['docker', 'ps'])).stdout
  return { manager, ask, logins, lose }
}

describe('openManager()', () => {
  test('takes the first host that answers and is a manager', async () => {
    const { ask, manager, logins } = await open({ a: 'gone', b: 'worker', c: 'manager' })
    expect([await ask(), logins]).toEqual(['c', ['a', 'b', 'c']])
    await manager.close()
  })

  test('says what is wrong with each, if none is', async () => {
    const error = await failureOf(open({ a: 'gone', b: 'worker', c: 'gone' }))
    expect([error.kind, error.message]).toEqual([
      'unreachable',
      'Cannot use the Swarm: none of its hosts is a manager that answers',
    ])
    expect(error.detail).toContain('Cannot use root@b: it is not a manager of a Swarm')
  })

  test('continues with another one, once, when the connection is lost', async () => {
    const { ask, manager, logins, lose } = await open({ a: 'manager', b: 'manager', c: 'manager' })
    expect(await ask()).toBe('a')
    lose('a')
    await Bun.sleep(0)
    expect([await Promise.all([ask(), ask(), ask()]), logins]).toEqual([
      ['b', 'b', 'b'],
      ['a', 'b'],
    ])
    await manager.close()
  })

  test('continues with another one when the engine no longer answers', async () => {
    const kinds: Record<string, Kind> = { a: 'manager', b: 'worker', c: 'manager' }
    const { ask, manager } = await open(kinds)
    kinds['a'] = 'silent'
    expect([await ask(), await ask(), await ask()]).toEqual(['', 'c', 'c'])
    await manager.close()
  })
})
