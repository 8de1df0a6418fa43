import { describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { placeholder, storeText } from '../../lib/compose/content-store.ts'
import { contentStore } from '../../lib/hosts/host.ts'
import { openSwarmHost } from '../../lib/hosts/swarm/host.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { FakeConfigs } from '../fakes/configs.ts'
import { failureOf } from '../support/failure.ts'

/** What a manager is given on stdin, besides what is kept. */
function manager(configs = new FakeConfigs()) {
  const inputs: string[] = []
  let closed = 0
  const kept = configs.machine()
  const exec: Exec = async (argv, options = {}) => {
    if (argv[1] === 'config') return kept(argv, options)
    inputs.push(options.input ?? '')
    return { argv, code: 0, stdout: 'true\tn1\t3\t\tcluster', stderr: '', timedOut: false }
  }
  const through = {
    exec,
    attach: async () => 0,
    close: async () => {
      closed++
    },
  }
  return { through, inputs, closed: () => closed }
}

const PLACE = { project: 'shop', environment: 'prod' }

describe('an environment on a Swarm', () => {
  test('is worked on in a copy, which goes with the command', async () => {
    const { through, closed } = manager()
    const host = await openSwarmHost(PLACE, through)
    expect([existsSync(dirname(host.stateFile)), host.kept]).toEqual([true, 'shop/prod'])
    await host.close()
    expect([existsSync(dirname(host.stateFile)), closed()]).toEqual([false, 1])
  })

  test('has models that name their content alike on all machines; docker gets the paths of the copy', async () => {
    const { through, inputs } = manager()
    const host = await openSwarmHost(PLACE, through)
    const { at, folder } = contentStore(host, true)
    const hash = '0123456789abcdef0123456789abcdef'
    await host.exec(['docker', 'stack', 'deploy'], {
      input: JSON.stringify({ file: `${at}/${hash}`, other: `${at}/x` }),
    })
    expect(inputs).toEqual([JSON.stringify({ file: `${folder}/${hash}`, other: `${at}/x` })])
    await host.close()
  })

  test('has content that stands for what the Swarm has; what this machine has itself takes its place', async () => {
    const host = await openSwarmHost(PLACE, manager().through)
    const store = contentStore(host, true)
    const { hash } = storeText({ ...store, write: false }, 'hello', 0o444)
    placeholder(store.folder, hash)
    storeText(store, 'hello', 0o444)
    expect(readFileSync(join(store.folder, hash), 'utf8')).toBe('hello')
    await host.close()
  })

  test('needs a name of the project', async () => {
    const { through, closed } = manager()
    const error = await failureOf(openSwarmHost({ ...PLACE, project: undefined }, through))
    expect([error.kind, closed()]).toEqual(['config', 1])
  })

  test('cannot be read from an engine that manages no Swarm', async () => {
    const exec: Exec = async (argv) => {
      const isInfo = argv[1] === 'info'
      const stderr = 'Error response from daemon: This node is not a swarm manager.'
      return { argv, code: isInfo ? 0 : 1, stdout: isInfo ? 'false\t\t0\t\t' : '', stderr, timedOut: false }
    }
    const error = await failureOf(openSwarmHost(PLACE, { ...manager().through, exec }))
    expect([error.kind, error.message]).toEqual([
      'unreachable',
      'Cannot use the Swarm of prod: the engine is not a manager of one',
    ])
  })
})
