import { expect, test } from 'bun:test'
import type { NodeHost } from '../../lib/hosts/host.ts'
import { engineOfNode } from '../../lib/hosts/node-engine.ts'
import type { Exec } from '../../lib/system/exec.ts'
import { StagecraftError } from '../../lib/util/errors.ts'
import { failureOf, formatError } from '../support/failure.ts'
import { expectGolden } from '../support/golden.ts'

const exec: Exec = async (argv) => ({
  argv,
  code: 0,
  stdout: 'true\tid-1\t3\t\tcluster\n',
  stderr: '',
  timedOut: false,
})
const attach = async () => 0
const others: NodeHost[] = ['id-2', 'id-3'].map((node) => ({
  name: `root@${node}`,
  node,
  exec: async (argv) => ({ argv, code: 0, stdout: node, stderr: '', timedOut: false }),
  attach,
}))
const silent = new StagecraftError('unreachable', 'Cannot use root@m4: Connection timed out')

async function find(id: string, failed = [silent]) {
  let asked = 0
  const nodes = async () => {
    asked++
    return { reached: others, failed }
  }
  const found = await engineOfNode({ nodes, attach }, exec, { id, name: `n${id.at(-1)}` }, 'run in web.2')
  return { found, asked }
}

test('the manager in use is the engine of its own node: no other host is asked', async () => {
  const { found, asked } = await find('id-1')
  expect([found.exec, asked]).toEqual([exec, 0])
})

test('another host is the engine of its node, whatever it is called', async () => {
  const { found } = await find('id-3')
  expect((await found.exec(['docker', 'ps'])).stdout).toBe('id-3')
})

test('a node that is none of the hosts is named, with what to do', async () => {
  const error = await failureOf(find('id-4'))
  expect(error.kind).toBe('unreachable')
  expectGolden('core/swarm.md', 'elsewhere', formatError(error).join('\n'))
  const here = engineOfNode({ attach }, exec, { id: 'id-4', name: 'n4' }, 'run in web.2')
  expect((await failureOf(here)).detail).toBeUndefined()
})
