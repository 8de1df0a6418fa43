import { expect, test } from 'bun:test'
import { isExcluded, platformOfNode, type SwarmNode } from '../../lib/docker/swarm/nodes.ts'

const node: SwarmNode = {
  ...{
    id: 'o6znaejyl2k0',
    name: 'n1',
    role: 'worker',
    isLeader: false,
    isReachable: false,
    state: 'ready',
    availability: 'active',
    engine: '28.5.1',
    os: 'linux',
    arch: 'x86_64',
  },
  ...{ labels: { disk: 'ssd' }, engineLabels: { 'com.example.rack': 'r1' } },
}

test.each<[string, boolean]>([
  ['node.role == worker', false],
  ['node.role==manager', true],
  ['node.role != manager', false],
  ['node.role!=worker', true],
  ['node.hostname == N1', false],
  ['node.id == another', true],
  ['node.labels.disk == ssd', false],
  ['node.labels.disk == hdd', true],
  ['node.labels.zone == a', true],
  ['node.labels.zone != a', false],
  ['engine.labels.com.example.rack == r1', false],
  ['node.platform.arch == aarch64', true],
  ['node.platform.os == linux', false],
  ['node.ip == 10.0.0.1', false], // not known here: a task may be placed there
  ['nonsense', false],
])('%s keeps tasks from the node: %p', (constraint, excluded) => {
  expect(isExcluded(node, constraint)).toBe(excluded)
})

test('the platform of a node is called as engines call it', () => {
  expect(platformOfNode(node)).toBe('linux/amd64')
})
